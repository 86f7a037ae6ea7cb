"""One run of the user's function: it begins with a slot, parks without, ends holding none."""

from __future__ import annotations

from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING

from threadllm.call.deadline import NO_LIMIT
from threadllm.call.exchange import Exchange
from threadllm.call.ledger import Ledger
from threadllm.exceptions import CallCancelled, CallExpired

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from threadllm.quota import Gate

current: ContextVar[Call | None] = ContextVar("threadllm_call", default=None)

_GRACE = 1.0  # seconds
# For connections that are not ours, and end by their timeouts if the other side is silent.
_GRACE_OF_OTHERS = 0.025
_STOPPED = "the dispatcher was told to stop while this call waited"


class Call(Ledger):
    """One execution of the user's function on an item.

    It begins with a slot in hand, which its first request uses up; each further request takes
    its own.

    Attributes:
        under_way: Whether the function runs: set by whoever calls it, and over with `end`.
    """

    under_way = False
    # Guarded by lock, once `begin` has handed the call on:
    _slot_in_hand = False
    _waits = 0  # how many of its threads wait here
    _waited = 0.0
    _began = 0.0
    _ended: float | None = None

    # For the dispatcher.

    def begin(self) -> None:
        """Wait until the gate of calls that name no origin is open, then for a slot.

        Raises:
            CallCancelled: The dispatcher was told to stop meanwhile.
            CallExpired: The deadline has passed meanwhile.
        """
        self._slot_in_hand = self._admitted(self.terms.quota.gate(""))
        if self.terms.stopped or self.late:
            self.return_slot_in_hand()
            raise self._called_off()
        self._began = self.terms.now()

    def end(self) -> bool:
        """Give back all that the call still holds, and count what it took.

        What the function leaves running has no deadline any more, unless that has ended the call.

        Returns:
            Whether it has ended only now: its thread and the deadline may both end it.
        """
        with self.lock:
            if self._ended is not None:
                return False
            self._ended = self.terms.now()
            self.under_way = False
            if not self.expired:
                self.limit = NO_LIMIT
        self.return_slot_in_hand()
        for exchange in self.in_flight:
            exchange.finish()
        self.terms.tally.count("busy", self.elapsed)
        return True

    def expire(self) -> float:
        """End the call's waits and break off its exchanges, as its deadline has passed.

        Parks end by themselves at that moment; a wait for a slot must be told.

        Returns:
            Seconds in which the call should end by itself, for that or because it was told before;
            0 if there was nothing of the kind.
        """
        self.mark_expired()
        with self.lock:
            waits = self._waits > 0
        if waits or not self.under_way:
            self.terms.quota.slots.look_again()
        cut = [exchange.cut() for exchange in self.in_flight]
        if waits or any(cut) or self.heeded:
            return _GRACE
        return _GRACE_OF_OTHERS if cut else 0.0

    @property
    def began(self) -> float:
        """Monotonic seconds when it had its slot."""
        return self._began

    @property
    def elapsed(self) -> float:
        """Seconds that it ran, its waits for slots, gates and retries not counted."""
        # Waits of several threads of one call add up, perhaps to more than the call lasted.
        return max(0.0, (self._ended or 0.0) - self._began - self._waited)

    # For the transport.

    def open(self, method: str, url: str, origin: str, *, retry: int) -> Exchange:
        """Wait for the origin's gate and for a slot; the request may then be sent.

        Raises:
            CallCancelled: The dispatcher was told to stop meanwhile.
            CallExpired: The deadline has passed.
        """
        gate = self.terms.quota.gate(origin)
        if gate.opens_at <= self.terms.now() and self._take_slot_in_hand():
            holds_slot = True  # as most do: it has waited for nothing
        else:
            with self._waiting():
                holds_slot = self._admitted(gate)
        exchange = Exchange(self, method, url, retry, holds_slot=holds_slot)
        if self.add_exchange(exchange):
            return exchange
        if holds_slot:
            self.terms.quota.slots.release()
        raise self._called_off()

    def park(self, moment: Callable[[], float]) -> None:
        """Wait without a slot until the monotonic time `moment()`, asked again on waking.

        Raises:
            CallCancelled: The dispatcher was told to stop meanwhile.
            CallExpired: The deadline has passed meanwhile.
        """
        with self._waiting():
            self._park(moment)

    # For both.

    def return_slot_in_hand(self) -> None:
        """Give back the slot that the call began with, if no request has used it yet."""
        if self._take_slot_in_hand():
            self.terms.quota.slots.release()

    # Within.

    @contextmanager
    def _waiting(self) -> Iterator[None]:
        with self.lock:
            self._waits += 1
            since = self.terms.now()
        try:
            yield
        finally:
            with self.lock:
                self._waits -= 1
                self._waited += self.terms.now() - since

    def _admitted(self, gate: Gate) -> bool:
        """Wait until the gate is open with a slot at hand; whether that slot is the request's."""
        while True:
            self._park(lambda: gate.opens_at)
            holds_slot = self._take_slot()
            if gate.opens_at <= self.terms.now():
                return holds_slot
            if holds_slot:  # the gate was shut while the slot was waited for
                self.terms.quota.slots.release()

    def _take_slot_in_hand(self) -> bool:
        with self.lock:
            in_hand, self._slot_in_hand = self._slot_in_hand, False
        return in_hand

    def _take_slot(self) -> bool:
        slots = self.terms.quota.slots
        if self._take_slot_in_hand() or slots.acquire(blocking=False):
            return True
        # A call that reads a stream holds a slot: to wait for another would be to wait for
        # itself. Its further requests ride along where no slot is free.
        if any(exchange.needs_caller for exchange in self.in_flight):
            return False
        if slots.acquire(called_off=lambda: self.terms.stopped or self.late):
            return True
        raise self._called_off()

    def _park(self, moment: Callable[[], float]) -> None:
        if moment() <= self.terms.now():
            return
        self.return_slot_in_hand()
        with self.terms.tally.holding("parked"):
            # To the deadline where that comes first, though nothing can come of it. An item that
            # gave up at once would make room for the next: a pause would cost the whole backlog.
            reached = self.terms.sleeper.sleep_until(lambda: min(moment(), self.limit.moment))
        if not reached or self.late:
            raise self._called_off()

    def _called_off(self) -> CallCancelled | CallExpired:
        return CallExpired(str(self.limit)) if self.must_end() else CallCancelled(_STOPPED)
