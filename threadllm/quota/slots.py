"""Slots: leave to have a request in flight. A BoundedSemaphore whose waiters can be called off.

`Slots` are those of a quota, for which threads wait here; `sharing` says how many of them may be
out, where others have the rest. A `Room` has no waiters: it is what lies within, and what of the
slots one origin may have.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


def _semaphore(number: int) -> threading.BoundedSemaphore:
    """A semaphore that the collector may give back to.

    Its own condition's lock is not reentrant, and the collector, which may strike under it, ends
    streams, whose slots come back.
    """
    semaphore = threading.BoundedSemaphore(number)
    vars(semaphore)["_cond"] = threading.Condition()
    return semaphore


class Room:
    """A number of permits, of which some may be held back. Its owner's lock guards all but taking.

    It shrinks by holding permits back, as they come free, and grows by giving them out again.
    """

    def __init__(self, number: int) -> None:
        self._permits = _semaphore(number)
        self._number = number
        self._held = 0  # permits that are held back
        self._to_hold = 0

    @property
    def out(self) -> int:
        """Permits that are out."""
        return self._number - self._held - self._free

    @property
    def has_more(self) -> bool:
        """Whether there is a permit to take."""
        return self._free > 0

    def take(self) -> bool:
        """Take a permit; whether there was one."""
        return self._permits.acquire(blocking=False)

    def give_back(self) -> None:
        """Give a permit back.

        Raises:
            ValueError: More would be given back than were taken.
        """
        if not self.out:
            raise ValueError("a slot was released too many times")
        self._held += 1
        self._let_go()

    def allow(self, number: int) -> None:
        """Let no more than so many be out, once those that are too many have come back."""
        self._to_hold = self._number - number
        self._let_go()
        while self._held < self._to_hold and self._permits.acquire(blocking=False):
            self._held += 1

    @property
    def _free(self) -> int:
        free: int = vars(self._permits)["_value"]
        return free

    def _let_go(self) -> None:
        while self._held > self._to_hold:
            self._held -= 1
            self._permits.release()


class Slots:
    """A number of permits. Shared by threads, and by dispatchers that share a quota."""

    def __init__(self, number: int) -> None:
        self._changed = threading.Condition()  # notified when waiters have reason to look again
        self._room = Room(number)  # guarded by _changed
        self._waiters = 0  # written under _changed; read without it

    def acquire(
        self, *, blocking: bool = True, called_off: Callable[[], bool] = lambda: False
    ) -> bool:
        """Take a permit; whether there was one.

        Args:
            blocking: Whether to wait for one.
            called_off: Whether to wait no longer, asked before each wait; see `look_again`.
        """
        if self._room.take():
            return True
        if not blocking:
            return False
        with self._changed:
            self._waiters += 1  # before it looks again, so that no release in between is missed
            try:
                while not self._room.take():
                    if called_off():
                        return False
                    self._changed.wait()
            finally:
                self._waiters -= 1
            return True

    def release(self) -> None:
        """Give a permit back.

        Raises:
            ValueError: More would be given back than were taken.
        """
        with self._changed:
            self._room.give_back()
            if self._waiters:
                self._changed.notify()

    def allow(self, number: int) -> None:
        """Let no more than so many be out, once those that are too many have come back."""
        with self._changed:
            self._room.allow(number)
            self._changed.notify_all()

    @property
    def in_use(self) -> int:
        """Permits that are out."""
        with self._changed:
            return self._room.out

    @property
    def waiting(self) -> int:
        """Threads that wait for one."""
        return self._waiters

    def look_again(self) -> None:
        """Have all who wait ask whether they were called off."""
        with self._changed:
            self._changed.notify_all()
