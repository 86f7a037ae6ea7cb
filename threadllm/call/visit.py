"""A call before a line of a quota: how long it waits there, and what it holds meanwhile."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import threading

    from threadllm.call.deadline import Limit
    from threadllm.call.terms import Terms
    from threadllm.quota import Quota


class Waiting(Protocol):
    """Who waits: a call."""

    terms: Terms
    limit: Limit

    def check(self) -> None:
        """See `threadllm.quota.Visitor.check`."""

    @property
    def is_called_off(self) -> bool:
        """Whether it should wait no longer."""


class Visit:
    """A call that waits for its turn and for a slot: see `threadllm.quota.Visitor`."""

    def __init__(self, call: Waiting, quota: Quota, *, rides: bool) -> None:
        self.holds_slot = False
        self.is_parked = False
        self.rides = rides
        self._call = call
        self._slots = quota.slots

    def now(self) -> float:
        """See `Visitor.now`."""
        return self._call.terms.now()

    def check(self) -> None:
        """See `Visitor.check`."""
        self._call.check()

    def take_slot(self) -> None:
        """See `Visitor.take_slot`."""
        self.holds_slot = self._slots.acquire(called_off=lambda: self._call.is_called_off)
        if not self.holds_slot:
            self._call.check()

    def give_slot_back(self) -> None:
        """See `Visitor.give_slot_back`."""
        if self.holds_slot:
            self.holds_slot = False
            self._slots.release()

    def count_parked(self, *, parked: bool) -> None:
        """See `Visitor.count_parked`."""
        if parked is not self.is_parked:
            self.is_parked = parked
            self._call.terms.tally.count("parked", 1 if parked else -1)

    def wait(self, condition: threading.Condition, seconds: float | None) -> None:
        """See `Visitor.wait`: never beyond the deadline."""
        terms, moment = self._call.terms, self._call.limit.moment
        left = moment - terms.now()
        if seconds is None or left < seconds:
            seconds = None if left == math.inf else max(0.0, left)
        terms.sleeper.clock.wait(condition, seconds)
