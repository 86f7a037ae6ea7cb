"""What a room above keeps for one dispatcher, from the first request to the end."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable


class Closable(Protocol):
    """What can be kept. After `close` it is of use still, and holds nothing back."""

    def close(self) -> None:
        """Let go of what is held."""


class Kept:
    """A place for one thing, made when it is first asked for."""

    def __init__(self) -> None:
        self._lock = threading.RLock()  # the collector may come by while the thing is made
        self._thing: Closable | None = None  # guarded by _lock; once set it stays

    def thing(self, make: Callable[[], Closable]) -> Closable:
        """The thing, made now if it is not there yet."""
        with self._lock:
            if self._thing is None:
                self._thing = make()
            return self._thing

    def close(self) -> None:
        """Close the thing, if there is one."""
        with self._lock:
            thing = self._thing
        if thing is not None:
            thing.close()
