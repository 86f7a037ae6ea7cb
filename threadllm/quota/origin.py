"""What the lines of one origin share: slots, the limits that the user stated, the breaker."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from threadllm.exceptions import BreakerOpen
from threadllm.quota.breaker import Circuit
from threadllm.quota.concurrency import ConcurrencyLimit
from threadllm.quota.meter import Meter
from threadllm.quota.slots import Room

if TYPE_CHECKING:
    from threadllm.quota.limit import Limited
    from threadllm.quota.memory import LearntOfOrigin
    from threadllm.quota.permit import Permit
    from threadllm.quota.settings import Settings

_RETRIES_A_SECOND = 10.0  # that are let through whatever else is, as Finagle has it
_RETRIES_KEPT = 100.0


class Waiting(Protocol):
    """Where requests wait: the way into a line."""

    def wake(self) -> None:
        """Have the first look again; the lock is held."""


class Origin:
    """One origin under one quota, whose lock guards it.

    Args:
        settings: What the user states.
        limits: The limits among that.
        learnt: What was learnt before, and where what is learnt is kept.
        is_known: Whether it is one origin; false for calls that name none.
        share: This process's part of what is begun with.

    Attributes:
        is_known: See above.
        learnt: Likewise.
        waiting: The ways into the lines of its models before which somebody waits.
        in_flight: Requests that were let through and have not left.
        limits: See above.
        circuit: Its breaker; None if there is none.
        concurrency: How many may be in flight, as learnt.
    """

    def __init__(
        self,
        settings: Settings,
        limits: list[Limited],
        learnt: LearntOfOrigin,
        *,
        is_known: bool,
        share: float = 1.0,
    ) -> None:
        self.is_known = is_known
        self.waiting: set[Waiting] = set()
        self.in_flight: set[Permit] = set()
        self.limits = limits
        # Calls that name no origin may go to many, and all of them may have to begin.
        breaker = settings.breaker if is_known else None
        self.circuit = None if breaker is None else Circuit(breaker)
        self.learnt = learnt
        self.concurrency = ConcurrencyLimit(
            settings.concurrency, starting=is_known and settings.adaptive, share=share
        )
        if settings.adaptive and learnt.size is not None:
            self.concurrency.begin_at(learnt.size)
        self._room = Room(settings.concurrency)
        self._fails = settings.breaker_action == "fail"
        self._share = settings.retry_budget or 0.0
        self._retries = (
            None if settings.retry_budget is None else Meter(_RETRIES_A_SECOND, _RETRIES_KEPT)
        )

    def check_breaker(self, name: str, now: float) -> None:
        """See that the breaker is not open, where that is not to be waited for.

        Raises:
            BreakerOpen: It is; `name` says where.
        """
        circuit = self.circuit
        if self._fails and circuit is not None and circuit.wait(now) > 0:
            raise BreakerOpen(
                f"{name}: not sent, as too many requests failed before it; the breaker is "
                f"{circuit.state}"
            )

    def wait(self, now: float, *, is_retry: bool) -> float:
        """Seconds until another request may go, slots and limits apart; perhaps infinite."""
        longest = 0.0 if self.circuit is None else self.circuit.wait(now)
        if is_retry and self._retries is not None:
            longest = max(longest, self._retries.wait(1, now))
        return longest

    def has_room(self, now: float) -> bool:
        """Whether one of the slots that it may have is free."""
        self.concurrency.open_until(now)
        self._room.allow(self.concurrency.allowed)
        return self._room.has_more and not self.concurrency.seconds_to_next(now)

    def seconds_to_room(self, now: float) -> float | None:
        """Seconds until there is room even if nothing ends; None if there will be none."""
        if self._room.has_more:
            return self.concurrency.seconds_to_next(now)
        return self.concurrency.seconds_to_open(self._room.out, now)

    def let_in(self, permit: Permit, now: float, *, is_retry: bool) -> bool:
        """Take in a request; whether it is the first probe of a breaker."""
        permit.has_room = self._room.take()
        self.in_flight.add(permit)
        self.concurrency.note(len(self.in_flight), now)
        if self._retries is not None:
            self._retries.charge(1 if is_retry else -self._share, now)
        return self.circuit is not None and self.circuit.take(permit)

    def give_room_back(self, permit: Permit) -> None:
        """Take a request off those in flight."""
        self.in_flight.discard(permit)
        if permit.has_room:
            permit.has_room = False
            self._room.give_back()

    def excuse(self, refused: Permit) -> None:
        """Take one off those that were beside others: the provider has not let it in."""
        for permit in [*self.in_flight]:
            if (permit.at, permit.number) > (refused.at, refused.number):
                permit.beside -= 1

    def wake(self) -> None:
        """Have those who are first in their lines look again."""
        for entrance in self.waiting:
            entrance.wake()
