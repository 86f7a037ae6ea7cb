"""Slots: leave to have a request in flight. A BoundedSemaphore whose waiters can be called off.

`Slots` are those of a quota, for which threads wait here. `Room` is what of them one origin may
have: who waits for that waits in a line.
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


class Slots:
    """A number of permits. Shared by threads, and by dispatchers that share a quota."""

    def __init__(self, number: int) -> None:
        self._permits = _semaphore(number)
        self._number = number
        self._changed = threading.Condition()  # notified when waiters have reason to look again
        self._waiters = 0  # written under _changed; read without it

    def acquire(
        self, *, blocking: bool = True, called_off: Callable[[], bool] = lambda: False
    ) -> bool:
        """Take a permit; whether there was one.

        Args:
            blocking: Whether to wait for one.
            called_off: Whether to wait no longer, asked before each wait; see `look_again`.
        """
        if self._permits.acquire(blocking=False):
            return True
        if not blocking:
            return False
        with self._changed:
            self._waiters += 1  # before it looks again, so that no release in between is missed
            try:
                while not self._permits.acquire(blocking=False):
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
        self._permits.release()
        if self._waiters:
            with self._changed:
                self._changed.notify()

    @property
    def in_use(self) -> int:
        """Permits that are out."""
        free: int = vars(self._permits)["_value"]
        return self._number - free

    def look_again(self) -> None:
        """Have all who wait ask whether they were called off."""
        with self._changed:
            self._changed.notify_all()


class Room:
    """How many of a quota's slots one origin may have. The quota's lock guards it.

    It shrinks by holding permits back, as they come free, and grows by giving them out again.

    Attributes:
        out: Permits that are out.
    """

    def __init__(self, number: int) -> None:
        self.out = 0
        self._permits = _semaphore(number)
        self._number = number
        self._held = 0  # permits that are held back
        self._to_hold = 0

    @property
    def has_more(self) -> bool:
        """Whether there is a permit to take."""
        return self.out + self._held < self._number

    def take(self) -> bool:
        """Take a permit; whether there was one."""
        taken = self._permits.acquire(blocking=False)
        self.out += taken
        return taken

    def give_back(self) -> None:
        """Give a permit back."""
        self.out -= 1
        if self._held < self._to_hold:
            self._held += 1
        else:
            self._permits.release()

    def allow(self, number: int) -> None:
        """Let no more than so many be out, once those that are too many have come back."""
        self._to_hold = self._number - number
        while self._held > self._to_hold:
            self._permits.release()
            self._held -= 1
        while self._held < self._to_hold and self._permits.acquire(blocking=False):
            self._held += 1
