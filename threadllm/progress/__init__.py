"""Counting, and showing what was counted.

The rooms here know no call and no request: they are told numbers.
"""

from threadllm.progress.displays import bar_on, display
from threadllm.progress.painter import Painter
from threadllm.progress.saying import AboveBar, say
from threadllm.progress.tally import Figure, Tally, Totals

__all__ = ["AboveBar", "Figure", "Painter", "Tally", "Totals", "bar_on", "display", "say"]
