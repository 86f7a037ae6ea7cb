"""Records out, a whole line at a time."""

import errno
import io
import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.jobs.support import VALUES
from threadllm.exceptions import OptionError
from threadllm.jobs import Job, Writer, dumps, read

FULL_DISK = """
import resource, signal, sys
from threadllm.jobs import Writer

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (100, resource.RLIM_INFINITY))
with Writer(sys.argv[1]) as writer:
    try:
        for number in range(100):
            writer.write({"id": number, "value": "x" * 20})
    except OSError as error:
        print(error.errno, error.filename)
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    writer.write({"id": "after"})
"""


class Trickle(io.RawIOBase):
    """Takes three bytes at a time, as a pipe may."""

    def __init__(self):
        self.taken = b""

    def writable(self):
        return True

    def write(self, data):
        self.taken += bytes(data[:3])
        return len(data[:3])


class Broken(io.RawIOBase):
    def write(self, data):
        raise BrokenPipeError(errno.EPIPE, "Broken pipe")


@given(st.lists(VALUES, max_size=5))
def test_what_is_written_is_read_back(tmp_path_factory, values):
    """Any JSON value comes back from the file, as the very value it was."""
    path = tmp_path_factory.mktemp("round-trip") / "out.jsonl"

    with Writer(path) as writer:
        for number, value in enumerate(values):
            writer.write({"id": number, "prompt": value})

    assert path.read_bytes().isascii()
    assert list(read(path)) == [Job(n, value, n + 1) for n, value in enumerate(values)]


def test_a_line_is_in_the_file_when_write_returns(tmp_path):
    """No buffer of ours holds a finished result back."""
    path = tmp_path / "out.jsonl"

    with Writer(path) as writer:
        writer.write({"id": 1})
        assert path.read_text() == '{"id": 1}\n'
        writer.write({"id": "\u2028"})
        assert path.read_text() == '{"id": 1}\n{"id": "\\u2028"}\n'


def test_a_dash_is_standard_output(monkeypatch):
    """A dash writes to the stream of the process, and leaves it open."""
    stream = io.TextIOWrapper(io.BytesIO())
    monkeypatch.setattr(sys, "stdout", stream)

    with Writer("-") as writer:
        writer.write({"id": 1})

    assert stream.buffer.getvalue() == b'{"id": 1}\n'


def test_standard_output_is_written_without_its_buffer():
    """What was printed goes first; a line that fails is not tried once more when Python ends."""
    raw = Trickle()
    stream = io.BufferedWriter(raw)
    stream.write(b"printed before\n")

    Writer("-", stdout=stream).write({"id": 1})

    assert raw.taken == b'printed before\n{"id": 1}\n'


def test_a_short_write_is_completed():
    """A stream that takes part of a line is given the rest."""
    stream = Trickle()

    Writer("-", stdout=stream).write({"id": "a long one"})

    assert stream.taken == b'{"id": "a long one"}\n'


def test_an_existing_result_is_not_thrown_away(tmp_path):
    """A file that holds something is refused as it is, unless it may be overwritten."""
    path = tmp_path / "out.jsonl"
    path.write_text("paid for\n")

    with pytest.raises(OptionError) as caught:
        Writer(path)

    assert str(caught.value) == (f"{path} holds results already. Name another, or say --overwrite")
    assert path.read_text() == "paid for\n"
    with Writer(path, overwrite=True) as writer:
        writer.write({"id": 1})
    assert path.read_text() == '{"id": 1}\n'


def test_an_empty_file_may_be_written(tmp_path):
    """A file that is there and empty has nothing to lose."""
    path = tmp_path / "out.jsonl"
    path.touch()

    Writer(path).close()

    assert path.read_bytes() == b""


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("missing/out.jsonl", "No such file or directory"),
        ("", "Is a directory"),
        ("nul\0.jsonl", "embedded null byte"),
    ],
)
def test_a_file_that_cannot_be_written_is_refused(tmp_path, name, reason):
    """The path and the reason are told before anything is sent."""
    path = tmp_path / name

    with pytest.raises(OptionError) as caught:
        Writer(path)

    assert str(caught.value) == f"cannot write {path}: {reason}"


def test_a_full_disk_leaves_whole_lines(tmp_path):
    """The error names the file; what the disk took of the last line is taken back."""
    path = tmp_path / "out.jsonl"

    done = subprocess.run(
        [sys.executable, "-c", FULL_DISK, path], capture_output=True, text=True, check=True
    )

    assert done.stdout == f"{errno.EFBIG} {path}\n"
    expected = [{"id": n, "value": "x" * 20} for n in range(2)] + [{"id": "after"}]
    assert [json.loads(line) for line in path.read_text().split("\n")[:-1]] == expected


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a device of Linux")
def test_a_device_that_is_full_says_so():
    """An error of a device, which has nothing to take back, is told as it is."""
    with Writer("/dev/full") as writer, pytest.raises(OSError) as caught:
        writer.write({"id": 1})

    assert str(caught.value) == "[Errno 28] No space left on device: '/dev/full'"


def test_a_reader_that_has_gone_keeps_its_error():
    """A broken pipe is a BrokenPipeError still."""
    with pytest.raises(BrokenPipeError) as caught:
        Writer("-", stdout=Broken()).write({"id": 1})

    assert caught.value.filename == "-"


def test_a_named_pipe_may_be_written(tmp_path):
    """An output need not be a file that can be emptied or cut."""
    path = tmp_path / "pipe.jsonl"
    os.mkfifo(path)
    read_back = []
    reader = threading.Thread(target=lambda: read_back.append(path.read_text()))
    reader.start()

    with Writer(path) as writer:
        writer.write({"id": 1})
    reader.join()

    assert read_back == ['{"id": 1}\n']


@pytest.mark.parametrize("value", [float("nan"), float("inf"), b"", object(), {(): 1}])
def test_what_json_cannot_hold_is_not_written(tmp_path, value):
    """Such a record raises, and leaves nothing of itself in the file."""
    path = tmp_path / "out.jsonl"

    with Writer(path) as writer, pytest.raises((TypeError, ValueError)):
        writer.write({"id": 1, "value": value})

    assert path.read_bytes() == b""


def test_nesting_without_end_is_a_value_error():
    """A value too deep for the interpreter's stack is told from one that JSON holds."""
    value = []
    for _ in range(100_000):
        value = [value]

    with pytest.raises(ValueError) as caught:
        dumps(value)

    assert str(caught.value) == "nested too deeply"
