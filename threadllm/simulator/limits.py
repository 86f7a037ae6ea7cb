"""What one key may do: token buckets with continuous refill, and a number in flight.

The room is told the time with each question; it must not know what a request asks for.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from threadllm.exceptions import OptionError
from threadllm.simulator.checks import above_zero, at_least

_MINUTE = 60.0
_DUST = 1e-9  # what float arithmetic may lack of a whole token


@dataclass(frozen=True, slots=True)
class Limits:
    """What the simulator allows each key of each dialect; by default everything.

    Attributes:
        concurrency: Requests in flight at a time.
        requests_per_minute: Requests per minute, refilled continuously.
        tokens_per_minute: Tokens per minute, of prompt and answer together, charged on arrival;
            up to one minute's worth may come at once, and a request that needs more never may.
        burst: Requests that may come at once after a quiet time; one minute's worth by default.
        retry_after: Whether a refusal says how long to wait.

    Raises:
        OptionError: A figure is not above zero, or a burst is given without a rate.
    """

    concurrency: int | None = None
    requests_per_minute: float | None = None
    tokens_per_minute: float | None = None
    burst: int | None = None
    retry_after: bool = True

    def __post_init__(self) -> None:
        at_least(1, concurrency=self.concurrency, burst=self.burst)
        above_zero(
            requests_per_minute=self.requests_per_minute, tokens_per_minute=self.tokens_per_minute
        )
        if self.burst is not None and self.requests_per_minute is None:
            raise OptionError(f"burst={self.burst!r}: give requests_per_minute with it")


@dataclass(frozen=True, slots=True)
class Level:
    """How full a bucket is: its limit per minute, what remains, and seconds until it is full."""

    limit: int
    remaining: int
    reset: float


@dataclass(frozen=True, slots=True)
class Refusal:
    """Which limit was reached, and seconds until it would not be; None where nobody can know."""

    about: str
    wait: float | None


class TokenBucket:
    """A bucket of `size` that refills at `per_minute` and starts full.

    It holds one number, the moment at which it will be full again. In no time span does it
    give out more than `size` and what flows in meanwhile.
    """

    __slots__ = ("_full_at", "_per_minute", "_rate", "_size")

    def __init__(self, per_minute: float, size: float) -> None:
        self._per_minute = per_minute
        self._rate = per_minute / _MINUTE
        self._size = size
        self._full_at = -math.inf

    def wait(self, cost: float, now: float) -> float:
        """Seconds from `now` until `cost` can be taken: 0 if it can be now."""
        lacking = cost - self._left(now)
        return lacking / self._rate if lacking > _DUST else 0.0

    def take(self, cost: float, now: float) -> None:
        """Take `cost` out; `wait` has said that it is there."""
        self._full_at = max(self._full_at, now) + cost / self._rate

    def level(self, now: float) -> Level:
        """How full it is."""
        remaining = math.floor(self._left(now) + _DUST)
        return Level(math.floor(self._per_minute), remaining, max(0.0, self._full_at - now))

    def _left(self, now: float) -> float:
        return self._size - max(0.0, self._full_at - now) * self._rate


class Account:
    """One key's use of its limits. Requests that are refused cost nothing."""

    def __init__(self, limits: Limits) -> None:
        self._concurrency = limits.concurrency or math.inf
        self._active = 0
        self._buckets: dict[str, TokenBucket] = {}
        if rate := limits.requests_per_minute:
            self._buckets["requests"] = TokenBucket(rate, limits.burst or max(rate, 1.0))
        if rate := limits.tokens_per_minute:
            self._buckets["tokens"] = TokenBucket(rate, rate)

    def admit(self, tokens: int, now: float) -> Refusal | None:
        """Let a request in, to be followed by `leave`; or say why not."""
        if self._active >= self._concurrency:
            return Refusal("concurrency", None)
        costs = {"requests": 1, "tokens": tokens}
        waits = {about: one.wait(costs[about], now) for about, one in self._buckets.items()}
        if any(waits.values()):
            about = max(waits, key=waits.__getitem__)
            return Refusal(about, waits[about])
        for about, bucket in self._buckets.items():
            bucket.take(costs[about], now)
        self._active += 1
        return None

    def leave(self) -> None:
        """A request that was let in is over."""
        self._active -= 1

    def levels(self, now: float) -> dict[str, Level]:
        """How full each bucket is, by what it counts: requests, tokens."""
        return {about: bucket.level(now) for about, bucket in self._buckets.items()}
