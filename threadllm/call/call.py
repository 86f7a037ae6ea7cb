"""One run of the user's function: it begins with a slot, parks without, ends holding none."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING

from threadllm.call.ledger import Exchange, Ledger
from threadllm.exceptions import CallCancelled

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from threadllm.call.terms import Terms
    from threadllm.quota import Gate

current: ContextVar[Call | None] = ContextVar("threadllm_call", default=None)

_STOPPED = "the dispatcher was told to stop while this call waited"


class Call(Ledger):
    """One execution of the user's function on an item.

    It begins with a slot in hand, which its first request uses up; each further request takes
    its own.
    """

    def __init__(self, terms: Terms) -> None:
        super().__init__(terms)
        self._turn = threading.Lock()  # guards what follows, once `begin` has handed the call on
        self._slot_in_hand = False
        self._waited = 0.0
        self._began = self._ended = 0.0

    # For the dispatcher.

    def begin(self) -> None:
        """Wait until the gate of calls that name no origin is open, then for a slot.

        Raises:
            CallCancelled: The dispatcher was told to stop meanwhile.
        """
        self._slot_in_hand = self._admitted(self.terms.quota.gate(""))
        if self.terms.stopped:
            self.return_slot_in_hand()
            raise CallCancelled(_STOPPED)
        self._began = self.terms.now()

    def end(self) -> None:
        """Give back all that the call still holds, and count what it took."""
        self._ended = self.terms.now()
        for exchange in self.in_flight:
            exchange.finish()
        self.return_slot_in_hand()
        self.terms.tally.count("busy", self.elapsed)

    @property
    def began(self) -> float:
        """Monotonic seconds when it had its slot."""
        return self._began

    @property
    def elapsed(self) -> float:
        """Seconds that it ran, its waits for slots, gates and retries not counted."""
        # Waits of several threads of one call add up, perhaps to more than the call lasted.
        return max(0.0, self._ended - self._began - self._waited)

    # For the transport.

    def open(self, method: str, url: str, origin: str, *, retry: int) -> Exchange:
        """Wait for the origin's gate and for a slot; the request may then be sent.

        Raises:
            CallCancelled: The dispatcher was told to stop meanwhile.
        """
        with self._waiting():
            holds_slot = self._admitted(self.terms.quota.gate(origin))
        return self.add_exchange(Exchange(self, method, url, retry, holds_slot=holds_slot))

    def park(self, moment: Callable[[], float]) -> None:
        """Wait without a slot until the monotonic time `moment()`, asked again on waking.

        Raises:
            CallCancelled: The dispatcher was told to stop meanwhile.
        """
        with self._waiting():
            self._park(moment)

    # For both.

    def return_slot_in_hand(self) -> None:
        """Give back the slot that the call began with, if no request has used it yet."""
        with self._turn:
            in_hand, self._slot_in_hand = self._slot_in_hand, False
        if in_hand:
            self.terms.quota.slots.release()

    # Within.

    @contextmanager
    def _waiting(self) -> Iterator[None]:
        since = self.terms.now()
        try:
            yield
        finally:
            with self._turn:
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

    def _take_slot(self) -> bool:
        with self._turn:
            in_hand, self._slot_in_hand = self._slot_in_hand, False
        ride = any(exchange.needs_caller for exchange in self.in_flight)
        # A call that reads a stream holds a slot: to wait for another would be to wait for
        # itself. Its further requests ride along where no slot is free.
        taken = in_hand or self.terms.quota.slots.acquire(
            blocking=not ride, called_off=lambda: self.terms.stopped
        )
        if not (taken or ride):
            raise CallCancelled(_STOPPED)
        return taken

    def _park(self, moment: Callable[[], float]) -> None:
        if moment() <= self.terms.now():
            return
        self.return_slot_in_hand()
        with self.terms.tally.holding("parked"):
            reached = self.terms.sleeper.sleep_until(moment)
        if not reached:
            raise CallCancelled(_STOPPED)
