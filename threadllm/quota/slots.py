"""Slots: leave to have a request in flight. A BoundedSemaphore whose waiters can be called off."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


class Slots:
    """A number of permits. Shared by threads, and by dispatchers that share a quota."""

    def __init__(self, number: int) -> None:
        self._permits = threading.BoundedSemaphore(number)
        # Its own condition's lock is not reentrant, and the collector, which may strike under it,
        # ends streams, whose slots come back here.
        vars(self._permits)["_cond"] = threading.Condition()
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

    def look_again(self) -> None:
        """Have all who wait ask whether they were called off."""
        with self._changed:
            self._changed.notify_all()
