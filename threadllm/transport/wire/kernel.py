"""What the kernel knows of a connection and does for it, on Linux; elsewhere urllib3's ways serve.

Each call that may block lets go of the interpreter's lock, and a thread that lets go of it has to
queue for it again. To look at a socket's state with `getsockopt` does not, and a socket whose
timeouts the kernel keeps is read with one such call in place of two.
"""

from __future__ import annotations

import errno
import math
import os
import socket
import struct
import sys
from functools import cache
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

_LINUX = sys.platform == "linux"
# Of struct tcp_info in linux/tcp.h: tcpi_state, tcpi_bytes_acked, tcpi_bytes_received; Linux 4.1.
_INFO = struct.Struct("B119xQQ")
_ESTABLISHED, _CLOSE_WAIT = 1, 8
_TIMEVAL = struct.Struct("ll")
_MILLION = 1_000_000
AT_ONCE = 1 << 13  # bytes that a socket takes without waiting
_LATER = {errno.EAGAIN, errno.EINTR}


class State(NamedTuple):
    """What the kernel knows of a connection.

    Attributes:
        established: Whether neither side has closed it.
        acknowledged: Bytes sent that the other side has received.
        received: Bytes received.
    """

    established: bool
    acknowledged: int
    received: int


def state_of(sock: socket.socket) -> State | None:
    """The state of a connection; None where the kernel does not tell."""
    if not _LINUX:
        return None
    try:
        state, acknowledged, received = _info_of(sock)
    except (AttributeError, OSError, struct.error):  # TLS within TLS, no TCP, an older kernel
        return None
    return State(state == _ESTABLISHED, acknowledged, received)


def has_ended(sock: socket.socket, before: State) -> bool:
    """Whether the other side has ended a connection in order since it was in that state.

    It may have been reset instead, which TLS does not tell; and what a reset acknowledges, the
    kernel does not look at. After an orderly end there may be a reset too, if something is sent
    all the same: it is kept as a broken pipe, until somebody is told of it.
    """
    state, _, received = _info_of(sock)
    return (
        received == before.received + 1  # as which an end counts
        or state == _CLOSE_WAIT
        or sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == errno.EPIPE
    )


def keeps_timeouts(sock: socket.socket) -> bool:
    """Whether the kernel can keep a socket's timeouts. TLS would take a late answer for none."""
    return _LINUX and type(sock) is socket.socket


def set_timeouts(sock: socket.socket, send: float | None, receive: float | None) -> None:
    """Have the kernel keep a socket's timeouts, in seconds; None waits for ever.

    The socket must have none of its own, and block; BlockingIOError says that the time is up.
    """
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, _timeval(send))
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, _timeval(receive))


def send_all(sock: socket.socket, data: bytes) -> None:
    """Send all, as `sendall`, on a socket whose timeouts the kernel keeps.

    What fits into the socket's buffer waits for nothing, so the interpreter's lock is kept
    meanwhile: to let go of it is to queue for it again.

    Raises:
        OSError: As `sendall`.
    """
    # A class or a function of somebody's own, put in the place of the plain one, is to be asked.
    plain = type(sock).sendall is socket.SocketType.sendall
    sent = _sender()(sock, data) if plain and len(data) <= AT_ONCE else 0
    if sent < len(data):
        sock.sendall(data[sent:])


@cache
def _sender() -> Callable[[socket.socket, bytes], int]:
    """What sends as much as can be sent at once, and says how much that was."""
    try:
        import ctypes  # here, as some builds of Python do without

        send_bytes = ctypes.PyDLL(None, use_errno=True).send
    except (AttributeError, ImportError, OSError):
        return lambda *_: 0
    send_bytes.argtypes = [ctypes.c_int, ctypes.c_char_p, ctypes.c_size_t, ctypes.c_int]
    send_bytes.restype = ctypes.c_ssize_t
    flags = socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL

    def send_some(sock: socket.socket, data: bytes) -> int:
        sent: int = send_bytes(sock.fileno(), data, len(data), flags)
        if sent < 0 and ctypes.get_errno() not in _LATER:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
        return max(0, sent)

    return send_some


def _info_of(sock: socket.socket) -> tuple[int, ...]:
    return _INFO.unpack(sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _INFO.size))


def _timeval(seconds: float | None) -> bytes:
    whole, rest = divmod(math.ceil((seconds or 0) * _MILLION), _MILLION)
    return _TIMEVAL.pack(whole, rest)
