"""What the kernel knows of a connection and does for it, on Linux; elsewhere urllib3's ways serve.

Each call that may block lets go of the interpreter's lock, and a thread that lets go of it has to
queue for it again. To look at a socket's state with `getsockopt` does not, and a socket whose
timeouts the kernel keeps is read with one such call in place of two.
"""

from __future__ import annotations

import math
import socket
import struct
import sys
from typing import NamedTuple

_LINUX = sys.platform == "linux"
# Of struct tcp_info in linux/tcp.h: tcpi_state, tcpi_bytes_acked, tcpi_bytes_received; Linux 4.1.
_INFO = struct.Struct("B119xQQ")
_ESTABLISHED = 1
_TIMEVAL = struct.Struct("ll")
_MILLION = 1_000_000


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
        state, acknowledged, received = _INFO.unpack(
            sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _INFO.size)
        )
    except (AttributeError, OSError, struct.error):  # TLS within TLS, no TCP, an older kernel
        return None
    return State(state == _ESTABLISHED, acknowledged, received)


def keeps_timeouts(sock: socket.socket) -> bool:
    """Whether the kernel can keep a socket's timeouts. TLS would take a late answer for none."""
    return _LINUX and type(sock) is socket.socket


def set_timeouts(sock: socket.socket, send: float | None, receive: float | None) -> None:
    """Have the kernel keep a socket's timeouts, in seconds; None waits for ever.

    The socket blocks from then on, and BlockingIOError says that the time is up.
    """
    sock.settimeout(None)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, _timeval(send))
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, _timeval(receive))


def _timeval(seconds: float | None) -> bytes:
    whole, rest = divmod(math.ceil((seconds or 0) * _MILLION), _MILLION)
    return _TIMEVAL.pack(whole, rest)
