"""How long an input will be, for the bar."""

import os

import pytest

from threadllm.jobs import counted
from threadllm.jobs.counting import Counted


@pytest.mark.parametrize(
    ("name", "content", "length"),
    [
        ("in.jsonl", b"", 0),
        ("in.jsonl", b"{}\n{}\n", 2),
        ("in.jsonl", b"{}\n{}", 2),
        ("in.txt", b"a\r\n\n" + b"b" * 2**20 + b"\nc", 4),
        ("in.csv", b"id,q\n1,2\n", 1),
        ("in.CSV", b"", 0),
    ],
)
def test_a_file_has_as_many_items_as_lines(tmp_path, name, content, length):
    """Lines are counted, an unended last one too; a CSV file's header is none of them."""
    path = tmp_path / name
    path.write_bytes(content)

    found = counted(iter("ab"), path)

    assert len(found) == length
    assert [*found] == ["a", "b"]


def test_what_can_be_read_but_once_is_not_counted(tmp_path, monkeypatch):
    """Of a pipe, of what is not there and of standard input the items are all that is known."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "-").write_text("a file called like standard input\n")
    os.mkfifo(tmp_path / "pipe.jsonl")
    items = iter("ab")

    for path in ("-", "pipe.jsonl", "missing.jsonl"):
        assert counted(items, path) is items


def test_counted_items_are_those_they_were():
    """The length is what was told; the items are not looked at."""
    found = Counted("abc", 7)

    assert (len(found), [*found]) == (7, ["a", "b", "c"])
