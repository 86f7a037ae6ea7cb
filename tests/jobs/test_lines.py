"""Bytes into lines: bounded, numbered, ended by LF alone."""

import io
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from threadllm.exceptions import InputError
from threadllm.jobs.lines import Line, lines


class Endless(io.RawIOBase):
    """`size` bytes of one line, made as they are read, then another line."""

    def __init__(self, size):
        self.left = size
        self.rest = b"\nafter\n"

    def readable(self):
        return True

    def readinto(self, buffer):
        if self.left:
            count = min(self.left, len(buffer))
            buffer[:count] = b"a" * count
            self.left -= count
        else:
            count = min(len(self.rest), len(buffer))
            buffer[:count] = self.rest[:count]
            self.rest = self.rest[count:]
        return count


@given(st.binary(), st.integers(1, 20))
def test_every_line_is_given_once_with_its_number(data, limit):
    """Lines are what stands between two LFs; one over the limit is a fault, and no other is."""
    expected = io.BytesIO(data).readlines()

    found = list(lines(io.BytesIO(data), limit))

    assert [line.number for line in found] == list(range(1, len(expected) + 1))
    for line, whole in zip(found, expected, strict=True):
        if len(whole.removesuffix(b"\n")) > limit:
            assert line.fault == f"is longer than {limit} bytes. Split it"
            assert line.data == b'"' * (whole.count(b'"') % 2)
        else:
            assert line == Line(line.number, whole)


def test_a_byte_order_mark_is_dropped_at_the_start_alone():
    """The mark that editors put before a file is no part of its first line."""
    mark = b"\xef\xbb\xbf"

    found = list(lines(io.BytesIO(mark + b"a\n" + mark + b"b"), 10))

    assert found == [Line(1, b"a\n"), Line(2, mark + b"b")]


def test_a_line_of_100_mb_is_never_held():
    """A line over the limit is passed over in pieces, and the next one is read."""
    source = io.BufferedReader(Endless(100 * 10**6))
    tracemalloc.start()
    try:
        found = list(lines(source, 2**20))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    fault = "is longer than 1,048,576 bytes. Split it"
    assert found == [Line(1, b"", fault), Line(2, b"after\n")]
    assert peak < 4 * 2**20


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (
            Line(1, b"a\0b"),
            "holds a NUL byte: is the file damaged, or UTF-16? Save it as UTF-8",
        ),
        (
            Line(1, "caf\xe9".encode("latin-1")),
            "is not UTF-8: byte 0xe9 at byte 4. Save the file as UTF-8",
        ),
        (Line(1, b"", "is too long"), "is too long"),
    ],
)
def test_what_is_not_text_is_refused(line, reason):
    """A line that has no text says why."""
    with pytest.raises(InputError) as caught:
        line.text()

    assert str(caught.value) == reason
