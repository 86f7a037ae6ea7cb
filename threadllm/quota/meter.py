"""A meter: so many units flow in a second, and no more than so many are kept for later.

This is the generic cell rate algorithm (ITU-T I.371) with costs: all that is kept is the moment
at which the meter will be full again. It is told the time, guards nothing and waits for nothing.
"""

from __future__ import annotations

import math

_DUST = 1e-9  # of a unit, that float arithmetic may lack
_AT_ONCE = 0.2  # seconds' worth, as threads wake late


def at_once(rate: float) -> float:
    """The units that may go at once at a rate where nobody has said: those of a moment."""
    return max(1.0, rate * _AT_ONCE)


class Meter:
    """How many units may be used, and when. Figures of time are monotonic seconds.

    In a time span of any length no more is taken than flows in meanwhile and `capacity`, but for
    what comes to be owed: see `charge`.

    Args:
        rate: Units a second.
        capacity: Units that may be used at once after a quiet time.
    """

    __slots__ = ("_full_at", "capacity", "rate")

    def __init__(self, rate: float, capacity: float) -> None:
        self.rate = rate
        self.capacity = capacity
        self._full_at = -math.inf

    def wait(self, cost: float, now: float) -> float:
        """Seconds until that much may be taken. What is more than all waits until it is full."""
        lacking = min(cost, self.capacity) - self.level(now)
        return lacking / self.rate if lacking > _DUST else 0.0

    def charge(self, cost: float, now: float) -> None:
        """Take units; a negative cost gives some back.

        What is taken although `wait` has not said that it is there is owed, and waited for.
        """
        self._full_at = max(self._full_at, now) + cost / self.rate

    def level(self, now: float) -> float:
        """Units that may be used now; below zero if some are owed."""
        return self.capacity - max(0.0, self._full_at - now) * self.rate

    def is_idle(self, now: float) -> bool:
        """Whether it has been full for longer than a unit takes to flow."""
        return now > self._full_at + 1 / self.rate

    def set_level(self, level: float, now: float) -> None:
        """Let so many units be there, as far as they fit in."""
        self._full_at = now + max(0.0, self.capacity - level) / self.rate

    def set_rate(self, rate: float, capacity: float, now: float) -> None:
        """Let another rate hold from now on; what is there stays, as far as it fits in."""
        level = self.level(now)
        self.rate, self.capacity = rate, capacity
        self.set_level(level, now)
