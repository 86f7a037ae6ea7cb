"""A line on stderr that does not tear a bar apart."""

from __future__ import annotations

import sys


def say(text: str) -> None:
    """Write a line to stderr, above the bar where there is one."""
    from tqdm import tqdm

    tqdm.write(text, file=sys.stderr)
