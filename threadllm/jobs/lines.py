"""Bytes into numbered lines, a line at a time, none longer than a limit.

The room must not know what a line means. It never reads ahead of the line asked for, so that a
pipe that delivers slowly is served as it delivers.
"""

from __future__ import annotations

from codecs import BOM_UTF8
from dataclasses import dataclass
from typing import TYPE_CHECKING

from threadllm.exceptions import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import BinaryIO

MAX_LINE_BYTES = 16 * 2**20
"""The longest line, in bytes, that is read unless the caller says otherwise."""

_PIECE = 64 * 2**10  # bytes at a time in which a line that is too long is passed over


@dataclass(frozen=True, slots=True)
class Line:
    """One line, not decoded yet.

    Attributes:
        number: From 1.
        data: Its bytes, line end included. Of a line that is too long no more than one `"`, there
            if it held an odd number of them: a CSV row then still ends where it ends.
        fault: Why it could not be read; None if it could.
    """

    number: int
    data: bytes
    fault: str | None = None

    def text(self) -> str:
        """The line decoded, line end included.

        Raises:
            InputError: It is too long, holds a NUL byte or is not UTF-8.
        """
        if self.fault is not None:
            raise InputError(self.fault)
        if b"\0" in self.data:
            raise InputError("holds a NUL byte: is the file damaged, or UTF-16? Save it as UTF-8")
        try:
            return self.data.decode()
        except UnicodeDecodeError as error:
            byte, column = self.data[error.start], error.start + 1
            raise InputError(
                f"is not UTF-8: byte 0x{byte:02x} at byte {column}. Save the file as UTF-8"
            ) from None


def lines(stream: BinaryIO, limit: int) -> Iterator[Line]:
    """The lines of `stream`, ended by LF alone; a byte order mark at the start is dropped.

    Args:
        stream: Anything with `readline(size)`; it is left open.
        limit: The longest line in bytes, its LF not counted. No more than that is ever held of
            one that is longer.
    """
    for number, data in enumerate(iter(lambda: stream.readline(limit + 1), b""), 1):
        if len(data) > limit and not data.endswith(b"\n"):
            fault = f"is longer than {limit:,} bytes. Split it"
            yield Line(number, b'"' * (_quotes_of_the_rest(stream, data) % 2), fault)
        else:
            yield Line(number, data.removeprefix(BOM_UTF8) if number == 1 else data)


def _quotes_of_the_rest(stream: BinaryIO, piece: bytes) -> int:
    """Pass over the rest of the line that begins with `piece`; count the `"` in all of it."""
    quotes = piece.count(b'"')
    while piece and not piece.endswith(b"\n"):
        piece = stream.readline(_PIECE)
        quotes += piece.count(b'"')
    return quotes
