"""urllib3's pools, with the connections of one dispatcher: as many as are used at a time.

urllib3 opens, verifies and closes connections, and speaks to proxies.
"""

from __future__ import annotations

import threading
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

from threadllm.transport.wire.connections import Connection, SecureConnection, named_as

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from threadllm.transport.wire.crowd import Crowd
    from threadllm.transport.wire.furnished import Makers
    from threadllm.transport.wire.janitor import Janitor


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
    """Connections to one origin.

    Args:
        janitor: Sees to those that are idle.
        host: As urllib3 has it.
        port: As urllib3 has it.
        options: urllib3's.
    """

    ConnectionCls = Connection

    def __init__(
        self, janitor: Janitor, host: str, port: int | None = None, **options: Any
    ) -> None:
        self._janitor = janitor
        self._idle = idle = janitor.idle(self.scheme, host.lower(), port)
        self.QueueCls: Any = lambda _: idle  # which is never full
        super().__init__(host, port, **{**options, "maxsize": 0})  # no places to be filled

    @property
    def crowd(self) -> Crowd:
        """Those who wait for answers: another in a fork."""
        return self._janitor.crowd

    def take(self) -> Any:
        """A connection, which may have to be opened first."""
        idle: Any = self._idle
        while (connection := idle.take()) is not None:
            if connection.is_ready():
                return connection
            connection.close()
        return self._new_conn()

    def give_back(self, connection: Connection) -> None:
        """Let a connection wait for the next exchange."""
        connection.retire()
        if self.pool is None:  # somebody has closed it
            connection.close()
        self._idle.put(connection)

    # What urllib3 calls.

    def _get_conn(self, timeout: float | None = None) -> Any:
        _ = timeout  # there is nothing to wait for
        playing, stage.connection = stage.connection, None
        return playing or self.take()

    def _put_conn(self, conn: Any) -> None:
        if conn is not None:
            self.give_back(conn)

    def _new_conn(self) -> Any:
        connection: Any = super()._new_conn()
        self._janitor.admit(connection, self._idle)
        return connection


@named_as(HTTPSConnectionPool)
class SecurePool(Pool, HTTPSConnectionPool):
    """Connections to one origin, with TLS."""

    ConnectionCls = SecureConnection


def pools_for(janitor: Janitor, makers: Makers) -> Makers:
    """What makes pools, by scheme: of ours where a manager has urllib3's own.

    Args:
        janitor: Sees to their connections.
        makers: What the manager has.
    """
    ours: dict[object, Callable[..., Any]] = {
        HTTPConnectionPool: partial(Pool, janitor),
        HTTPSConnectionPool: partial(SecurePool, janitor),
    }
    return {scheme: ours.get(make, make) for scheme, make in makers.items()}
