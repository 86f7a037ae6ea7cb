"""What has already happened on a connection, played to urllib3 as if it happened now.

Whatever is unusual about an exchange, an answer that breaks off or an error included, is judged
by urllib3 itself: it "sends" the request, which has been sent, and "receives" what has come.
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    import socket


class Tape:
    """Stands in for a connection's socket.

    Args:
        sock: The socket.
        received: What has been read from it.
        refused: What sending ended in, if that failed.
        broke: What reading ended in after that, if it failed.
    """

    def __init__(
        self,
        sock: socket.socket,
        received: bytes | bytearray = b"",
        *,
        refused: OSError | None = None,
        broke: OSError | None = None,
    ) -> None:
        self.sock = sock
        self._received = received
        self._refused = refused
        self._broke = broke

    @property
    def is_blank(self) -> bool:
        """Whether the connection ended, or took no request, before anything came."""
        in_time = not isinstance(self._refused, TimeoutError)
        return in_time and self._broke is None and not self._received

    @property
    def was_sent(self) -> bool:
        """Whether the request could be sent, to its last byte."""
        return self._refused is None

    def __getattr__(self, name: str) -> Any:
        return getattr(self.sock, name)

    def sendall(self, _: object) -> None:
        """Swallow what has been sent before.

        Raises:
            OSError: As it was raised then.
        """
        if self._refused is not None:
            raise self._refused

    def makefile(self, mode: Literal["rb"]) -> io.BufferedReader:
        """A file that gives what was received, then what the socket gives."""
        rest = self.sock.makefile(mode, buffering=0)
        return io.BufferedReader(_Reel(self._received, self._broke, rest))


class _Reel(io.RawIOBase):
    """Bytes, then an error or the bytes of another file."""

    def __init__(self, received: bytes | bytearray, broke: OSError | None, rest: Any) -> None:
        self._received = memoryview(received)
        self._broke = broke
        self._rest = rest

    def readable(self) -> bool:
        return True

    def fileno(self) -> int:
        """The socket's."""
        number: int = self._rest.fileno()
        return number

    def readinto(self, buffer: Any) -> int | None:
        """Fill the buffer with what comes next."""
        if self._received:
            piece = self._received[: len(buffer)]
            buffer[: len(piece)] = piece
            self._received = self._received[len(piece) :]
            return len(piece)
        if self._broke is not None:
            raise self._broke
        count: int | None = self._rest.readinto(buffer)
        return count

    def close(self) -> None:
        """Close the socket's own file, and with it the socket if nobody else has it."""
        try:
            self._rest.close()
        finally:
            super().close()
