"""Rates: how much in what span of time, and how that moves.

All figures are seconds, or whatever is counted. The room must not know what is counted, nor what
has been used up.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

MINUTE = 60.0
DAY = 24 * 60 * MINUTE
# A moment counts as come these seconds before: float arithmetic may miss it by less.
EARLY = 1e-6
_DIGITS = 6  # of seconds that are told
_EXACT = 9  # digits of a product of figures that were given


def moved(stated: float, factor: float) -> float:
    """A figure that was stated, by a factor of it."""
    return round(stated * factor, _EXACT)


def told(seconds: float) -> float:
    """Seconds to wait as they are told: without the dust of float arithmetic."""
    return round(max(0.0, seconds), _DIGITS)


class Course:
    """By which factor limits differ from what was stated, as time goes by.

    Args:
        moves: From how many seconds after `start` on which factor holds, in order of time.
        start: When the first request came.
    """

    def __init__(self, moves: Sequence[tuple[float, float]], start: float) -> None:
        self._moments = [*(start + after for after, _ in moves), math.inf]
        self._factors = [1.0, *(factor for _, factor in moves)]

    def factor(self, now: float) -> float:
        """What holds at `now`."""
        return self._factors[bisect_right(self._moments, now + EARLY)]

    def next(self, now: float) -> float:
        """When something else holds; infinity for never."""
        return self._moments[bisect_right(self._moments, now + EARLY)]


@dataclass(frozen=True, slots=True)
class Rate:
    """So much in a span of time.

    Attributes:
        amount: How much.
        span: In how many seconds.
        burst: How much at once after a quiet time; by default `amount`, and moving with it.
        least: What may come at once, however small `amount` is.
    """

    amount: float
    span: float
    burst: float | None = None
    least: float = 0.0

    def size(self, factor: float) -> float:
        """How much may come at once where the rate is this factor of what was stated."""
        return self.burst or max(moved(self.amount, factor), self.least)

    def flow(self, factor: float) -> float:
        """How much a second comes in, likewise."""
        return self.amount * factor / self.span

    def limit(self, factor: float) -> int:
        """The limit that is told, likewise."""
        return math.floor(moved(self.amount, factor))
