"""A connection for each request, and what is to be done if it turns out to be dead.

An idle connection may have been closed by its server at any moment, also while a request is on
its way to it. Whether that request has arrived tells the kernel, on Linux: if the other side says
that the connection ends, and has not acknowledged a byte of the request, nobody has read it. Then
it is sent again on a new connection, and nobody hears of it. In all other cases it may have been
processed, and is an error: after a reset too, with which the kernel forgets to look at what was
acknowledged.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from urllib3.exceptions import HTTPError

from threadllm.transport.wire.exchanges import Answer, exchange

if TYPE_CHECKING:
    from threadllm.transport.wire.connections import Connection
    from threadllm.transport.wire.pools import Pool
    from threadllm.transport.wire.tape import Tape
    from threadllm.transport.wire.timeouts import Timeouts


def converse(pool: Pool, request: bytes, timeouts: Timeouts, *, whole: bool) -> Answer | Connection:
    """Send a request on a connection of a pool and read its answer.

    Args:
        pool: Lends the connection.
        request: Head and body.
        timeouts: As urllib3 applies them.
        whole: Whether the body is wanted at once, and not as a stream.

    Returns:
        The answer; or else the connection, which will play to urllib3 what has happened on it.
    """
    connection: Connection = pool.take()
    try:
        result = _attempt(pool, connection, request, timeouts, whole=whole)
        if not isinstance(result, Answer) and _is_lost(result, connection):
            connection.close()
            result = _attempt(pool, connection, request, timeouts, whole=whole)
    except BaseException:  # Ctrl-C and its like: nobody knows what is on its way now
        connection.close()
        raise
    if not isinstance(result, Answer):
        connection.sock = result
        return connection
    if result.closes:
        connection.close()
    pool.give_back(connection)
    return result


def _is_lost(result: Tape | None, connection: Connection) -> bool:
    """Whether the request has certainly been read by nobody."""
    if result is None or not result.is_blank:
        return False
    return connection.has_missed(sent=result.was_sent)


def _attempt(
    pool: Pool, connection: Connection, request: bytes, timeouts: Timeouts, *, whole: bool
) -> Answer | Tape | None:
    """The answer, or what has happened; None if the connection cannot be opened."""
    if connection.sock is None:
        connection.timeout = timeouts.connect
        try:
            connection.connect()
        except (HTTPError, OSError, ValueError) as error:
            connection.close()
            connection.refusal = error
            return None
    else:
        connection.serve()
    return exchange(connection, request, timeouts, pool.crowd, whole=whole)
