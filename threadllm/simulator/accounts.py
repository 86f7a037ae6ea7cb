"""Who may do what: each key's use of its limits.

The room is told the time with each question; it must not know what a request asks for.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from threadllm.simulator.buckets import FixedWindow, Level, Meter, TokenBucket
from threadllm.simulator.rates import DAY, MINUTE, Course, Rate, moved, told

if TYPE_CHECKING:
    from threadllm.simulator.limits import Limits


@dataclass(frozen=True, slots=True)
class Refusal:
    """Which limit was reached, and seconds until it would not be; None where nobody can know."""

    about: str
    wait: float | None


def _rates(limits: Limits) -> dict[str, Rate]:
    """What is limited, by its name."""
    rows = (
        ("requests", limits.requests_per_minute, MINUTE, limits.burst, 1),
        ("requests-per-day", limits.requests_per_day, DAY, None, 1),
        ("tokens", limits.tokens_per_minute, MINUTE, None, 0),
        ("input-tokens", limits.input_tokens_per_minute, MINUTE, None, 0),
        ("output-tokens", limits.output_tokens_per_minute, MINUTE, None, 0),
    )
    return {
        about: Rate(amount, span, burst, least)
        for about, amount, span, burst, least in rows
        if amount is not None
    }


class Account:
    """One key's use of its limits. Requests that are refused cost nothing."""

    def __init__(self, limits: Limits, course: Course, now: float) -> None:
        self._concurrency = limits.concurrency
        self._course = course
        self._active = 0
        self._meters: dict[str, Meter] = {
            about: FixedWindow(rate, course, now)
            if limits.window == "fixed"
            else TokenBucket(rate, course, now, limits.refill)
            for about, rate in _rates(limits).items()
        }

    def admit(self, input_tokens: int, output_tokens: int, now: float) -> Refusal | None:
        """Let a request in, to be followed by `leave`; or say why not."""
        if self._active >= self._places(now):
            return Refusal("concurrency", None)
        costs = {
            "requests": 1,
            "requests-per-day": 1,
            "tokens": input_tokens + output_tokens,
            "input-tokens": input_tokens,
            "output-tokens": output_tokens,
        }
        if refusal := self._refusal(costs, now):
            return refusal
        for about, meter in self._meters.items():
            meter.take(costs[about], now)
        self._active += 1
        return None

    def leave(self) -> None:
        """A request that was let in is over."""
        self._active -= 1

    def levels(self, now: float) -> dict[str, Level]:
        """How full each bucket is, by what it counts."""
        return {about: meter.level(now) for about, meter in self._meters.items()}

    def _places(self, now: float) -> float:
        if self._concurrency is None:
            return math.inf
        return max(1, math.floor(moved(self._concurrency, self._course.factor(now))))

    def _refusal(self, costs: dict[str, int], now: float) -> Refusal | None:
        """The limit that keeps it waiting longest, and until all of them let it in."""
        about, moment = "", now
        while moment < math.inf:
            waits = {name: one.ready(costs[name], moment) for name, one in self._meters.items()}
            name = max(waits, key=waits.__getitem__, default="")
            if waits.get(name, moment) <= moment:
                break
            # What would let it in sooner may have shrunk by then: it is asked again.
            about, moment = name, waits[name]
        if not about:
            return None
        return Refusal(about, None if moment == math.inf else told(moment - now))


class Accounts:
    """Everybody's. What moves does so for all at once, counted from the first request."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._course: Course | None = None
        self._accounts: dict[tuple[str, str], Account] = {}

    def of(self, dialect: str, key: str, now: float) -> Account:
        """The account that a request in this dialect with this key is charged to."""
        if self._course is None:
            self._course = Course(self._limits.moves, now)
        if (account := self._accounts.get((dialect, key))) is None:
            account = Account(self._limits, self._course, now)
            self._accounts[dialect, key] = account
        return account
