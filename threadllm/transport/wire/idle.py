"""Connections between two exchanges: how many are kept, and for how long.

To lend one and to take it back takes no lock, nor does anything that the garbage collector may
set off, which strikes wherever it likes. What is shared changes in steps that are whole by
themselves, and whoever adds something looks afterwards whether somebody is there to see to it.
"""

from __future__ import annotations

import queue
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING, Protocol
from weakref import WeakSet

from urllib3.connection import HTTPConnection

if TYPE_CHECKING:
    from collections.abc import Callable


_OF_NO_POOL: WeakSet[CountedConnection] = WeakSet()


class CountedConnection(HTTPConnection):
    """A connection that is counted while it is open.

    Attributes:
        counted: All to the same origin that are open, or about to be; it counts itself there.
        idle_since: Monotonic seconds when it was last given back.
    """

    counted: WeakSet[CountedConnection] = _OF_NO_POOL
    idle_since = 0.0

    def connect(self) -> None:
        """Open the connection."""
        self.counted.add(self)
        super().connect()

    def close(self) -> None:
        """Close the connection."""
        self.counted.discard(self)
        super().close()


class Care(Protocol):
    """Who sees to idle connections."""

    slots: int
    now: Callable[[], float]
    awake: bool

    def wake(self) -> None:
        """See to what is idle from now on."""


class Idle:
    """The idle connections of one pool, the last one used to go first.

    It is never full: what is too many is closed. More come back than there are slots where
    requests rode along without one.

    Args:
        care: Who sees to them.
        counted: All open connections to the pool's origin.
    """

    def __init__(self, care: Care, counted: WeakSet[CountedConnection]) -> None:
        self.counted = counted
        self._care = care
        self._waiting: deque[CountedConnection] = deque()

    def put(self, connection: CountedConnection) -> None:
        """Keep a connection, if it is open."""
        if connection.sock is None:
            return
        waiting, care = self._waiting, self._care
        connection.idle_since = care.now()
        waiting.append(connection)
        if len(waiting) > care.slots:
            self.close_oldest()
        if not care.awake:
            care.wake()

    def take(self) -> CountedConnection | None:
        """The connection that was used last, if there is one."""
        try:
            return self._waiting.pop()
        except IndexError:
            return None

    def get(self, **_: object) -> CountedConnection:
        """The same, as urllib3 asks a queue when it closes a pool."""
        connection = self.take()
        if connection is None:
            raise queue.Empty
        return connection

    @property
    def oldest(self) -> CountedConnection | None:
        """The connection that has been idle for longest."""
        try:
            return self._waiting[0]
        except IndexError:
            return None

    def close_oldest(self) -> None:
        """Close the connection that has been idle for longest, unless somebody takes it."""
        oldest = self.oldest
        if oldest is not None:
            with suppress(ValueError, IndexError):
                self._waiting.remove(oldest)
                oldest.close()

    def close(self) -> None:
        """Close all that is idle."""
        while (connection := self.take()) is not None:
            connection.close()
