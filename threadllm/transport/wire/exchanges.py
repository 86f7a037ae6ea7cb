"""One request and its answer on an open connection: one send, and as few reads as they take."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, NamedTuple

from threadllm.transport.wire.answers import Chunks, Piece, UnusualError, decoded, read_head
from threadllm.transport.wire.crowd import MANY
from threadllm.transport.wire.tape import Tape

if TYPE_CHECKING:
    import socket

    from threadllm.transport.wire.answers import Head
    from threadllm.transport.wire.connections import Connection
    from threadllm.transport.wire.crowd import Crowd
    from threadllm.transport.wire.timeouts import Timeouts

_PIECE = 1 << 16  # bytes that are read at a time


class Answer(NamedTuple):
    """An answer that has come whole.

    Attributes:
        head: What came first.
        content: The body, decoded.
        size: Bytes of the body as they were sent.
        closes: Whether the connection is of no further use.
    """

    head: Head
    content: bytes
    size: int
    closes: bool


def exchange(
    connection: Connection, request: bytes, timeouts: Timeouts, crowd: Crowd, *, whole: bool
) -> Answer | Tape:
    """Send a request and read its answer; what happened, on tape, if that is urllib3's to judge.

    Args:
        connection: An open connection.
        request: Head and body.
        timeouts: As urllib3 applies them.
        crowd: Those who wait for their answers.
        whole: Whether the body is wanted at once, and not as a stream.
    """
    sock, received = connection.sock, bytearray()
    sys.audit("http.client.send", connection, request)
    try:
        connection.send_at_once(request, timeouts)
    except OSError as error:
        return Tape(sock, refused=_as_python_says(error))
    crowd.awaited.add(sock)
    try:
        if len(crowd.awaited) > MANY and not crowd.wait(sock, timeouts.read):
            return Tape(sock, received, broke=TimeoutError("timed out"))
        if whole:
            answer = _read(connection, received)
            connection.has_read(len(received))
            return answer
        received += sock.recv(_PIECE)
    except UnusualError:
        return Tape(sock, received)
    except OSError as error:
        return Tape(sock, received, broke=_as_python_says(error))
    finally:
        crowd.awaited.discard(sock)
    return Tape(sock, received)


def _as_python_says(error: OSError) -> OSError:
    """The error that a socket has whose timeouts Python keeps."""
    return TimeoutError("timed out") if isinstance(error, BlockingIOError) else error


def _read(connection: Connection, received: bytearray) -> Answer:
    sock = connection.sock
    while True:
        _receive(sock, received)
        head = read_head(received)
        if head is not None:
            break
    body = Chunks(head.size) if head.length is None else Piece(head.size, head.length)
    data = body.read(received)
    if data is None:
        connection.note_headers()
    while data is None:
        _receive(sock, received)
        data = body.read(received)
    content = decoded(data, head.fields)
    return Answer(head, content, len(data), head.closes or len(received) > body.end)


def _receive(sock: socket.socket, received: bytearray) -> None:
    piece = sock.recv(_PIECE)
    if not piece:
        raise UnusualError  # it ended too early
    received += piece
