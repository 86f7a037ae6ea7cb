"""The circuit breaker: after too many failures requests wait, and a few find out how things are.

Closed, open, half-open, as in M. Nygard's "Release It!"; the figures are resilience4j's, with a
shorter rest. The room is told the time, and waits for nothing.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from threadllm.exceptions import OptionError

if TYPE_CHECKING:
    from threadllm.quota.permit import Permit

State = Literal["closed", "open", "half-open"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Breaker:
    """When requests to an origin are held back, and for how long. It is a value.

    Failures are answers with a 5xx, timeouts and broken connections. An origin that has never
    answered is not held back: its requests fail after their attempts.

    Attributes:
        failure_rate: The share of failures at which it opens, above 0 and at most 1.
        sliding_window: How many last requests the share is of; with fewer it stays closed.
        cooldown: Seconds for which it is open; then some requests are let through as probes.
        probes: How many of those must succeed for it to close. One that fails opens it again.

    Raises:
        OptionError: A figure that cannot be meant.
    """

    failure_rate: float = 0.5
    sliding_window: int = 100
    cooldown: float = 30.0
    probes: int = 10

    def __post_init__(self) -> None:
        rate: object = self.failure_rate
        if not (isinstance(rate, (int, float)) and 0 < rate <= 1):
            raise OptionError(f"failure_rate={rate!r}: give a share above 0, at most 1")
        for name in ("sliding_window", "probes"):
            number = getattr(self, name)
            if type(number) is not int or number < 1:
                raise OptionError(f"{name}={number!r}: give a whole number, 1 or more")
        seconds: object = self.cooldown
        if not (isinstance(seconds, (int, float)) and math.isfinite(seconds) and seconds > 0):
            raise OptionError(f"cooldown={seconds!r}: give seconds, more than 0")


class Circuit:
    """One origin's breaker. Its owner's lock guards it.

    Attributes:
        breaker: Its figures.
        state: Whether it lets requests through.
    """

    def __init__(self, breaker: Breaker) -> None:
        self.state: State = "closed"
        self.breaker = breaker
        # The last requests, oldest first.
        self._failed: deque[bool] = deque(maxlen=breaker.sliding_window)
        self._failures = 0  # of those
        self._answered = False
        self._rests_until = math.inf
        self._probing: set[Permit] = set()  # probes in flight
        self._succeeded = 0

    def wait(self, now: float) -> float:
        """Seconds until a request may go; infinite while it depends on probes in flight."""
        if self.state == "closed":
            return 0.0
        if self.state == "open":
            return self._rests_until - now
        probes = len(self._probing) + self._succeeded
        return 0.0 if probes < self.breaker.probes else math.inf

    def take(self, permit: Permit) -> bool:
        """Let a request through; whether the breaker is half-open only now."""
        if self.state == "closed":
            return False
        changed = self.state == "open"
        if changed:
            self.state, self._probing, self._succeeded = "half-open", set(), 0
        self._probing.add(permit)
        permit.is_probe = True
        return changed

    def give_back(self, permit: Permit) -> None:
        """Take in that nothing was learnt of a request."""
        self._probing.discard(permit)

    def succeed(self, permit: Permit) -> bool:
        """Take in an answer that is no failure; whether the breaker closes."""
        self._answered = True
        if self.state == "closed":
            self._note(failed=False)
            return False
        if self.state == "open" or permit not in self._probing:
            return False
        self._probing.remove(permit)
        self._succeeded += 1
        if self._succeeded < self.breaker.probes:
            return False
        self.state = "closed"
        self._failed.clear()
        self._failures = 0
        return True

    def fail(self, permit: Permit, now: float, *, answered: bool) -> bool:
        """Take in a failure; whether the breaker opens."""
        self._answered |= answered
        if self.state == "closed":
            self._note(failed=True)
            few = len(self._failed) < self.breaker.sliding_window or not self._answered
            if few or self._failures < self.breaker.failure_rate * self.breaker.sliding_window:
                return False
        elif self.state == "open" or permit not in self._probing:
            return False
        self.state = "open"
        self._rests_until = now + self.breaker.cooldown
        return True

    def _note(self, *, failed: bool) -> None:
        if len(self._failed) == self.breaker.sliding_window:
            self._failures -= self._failed[0]
        self._failed.append(failed)
        self._failures += failed
