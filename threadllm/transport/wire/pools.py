"""urllib3's pools, with the connections of one dispatcher: as many as are used at a time.

urllib3 opens, verifies and closes connections, and speaks to proxies.
"""

from __future__ import annotations

import queue
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

from threadllm.transport.wire.connections import Connection, SecureConnection, named_as

if TYPE_CHECKING:
    from collections.abc import Iterator


T = TypeVar("T")


class Idle(queue.LifoQueue[T]):
    """Connections that wait, the last one used to go first.

    It is never full: not more connections are in use than there are slots.
    """

    def __init__(self, _: int) -> None:
        super().__init__()

    def _put(self, item: T) -> None:
        if item is not None:  # with which urllib3 fills a new queue
            super()._put(item)


class _Stage(threading.local):
    """A connection, with its pool, that plays what happened on it to urllib3 in this thread."""

    pool: Pool | None = None
    connection: Connection | None = None

    @contextmanager
    def playing(self, pool: Pool, connection: Connection) -> Iterator[None]:
        """Have urllib3 take this connection next, in this thread."""
        self.pool, self.connection = pool, connection
        try:
            yield
        finally:
            left, self.connection = self.connection, None
            if left is not None:  # urllib3 refused the request before it came to that
                left.close()


stage = _Stage()


@named_as(HTTPConnectionPool)
class Pool(HTTPConnectionPool):
    """Connections to one origin."""

    QueueCls: Any = Idle
    ConnectionCls = Connection

    def take(self) -> Any:
        """A connection, which may have to be opened first."""
        return self._get_conn()

    def give_back(self, connection: Connection) -> None:
        """Let a connection wait for the next exchange."""
        self._put_conn(connection)

    def _get_conn(self, timeout: float | None = None) -> Any:
        playing, stage.connection = stage.connection, None
        return playing or super()._get_conn(timeout)

    def _put_conn(self, conn: Any) -> None:
        if conn is not None:
            conn.retire()
        super()._put_conn(conn)


@named_as(HTTPSConnectionPool)
class SecurePool(Pool, HTTPSConnectionPool):
    """Connections to one origin, with TLS."""

    ConnectionCls = SecureConnection


POOLS = {"http": Pool, "https": SecurePool}
