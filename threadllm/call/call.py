"""One run of the user's function: it begins with a slot, parks without, ends holding none."""

from __future__ import annotations

import math
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING

from threadllm.call.deadline import NO_LIMIT
from threadllm.call.exchange import Exchange
from threadllm.call.ledger import Ledger
from threadllm.call.visit import Visit
from threadllm.exceptions import CallCancelled, CallExpired
from threadllm.forks import after_fork
from threadllm.outcome import Usage
from threadllm.providers import NOTHING
from threadllm.quota import Ended, Need

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from threadllm.providers import Asked
    from threadllm.quota import Line, Permit, Quota, Refusal

current: ContextVar[Call | None] = ContextVar("threadllm_call", default=None)

after_fork(lambda: current.set(None))  # the call goes on in the parent
_GRACE = 1.0  # seconds
# For connections that are not ours, and end by their timeouts if the other side is silent.
_GRACE_OF_OTHERS = 0.025
_NO_USAGE = Usage()
_NO_NEED = Need()
_STOPPED = "the dispatcher was told to stop while this call waited"


class Call(Ledger):
    """One execution of the user's function on an item.

    It begins with a slot and a permit in hand: leave for a call that names no origin. Its first
    request uses up the slot, if that is of its own quota, and trades the permit for one of its own
    origin's; each further request takes its own.

    Attributes:
        began: Monotonic seconds when it had its slot.
        under_way: Whether the function runs: set by whoever calls it, and over with `end`.
        gave_up: Whether it was told to wait no longer.
        went_well: Whether it came back: set by whoever calls it, before `end`.
    """

    began = 0.0
    under_way = False
    gave_up = False
    went_well = False
    # Guarded by lock, once `begin` has handed the call on:
    _slot_in_hand = False
    _permit: Permit | None = None
    _is_charged = False  # for itself, and not for requests of its own
    _waits = 0  # how many of its threads wait here
    _waited = 0.0

    # For the dispatcher.

    def begin(self) -> None:
        """Wait for a permit for calls that name no origin, and for a slot.

        Raises:
            CallCancelled: The dispatcher was told to stop meanwhile.
            CallExpired: The deadline has passed meanwhile.
        """
        quota = self.terms.quota
        line = quota.line("")
        goes_by = line.is_free(self.terms.now())
        self._slot_in_hand = goes_by and quota.slots.acquire(blocking=False)
        if not self._slot_in_hand:
            self._permit, self._slot_in_hand = self._enter(quota, line, self.need or _NO_NEED)
            self._is_charged = True
        self.began, self._waited = self.terms.now(), 0.0
        try:
            self.check()
        except (CallCancelled, CallExpired):
            self.end()
            raise

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
        for exchange in self.in_flight if self._open else ():
            exchange.finish()
        self._end_permit()
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
            self.terms.look_again()
        cut = [exchange.cut() for exchange in self.in_flight]
        if waits or any(cut) or self.heeded:
            return _GRACE
        return _GRACE_OF_OTHERS if cut else 0.0

    def refuse(self, refusal: Refusal) -> None:
        """Take in a 429 that came from nobody knows where: all calls wait before they begin."""
        line = self.terms.quota.line("")
        line.refuse(self._permit, self.began, refusal, self.terms.now())

    @property
    def elapsed(self) -> float:
        """Seconds that it ran, its waits for slots, gates and retries not counted."""
        # Waits of several threads of one call add up, perhaps to more than the call lasted.
        return max(0.0, (self._ended or 0.0) - self.began - self._waited)

    # For the transport.

    def open(
        self,
        method: str,
        url: str,
        origin: str,
        *,
        retry: int,
        asked: Asked = NOTHING,
        is_retry: bool = False,
    ) -> Exchange:
        """Wait for the origin's turn and for a slot; the request may then be sent.

        Args:
            method: The HTTP method.
            url: Scheme, host, port and path.
            origin: Scheme, host and port.
            retry: Which try it is, from 0.
            asked: What its body asks for.
            is_retry: Whether it is a retry that the attempts and the retry budget are charged with.

        Raises:
            BreakerOpen: The breaker is open, and is not to be waited for.
            CallCancelled: The dispatcher was told to stop meanwhile.
            CallExpired: The deadline has passed.
        """
        quota = self.terms.quota_of(origin, url)
        line = quota.line(origin, asked.model)
        permit, holds_slot = self._enter(quota, line, self._need_of(line, asked), is_retry=is_retry)
        permit.size = asked.size
        self._trade_permit()
        slots = quota.slots if holds_slot else None
        exchange = Exchange(self, method, url, retry, line, permit, slots)
        if self.add_exchange(exchange):
            return exchange
        exchange.give_back()
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
        """Give back the slot that the call began with, if no request has used it yet.

        It stays charged with the permit, until a request of its own takes one.
        """
        if self._take_slot_in_hand():
            self.terms.quota.slots.release()
            self._stand_aside()

    @property
    def is_called_off(self) -> bool:
        """Whether it should wait no longer."""
        is_stopped = self.run is not None and self.run.is_stopped
        return self.terms.stopped or is_stopped or self.late

    def check(self) -> None:
        """See whether it should wait on.

        Raises:
            CallCancelled: The dispatcher was told to stop.
            CallExpired: The deadline has passed.
        """
        if self.is_called_off:
            raise self._called_off()

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

    def _enter(
        self, quota: Quota, line: Line, need: Need, *, is_retry: bool = False
    ) -> tuple[Permit, bool]:
        """A permit, and whether it comes with a slot of the quota."""
        own = quota is self.terms.quota
        if (own and self._take_slot_in_hand()) or quota.slots.acquire(blocking=False):
            permit = None
            try:
                permit = line.entrance.pass_by(need, self.terms.now(), is_retry=is_retry)
            finally:
                if permit is None:
                    quota.slots.release()
            if permit is not None:  # as most do: it has waited for nothing
                return permit, True
        # A call that reads a stream holds a slot: to wait for another would be to wait for
        # itself. Its further requests ride along where no slot is free.
        # So do those of calls that it submits, and may be waiting for.
        rides = any(exchange.needs_caller for call in self.lineage for exchange in call.in_flight)
        with self._waiting():
            self.return_slot_in_hand()
            self._stand_aside()
            visit = Visit(self, quota, rides=rides)
            permit = line.entrance.enter(visit, need, is_retry=is_retry)
            return permit, visit.holds_slot or quota.slots.acquire(blocking=False)

    def _stand_aside(self) -> None:
        if self._permit is not None:
            self.terms.quota.line("").stand_aside(self._permit)

    def _need_of(self, line: Line, asked: Asked) -> Need:
        if self.need is not None:
            return self.need
        return line.estimate.need(asked.size, asked.most) if line.counts_tokens else _NO_NEED

    def _trade_permit(self) -> None:
        """Hold and be charged no more for the call: a request has what it needs of its own."""
        if self._slot_in_hand:  # the request goes by another quota
            self.return_slot_in_hand()
        if self._permit is not None and self._stops_being_charged():
            self.terms.quota.line("").withdraw(self._permit, self.terms.now())

    def _end_permit(self) -> None:
        """Let the call count as one request, if none of its own is known."""
        if self._permit is not None and self._stops_being_charged():
            self._permit.ended = Ended.ACCEPTED if self.went_well else Ended.UNKNOWN
            self.terms.quota.line("").leave(self._permit, _NO_USAGE, self.terms.now())

    def _stops_being_charged(self) -> bool:
        with self.lock:
            was, self._is_charged = self._is_charged, False
        return was

    def _take_slot_in_hand(self) -> bool:
        with self.lock:
            in_hand, self._slot_in_hand = self._slot_in_hand, False
        return in_hand

    def _park(self, moment: Callable[[], float]) -> None:
        if moment() <= self.terms.now():
            return
        self.return_slot_in_hand()
        with self.terms.tally.holding("parked"):
            # To the deadline where that comes first, though nothing can come of it. An item that
            # gave up at once would make room for the next: a pause would cost the whole backlog.
            self.terms.sleeper.sleep_until(
                lambda: -math.inf if self.is_called_off else min(moment(), self.limit.moment)
            )
        self.check()

    def _called_off(self) -> CallCancelled | CallExpired:
        if self.must_end():
            return CallExpired(str(self.limit))
        self.gave_up = True
        return CallCancelled(_STOPPED)
