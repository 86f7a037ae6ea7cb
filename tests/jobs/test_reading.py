"""Files into jobs: what is handed over, under which name, and what is refused."""

import gc
import io
import os
import sys
import warnings
from codecs import BOM_UTF8

import pytest
from hypothesis import given
from hypothesis import strategies as st

from threadllm.exceptions import OptionError
from threadllm.jobs import Job, Refused, read


@pytest.fixture
def found(tmp_path):
    """Writes a file and reads all of it."""

    def write_and_read(content, name="in.jsonl", **options):
        path = tmp_path / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return list(read(path, **options))

    return write_and_read


def piped(content, **options):
    return list(read("-", stdin=io.BytesIO(content), **options))


# What is handed over


def test_a_prompt_is_handed_over_and_any_other_object_whole(found):
    """A line of nothing but a name and a prompt gives the prompt; any other gives itself."""
    lines = """\
{"id": "a", "prompt": "one"}
{"prompt": ["two"]}
{"id": "c", "prompt": "three", "temperature": 0}
{"id": "d"}
{}
"""
    assert found(lines) == [
        Job("a", "one", 1),
        Job(2, ["two"], 2),
        Job("c", {"id": "c", "prompt": "three", "temperature": 0}, 3),
        Job("d", {"id": "d"}, 4),
        Job(5, {}, 5),
    ]


def test_a_key_names_the_item_and_must_be_there(found):
    """With a key of one's own, a line without it is refused, whatever else it has."""
    lines = '{"name": "a", "prompt": "one"}\n{"id": 2, "prompt": "two"}\n{"prompt": "three"}\n'
    reason = "has no field 'name'. Add it, or let another field be the key"

    assert found(lines, key="name") == [Job("a", "one", 1), Refused(2, reason), Refused(3, reason)]


def test_the_prompt_may_be_the_key(found):
    """A prompt can name itself."""
    assert found('{"prompt": "one"}', key="prompt") == [Job("one", "one", 1)]


def test_unpacking_by_name_hands_over_every_object_whole(found):
    """For keyword arguments a prompt alone stays an object."""
    assert found('{"prompt": "one"}', unpack="kwargs") == [Job(1, {"prompt": "one"}, 1)]


def test_unpacking_by_order_takes_arrays_too(found):
    """For positional arguments an array is a tuple, named by its line number."""
    lines = '[1, "two"]\n{"id": "b", "prompt": "three"}\n'

    assert found(lines, unpack="args") == [Job(1, (1, "two"), 1), Job("b", "three", 2)]


def test_ndjson_and_capitals_are_json_lines(found):
    """The suffix decides, in any case of letters."""
    assert found('{"prompt": 1}', "in.NDJSON") == [Job(1, 1, 1)]


def test_standard_input_holds_json_lines():
    """A dash reads the stream given, and leaves it open."""
    stream = io.BytesIO(b'{"prompt": 1}\n')

    assert list(read("-", stdin=stream)) == [Job(1, 1, 1)]
    assert not stream.closed


def test_standard_input_is_that_of_the_process(monkeypatch):
    """Without a stream the process's own standard input is read."""
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b'{"prompt": 1}\n')))

    assert list(read("-")) == [Job(1, 1, 1)]


def test_a_text_file_is_an_item_a_line(found):
    """Lines end at LF or CRLF alone, and blank ones are passed over."""
    text = "one \r\n\r\n  \ntw\u2028o\rx\nthree"

    assert found(text, "in.txt") == [
        Job(1, "one ", 1),
        Job(4, "tw\u2028o\rx", 4),
        Job(5, "three", 5),
    ]


def test_a_text_line_that_is_no_text_is_refused(found):
    """NUL bytes and other encodings are refused in text files too."""
    assert found(b"a\nb\0\n\xe9\nc", "in.txt") == [
        Job(1, "a", 1),
        Refused(2, "holds a NUL byte: is the file damaged, or UTF-16? Save it as UTF-8"),
        Refused(3, "is not UTF-8: byte 0xe9 at byte 1. Save the file as UTF-8"),
        Job(4, "c", 4),
    ]


# Accepted


@pytest.mark.parametrize(
    ("content", "items"),
    [
        (b"", []),
        (b"\n \r\n\t\n", []),
        (b'\xef\xbb\xbf{"prompt": 1}\n', [1]),
        (b'{"prompt": 1}\r\n\r\n{"prompt": 2}\r\n', [1, 2]),
        (b'{"prompt": 1}\n{"prompt": 2}', [1, 2]),
        ('{"prompt": "a\u2028b\x85"}\n'.encode(), ["a\u2028b\x85"]),
        (b'{"prompt": "\\ud800"}\n', ["\ud800"]),
        (b'{"prompt": "\\u0000"}\n', ["\0"]),
        (b'{"prompt": ' + b"9" * 300 + b"}", [10**300 - 1]),
    ],
)
def test_unusual_files_are_read(content, items):
    """Empty files, blank lines, a BOM, CRLF, U+2028, lone surrogates: all are read."""
    assert [job.item for job in piped(content)] == items


def is_blank(line):
    try:
        return not line.decode().strip()
    except UnicodeDecodeError:
        return False


@given(st.lists(st.binary(max_size=30), max_size=6).map(b"\n".join))
def test_no_bytes_stop_the_reader(content):
    """Whatever a file holds, each line that is not blank gives one result with its number."""
    content = content.removeprefix(BOM_UTF8)
    numbers = [n for n, line in enumerate(io.BytesIO(content), 1) if not is_blank(line)]

    assert [result.line for result in piped(BOM_UTF8 + content)] == numbers


# Lazily


def test_a_slow_pipe_is_read_as_it_delivers():
    """A line is given as soon as it has come, while the writer is still there."""
    read_end, write_end = os.pipe()
    with os.fdopen(read_end, "rb") as stdin, os.fdopen(write_end, "wb", 0) as writer:
        jobs = read("-", stdin=stdin)
        for number in (1, 2, 3):
            writer.write(b'{"prompt": "x"}\n')
            assert next(jobs) == Job(number, "x", number)


def test_a_file_is_closed_however_far_it_was_read(tmp_path):
    """Read to its end, broken off or never begun: no file stays open."""
    path = tmp_path / "in.jsonl"
    path.write_text('{"prompt": 1}\n{"prompt": 2}\n')

    with warnings.catch_warnings(record=True) as left_open:
        warnings.simplefilter("always")
        list(read(path))
        next(read(path))
        read(path)
        gc.collect()

    assert [str(warning.message) for warning in left_open] == []


# Refused at the start


@pytest.mark.parametrize(
    ("name", "options", "reason"),
    [
        (
            "in.json",
            {},
            (
                "cannot read {}: the suffix '.json' is not one of .jsonl, .ndjson, .txt, .csv. "
                "Rename the file, or pipe JSON lines into -"
            ),
        ),
        ("missing.jsonl", {}, "cannot read {}: No such file or directory"),
        ("folder.jsonl", {}, "cannot read {}: Is a directory"),
        ("nul\0.jsonl", {}, "cannot read {}: embedded null byte"),
        (
            "in.txt",
            {"key": "id"},
            "cannot take a key from {}: a .txt file has no fields. Use .jsonl",
        ),
        (
            "in.txt",
            {"unpack": "kwargs"},
            "cannot take fields from {}: a .txt file has no fields. Use .jsonl",
        ),
        (
            "in.csv",
            {"unpack": "args"},
            "cannot take arrays from {}: a .csv file holds none. Use .jsonl",
        ),
        (
            "in.jsonl",
            {"unpack": "tuple"},
            "unpack='tuple': choose 'args' or 'kwargs', or leave it out",
        ),
        ("in.jsonl", {"max_line_bytes": 0}, "max_line_bytes is 0: give 1 or more"),
    ],
)
def test_what_cannot_be_read_is_refused_at_once(tmp_path, name, options, reason):
    """The call itself raises, not the first item, and says which file and why."""
    (tmp_path / "folder.jsonl").mkdir()
    path = tmp_path / name

    with pytest.raises(OptionError) as caught:
        read(path, **options)

    assert str(caught.value) == reason.format(path)
