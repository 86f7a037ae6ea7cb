"""Lines on stderr that do not tear a bar apart."""

from __future__ import annotations

import io
import sys
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import TextIO


def say(text: str, stream: TextIO | None = None) -> None:
    """Write a line to stderr, or to another stream, above the bar where there is one."""
    from tqdm import tqdm

    tqdm.write(text, file=stream or sys.stderr)


class AboveBar(io.TextIOBase):
    """A text stream for what others print while there is a bar: its lines are said, whole."""

    def __init__(self) -> None:
        self._begun = threading.local()  # each thread's line that has no end yet

    def write(self, text: str) -> int:
        """Say the lines that end in the text; keep the last one until it ends."""
        *lines, rest = (getattr(self._begun, "line", "") + text).split("\n")
        self._begun.line = rest
        for line in lines:
            say(line)
        return len(text)

    def writable(self) -> bool:
        """It is there to be written to."""
        return True
