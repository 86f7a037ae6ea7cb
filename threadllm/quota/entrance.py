"""Where requests wait for their turn: first come, first served.

Only the first in the line waits for a moment, and reckons it anew whenever it wakes; the others
are woken one by one, as each becomes the first. So nobody is handed a time that a change of pace
makes wrong, and no crowd wakes for one permit.
"""

from __future__ import annotations

import math
import threading
from collections import deque
from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    from threadllm.quota.origin import Origin
    from threadllm.quota.permit import Need, Permit

_DUST = 1e-9  # seconds


class Visitor(Protocol):
    """Who wants a permit: a call, on a thread of its own.

    Attributes:
        holds_slot: Whether it has a slot of the quota.
        is_parked: Whether it is counted among those that wait for a moment.
        rides: Whether it goes without a slot where none is free.
    """

    holds_slot: bool
    is_parked: bool
    rides: bool

    def now(self) -> float:
        """Monotonic seconds."""

    def check(self) -> None:
        """See whether it should wait on.

        Raises:
            CallCancelled: The dispatcher was told to stop.
            CallExpired: The deadline has passed.
        """

    def take_slot(self) -> None:
        """Wait for a slot.

        Raises:
            CallCancelled: The dispatcher was told to stop meanwhile.
            CallExpired: The deadline has passed meanwhile.
        """

    def give_slot_back(self) -> None:
        """Give the slot back, if it has one."""

    def count_parked(self, *, parked: bool) -> None:
        """Be counted among those that wait for a moment, or no longer."""

    def wait(self, condition: threading.Condition, seconds: float | None) -> None:
        """Wait on a condition that it holds, for so many seconds or less."""


class Beyond(Protocol):
    """What it leads into: a line, whose attributes say more.

    Attributes:
        name: What people call it.
        origin: What it shares with others.
        lock: The quota's.
    """

    name: str
    origin: Origin
    lock: threading.RLock

    def wait(self, need: Need, now: float, *, is_retry: bool) -> float:
        """Seconds until another request may go, slots apart; perhaps infinite."""

    def let_in(self, need: Need, now: float, *, is_retry: bool, waited: bool) -> Permit:
        """Let a request through: `wait` has said that it may go."""


class _Outlook(NamedTuple):
    """What a call in the line has before it.

    Attributes:
        seconds: Until it is its turn, slots apart; None if it will be told.
        parked: Whether a moment is waited for, and not a slot.
    """

    seconds: float | None
    parked: bool


_ITS_TURN = _Outlook(0.0, parked=False)


class _Place:
    """A place in the line."""

    __slots__ = ("look_again",)

    def __init__(self, lock: threading.RLock) -> None:
        self.look_again = threading.Condition(lock)


class Entrance:
    """The way into one line, whose lock guards it."""

    def __init__(self, line: Beyond) -> None:
        self._line = line
        self._places: deque[_Place] = deque()
        self._parked = False  # whether the first of them waits for a moment

    def pass_by(self, need: Need, now: float, *, is_retry: bool = False) -> Permit | None:
        """A permit for who has a slot, if nobody waits and nothing is to be waited for."""
        line = self._line
        with line.lock:
            if self._places or line.wait(need, now, is_retry=is_retry) > _DUST:
                return None
            if not line.origin.has_room(now):
                return None
            return line.let_in(need, now, is_retry=is_retry, waited=False)

    def enter(self, visitor: Visitor, need: Need, *, is_retry: bool = False) -> Permit:
        """Wait for a permit, and for a slot, which the visitor then has, unless it rides along.

        Raises:
            BreakerOpen: The breaker is open, and is not to be waited for.
            CallCancelled: The dispatcher was told to stop meanwhile.
            CallExpired: The deadline has passed meanwhile.
        """
        place = _Place(self._line.lock)
        with self._line.lock:
            if visitor.rides:  # whoever waits for its slot must not be waited for
                self._places.appendleft(place)
            else:
                self._places.append(place)
            self._line.origin.waiting.add(self)
        has_entered = False
        try:
            permit = self._await(place, visitor, need, is_retry=is_retry)
            has_entered = True
            return permit
        finally:
            with self._line.lock:
                self._places.remove(place)
                if not self._places:
                    self._line.origin.waiting.discard(self)
                self.wake()
            visitor.count_parked(parked=False)
            if not has_entered:
                visitor.give_slot_back()

    def wake(self) -> None:
        """Have the first look again; the lock is held."""
        if self._places:
            self._places[0].look_again.notify()

    def wake_all(self) -> None:
        """Have all look again; the lock is held."""
        for place in self._places:
            place.look_again.notify()

    @property
    def waiting(self) -> int:
        """How many wait, be it for a slot."""
        return len(self._places)

    @property
    def parked(self) -> int:
        """How many wait for a moment, and not for a slot."""
        return len(self._places) if self._parked else 0

    def _await(self, place: _Place, visitor: Visitor, need: Need, *, is_retry: bool) -> Permit:
        line, waited = self._line, False
        while True:
            with line.lock:
                visitor.check()  # here, so that nobody is called off between this and its wait
                outlook = self._outlook(place, visitor, need, is_retry=is_retry)
                if outlook is _ITS_TURN:
                    if visitor.holds_slot or visitor.rides:
                        waited = waited or len(self._places) > 1
                        return line.let_in(need, visitor.now(), is_retry=is_retry, waited=waited)
                elif not visitor.holds_slot and visitor.is_parked is outlook.parked:
                    waited = waited or outlook.parked
                    visitor.wait(place.look_again, outlook.seconds)
                    continue
            # Without the lock: counting and slots have locks of their own.
            visitor.count_parked(parked=outlook.parked)
            if outlook is _ITS_TURN:
                visitor.take_slot()
            else:
                visitor.give_slot_back()

    def _outlook(self, place: _Place, visitor: Visitor, need: Need, *, is_retry: bool) -> _Outlook:
        line, now = self._line, visitor.now()
        line.origin.check_breaker(line.name, now)
        if self._places[0] is not place:
            return _Outlook(None, self._parked)
        seconds = line.wait(need, now, is_retry=is_retry)
        self._parked = seconds > _DUST
        if self._parked:
            return _Outlook(None if seconds == math.inf else seconds, parked=True)
        if visitor.rides or line.origin.has_room(now):
            return _ITS_TURN
        return _Outlook(line.origin.seconds_to_room(now), parked=False)
