"""Answers as providers send them, read in one go; whatever is unusual is left to urllib3.

Taken for usual is only what HTTP/1.1 (RFC 9112) and every reader of it agree on: a plain status
line, headers of visible characters, one Content-Length or plain chunks, gzip of one member or no
compression at all.
"""

from __future__ import annotations

import re
import zlib
from operator import itemgetter
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from threadllm.transport.header_dicts import Fields

_LONGEST_HEAD = 1 << 15  # bytes; http.client has limits of its own, above it
_MOST_HEADERS = 90
_END = b"\r\n\r\n"
_OTHER_ENDS = b"\n\n", b"\n\r\n"  # at which http.client ends a head too
_LINE = b"\r\n"
_LONGEST_SIZE = 14  # bytes of a chunk's size and the end of its line

# 1xx, 204 and 304 have no body, whatever their headers say: http.client knows them.
_STATUS = re.compile(
    r"HTTP/1\.1 ((?:2(?!04)|3(?!04)|[45])[0-9]{2})(?: ((?:[!-~](?:[ -~]*[!-~])?)?))?\r\n"
)
# What a value consists of is seen to for all of them at once: that is much faster. It begins with
# something visible, or blanks would be matched in every way that there is.
_HEADER = re.compile(
    r"^([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([!-~].*[!-~]|[!-~]?)\r\n", re.MULTILINE
)
_IN_HEADS = b"\t\r\n" + bytes(range(ord(" "), ord("~") + 1))
_LENGTH = re.compile(r"[0-9]{1,15}")
_SIZE = re.compile(rb"([0-9A-Fa-f]{1,12})\r\n")
_FRAMING = ("content-length", "transfer-encoding", "content-encoding", "connection")
_NONE = "", None
_NAME_IN = itemgetter(0)
_GZIP = "gzip"  # "x-gzip" is not the same to all versions of urllib3
_WITH_GZIP_HEADER = 16 + zlib.MAX_WBITS


class UnusualError(Exception):
    """An answer that urllib3 is to read. It stays within this folder."""


class Head(NamedTuple):
    """What comes before a body.

    Attributes:
        status: The status code.
        reason: The words beside it.
        headers: Names, as they were spelt, and values.
        fields: The same by names in lower case, the last of each.
        size: Bytes of the head itself.
        length: Bytes of the body; None if it comes in chunks.
    """

    status: int
    reason: str
    headers: list[tuple[str, str]]
    fields: Fields
    size: int
    length: int | None

    @property
    def closes(self) -> bool:
        """Whether the connection ends with this answer."""
        return "connection" in self.fields and "close" in self.fields["connection"][1].lower()


def read_head(received: bytearray) -> Head | None:
    """The head at the beginning of what was received; None if it has not all come.

    Raises:
        UnusualError: It is none that is read here.
    """
    end = received.find(_END, 0, _LONGEST_HEAD)
    if end < 0:
        _check_beginning(received)
        return None
    head = received[: end + 2]
    text = head.decode("latin-1")
    status = _STATUS.match(text)
    if status is None or head.translate(None, _IN_HEADS):
        raise UnusualError
    headers = _HEADER.findall(text, status.end())
    if not len(headers) == text.count("\n") - 1 == text.count("\r") - 1 <= _MOST_HEADERS:
        raise UnusualError
    fields = dict(zip(map(str.lower, map(_NAME_IN, headers)), headers, strict=True))
    if len(fields) < len(headers) and _is_doubtful(headers):
        raise UnusualError
    return Head(
        int(status[1]), status[2] or "", headers, fields, end + len(_END), _length_in(fields)
    )


def _check_beginning(received: bytearray) -> None:
    """Do not wait for the rest of what is unusual already: it might never come.

    Raises:
        UnusualError: It is too long, of another protocol, or has ended otherwise.
    """
    first = received.find(b"\n") + 1
    if (
        len(received) >= _LONGEST_HEAD
        or (first and not _STATUS.match(received[:first].decode("latin-1")))
        or received.count(b"\n") > _MOST_HEADERS + 1
        or any(end in received for end in _OTHER_ENDS)
    ):
        raise UnusualError


def _is_doubtful(headers: list[tuple[str, str]]) -> bool:
    """Whether a header on which the body's form depends is there more than once."""
    names = [name.lower() for name, _ in headers]
    return any(names.count(name) > 1 for name in _FRAMING)


def _length_in(fields: Fields) -> int | None:
    """Bytes of the body, or None for chunks."""
    _, length = fields.get("content-length", _NONE)
    _, coding = fields.get("transfer-encoding", _NONE)
    if coding is None and length is not None and _LENGTH.fullmatch(length):
        return int(length)
    if coding is not None and length is None and coding.lower() == "chunked":
        return None
    raise UnusualError


class Piece:
    """A body in one piece.

    Attributes:
        end: Where in what was received the body ends.
    """

    def __init__(self, start: int, length: int) -> None:
        self.end = start + length
        self._start = start

    def read(self, received: bytearray) -> bytes | None:
        """The body, once all of it has been received."""
        return bytes(received[self._start : self.end]) if len(received) >= self.end else None


class Chunks:
    """A body in chunks, taken apart as it comes.

    Attributes:
        end: Where in what was received the body ends, once that is known.
    """

    def __init__(self, start: int) -> None:
        self.end = start
        self._position = start
        self._pieces: list[bytearray] = []

    def read(self, received: bytearray) -> bytes | None:
        """The body, once all of it has been received.

        Raises:
            UnusualError: There are extensions, trailers, or no chunks at all.
        """
        while size := _SIZE.match(received, self._position):
            begin = size.end()
            end = begin + int(size[1], 16)
            if len(received) < end + 2:
                return None
            if received[end : end + 2] != _LINE:
                raise UnusualError
            if begin == end:
                self.end = end + 2
                return b"".join(self._pieces)
            self._pieces.append(received[begin:end])
            self._position = end + 2
        line = received[self._position : self._position + _LONGEST_SIZE]
        if len(line) == _LONGEST_SIZE or b"\n" in line:
            raise UnusualError
        return None


def decoded(body: bytes, fields: Fields) -> bytes:
    """The content of a whole body that came with these headers.

    Raises:
        UnusualError: It is coded otherwise, or not well.
    """
    _, coding = fields.get("content-encoding", _NONE)
    if coding is None:
        return body
    if coding.lower() != _GZIP:
        raise UnusualError
    decoder = zlib.decompressobj(_WITH_GZIP_HEADER)
    try:
        content = decoder.decompress(body)
    except zlib.error:
        raise UnusualError from None
    if not decoder.eof or decoder.unused_data:
        raise UnusualError
    return content
