"""Counting, and showing what was counted.

The rooms here know no call and no request: they are told numbers.
"""

from threadllm.progress.displays import Display, display
from threadllm.progress.painter import Painter
from threadllm.progress.saying import say
from threadllm.progress.tally import Tally, Totals

__all__ = ["Display", "Painter", "Tally", "Totals", "display", "say"]
