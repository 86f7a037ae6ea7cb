import io
from itertools import cycle

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from urllib3 import HTTPHeaderDict, HTTPResponse
from urllib3.connection import HTTPConnection
from urllib3.exceptions import DecodeError

from threadllm.transport.wire.answers import Chunks, Piece, UnusualError, decoded, read_head

from .corpus import CASES, UNUSUAL, USUAL
from .streams import budget, cuts, streams

# Here it is not the bytes that are unusual: they answer a HEAD, or there are some too many.
READ = {name for name in UNUSUAL if name.startswith(("head-with-body", "extra-bytes", "two"))}
SHORT = {name: case for name, case in CASES.items() if len(case.data) < 100_000}


class DryError(Exception):
    """More is wanted than has come so far."""


class Received(io.RawIOBase):
    """What has come on a connection so far, and more is awaited."""

    def __init__(self, data):
        self.left = memoryview(data)

    def readable(self):
        return True

    def readinto(self, buffer):
        if not self.left:
            raise DryError
        piece = self.left[: len(buffer)]
        buffer[: len(piece)] = piece
        self.left = self.left[len(piece) :]
        return len(piece)


class Socket:
    """A connection's socket, as http.client uses it."""

    def __init__(self, data):
        self.makefile = lambda _: io.BufferedReader(Received(data))
        self.sendall = self.settimeout = lambda _: None
        self.close = lambda: None


def as_urllib3(data):
    """What urllib3 makes of an answer: head, content, and whether the connection is kept."""
    connection = HTTPConnection("localhost")
    connection.sock = Socket(data)
    connection.request("POST", "/", preload_content=False, decode_content=False)
    response = connection.getresponse()
    content = b"".join(response.stream(10_240, decode_content=True))
    assert type(response) is HTTPResponse
    return {
        "status": (response.version, response.status, response.reason),
        "headers": [*response.headers.iteritems()],
        "content": content,
        "kept": connection.sock is not None,
    }


def as_ours(data, sizes=(1 << 16,)):
    """The same by the short way, for bytes that come in pieces; DryError if it waits for more."""
    received, head, body, start = bytearray(), None, None, 0
    for size in cycle(sizes):
        if start >= len(data):
            raise DryError
        received += data[start : start + size]
        start += size
        head = head or read_head(received)
        if head is None:
            continue
        body = body or (Chunks(head.size) if head.length is None else Piece(head.size, head.length))
        coded = body.read(received)
        if coded is not None:
            return {
                "status": (11, head.status, head.reason),
                "headers": [*HTTPHeaderDict(head.headers).iteritems()],
                "content": decoded(coded, head.fields),
                "kept": not head.closes,
            }
    return None


def outcome_of(function, *args, **options):
    try:
        return function(*args, **options)
    except (DryError, UnusualError) as error:
        return type(error)
    except Exception as error:
        return error


def agree(data, sizes=(1 << 16,)):
    """Check that the short way reads as urllib3 does, or leaves it to urllib3, and at once.

    Only a body that cannot be decoded is awaited to its end before urllib3 says so.
    """
    ours = outcome_of(as_ours, data, sizes)
    if ours is not UnusualError:
        theirs = outcome_of(as_urllib3, data)
        assert theirs == ours or (ours is DryError and isinstance(theirs, DecodeError))


@pytest.mark.parametrize("name", sorted(SHORT.keys() & USUAL.keys()))
def test_what_is_usual_is_read_as_urllib3_reads_it(name):
    """Answers as providers send them are read here, with urllib3's result."""
    data = SHORT[name].data
    assert as_ours(data) == as_urllib3(data)


@pytest.mark.parametrize("name", sorted(SHORT.keys() & USUAL.keys()))
def test_bytes_may_come_in_any_pieces(name):
    """Whether bytes come one by one or at once, the answer is the same."""
    data = SHORT[name].data[:12_000]
    assert outcome_of(as_ours, data, [1]) == outcome_of(as_ours, data)


@pytest.mark.parametrize("name", sorted(SHORT.keys() & UNUSUAL.keys() - READ))
def test_what_is_unusual_is_not_read(name):
    """What readers might disagree about is left to urllib3, or waited for where it waits too."""
    data = SHORT[name].data
    assert outcome_of(as_ours, data) in (DryError, UnusualError)
    agree(data)
    agree(data, [1 + len(data) // 1_000])


@given(streams(), cuts())
@settings(max_examples=budget(1_000))
def test_no_stream_of_bytes_is_read_otherwise(data, sizes):
    """Whatever comes, in whatever pieces: it is read as urllib3 reads it, or left to urllib3."""
    agree(data, sizes)


@given(st.sampled_from(sorted(SHORT)), st.integers(0, 2_000))
@settings(max_examples=budget(1_000))
def test_no_more_is_awaited_than_urllib3_awaits(name, size):
    """The beginning of an answer is waited on only as long as urllib3 would wait."""
    agree(SHORT[name].data[:size])
