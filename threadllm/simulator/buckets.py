"""What counts against a rate: a bucket that refills, and windows that begin anew.

The room is told the time with each question; it must not know what is counted, nor for whom.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from threadllm.simulator.rates import EARLY, told

if TYPE_CHECKING:
    from threadllm.simulator.rates import Course, Rate


@dataclass(frozen=True, slots=True)
class Level:
    """How full a bucket is: its limit, what remains, and seconds until it is full again."""

    limit: int
    remaining: int
    reset: float


class Meter(Protocol):
    """What counts against a rate. It gives nothing back."""

    def ready(self, cost: float, now: float) -> float:
        """The first moment from `now` on when `cost` can be taken; infinity for never.

        It will be so at that moment, whatever moves until then, if nobody takes any before.
        """

    def take(self, cost: float, now: float) -> None:
        """Take `cost`; `ready` has said that it can be."""

    def level(self, now: float) -> Level:
        """How full it is."""


class TokenBucket:
    """A bucket that starts full and refills, continuously or in lumps.

    In no time span does it give out more than its size at the beginning, what flows in
    meanwhile, and one lump if it refills in lumps. When its rate moves it keeps what it holds,
    as far as that fits.

    Args:
        rate: What flows in, and what fits.
        course: How that moves.
        now: When lumps are counted from.
        refill: Seconds from lump to lump; None for continuously.
    """

    def __init__(self, rate: Rate, course: Course, now: float, refill: float | None = None) -> None:
        self._rate = rate
        self._course = course
        self._start = now
        self._refill = refill
        # What it holds, all told that had flowed in until then: a bucket that refills in lumps is
        # one that refills continuously, and is looked into from lump to lump.
        self._left = rate.size(course.factor(now))
        self._until = now

    def ready(self, cost: float, now: float) -> float:
        """See `Meter.ready`."""
        if self._holds(cost, self._seen(now), now):
            return now
        at, left = now, self._held(now)
        while at < math.inf:
            size, end = self._size(at), self._course.next(at)
            left = min(left, size)
            if self._holds(cost, size, at):
                moment = self._shown(at + max(0.0, cost - left) / self._flow(at))
                if moment + EARLY < end:
                    return max(moment, now)
            left = min(size, left + self._flow(at) * (end - at))
            at = end
        return math.inf

    def take(self, cost: float, now: float) -> None:
        """See `Meter.take`."""
        self._left = self._seen(now) - cost
        self._until = self._looked(now)

    def level(self, now: float) -> Level:
        """See `Meter.level`."""
        left, flow, factor = self._seen(now), self._flow(now), self._course.factor(now)
        full = self._shown(self._looked(now) + (self._size(now) - left) / flow)
        return Level(
            limit=self._rate.limit(factor),
            remaining=max(0, math.floor(left + flow * EARLY)),
            reset=told(full - now),
        )

    def _size(self, now: float) -> float:
        return self._rate.size(self._course.factor(now))

    def _flow(self, now: float) -> float:
        return self._rate.flow(self._course.factor(now))

    def _holds(self, cost: float, left: float, now: float) -> bool:
        return cost <= left + self._flow(now) * EARLY

    def _looked(self, now: float) -> float:
        """When it was looked into last."""
        if self._refill is None:
            return now
        return self._start + self._refill * ((now - self._start + EARLY) // self._refill)

    def _shown(self, moment: float) -> float:
        """When it is seen what flowed in until `moment`."""
        if self._refill is None:
            return moment
        lumps = math.ceil((moment - self._start - EARLY) / self._refill)
        return self._start + self._refill * lumps

    def _seen(self, now: float) -> float:
        """What can be taken."""
        return min(self._size(now), self._held(self._looked(now)))

    def _held(self, now: float) -> float:
        """What has flowed in until `now` and not out."""
        at, left = self._until, self._left
        while at < now:
            end = min(now, self._course.next(at))
            left = min(self._size(at), left + self._flow(at) * (end - at))
            at = end
        return left


class FixedWindow:
    """So much in each window, counted from the first request; unused room is lost at its end.

    Args:
        rate: How long a window is, and what fits into it.
        course: How that moves.
        now: When the first window begins.
    """

    def __init__(self, rate: Rate, course: Course, now: float) -> None:
        self._rate = rate
        self._course = course
        self._start = now
        self._number = 0  # of the window that _used was taken in
        self._used = 0.0

    def ready(self, cost: float, now: float) -> float:
        """See `Meter.ready`."""
        at = now
        while at < math.inf and cost > self._room(at):
            fresh = self._window(at) > self._number
            at = min(self._course.next(at), math.inf if fresh else self._end(at))
        return at

    def take(self, cost: float, now: float) -> None:
        """See `Meter.take`."""
        if (number := self._window(now)) > self._number:
            self._number, self._used = number, 0.0
        self._used += cost

    def level(self, now: float) -> Level:
        """See `Meter.level`."""
        return Level(
            limit=self._rate.limit(self._course.factor(now)),
            remaining=max(0, math.floor(self._room(now))),
            reset=told(self._end(now) - now),
        )

    def _window(self, now: float) -> int:
        """The number of the window that `now` is in."""
        return math.floor((now - self._start + EARLY) / self._rate.span)

    def _end(self, now: float) -> float:
        return self._start + (self._window(now) + 1) * self._rate.span

    def _room(self, now: float) -> float:
        used = 0.0 if self._window(now) > self._number else self._used
        return self._rate.size(self._course.factor(now)) - used
