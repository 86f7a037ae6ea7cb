"""What reading yields: a line that can be used, and a line that cannot.

Values only. The room must not know where a line came from or what is done with it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeAlias

Identity: TypeAlias = str | int | float | bool
"""What may name an item: 1, "1", 1.0 and true are four names."""


@dataclass(frozen=True, slots=True)
class Job:
    """One usable line.

    Attributes:
        id: Its name as the file had it, or its line number.
        item: What the function gets.
        line: Its line number, from 1; of a CSV row the line it begins in.
        is_named: Whether the file names it; else its line number does.
    """

    id: Identity
    item: object
    line: int
    is_named: bool = field(default=True, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Refused:
    """One line that cannot be used, and nothing is to be sent for.

    Attributes:
        line: Its line number, from 1.
        reason: What is wrong and what to do about it.
        id: Its name, where that could be read.
    """

    line: int
    reason: str
    id: object = None

    def __str__(self) -> str:
        return f"line {self.line}: {self.reason}"
