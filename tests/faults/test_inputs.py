"""The inputs' table: what is refused, with its line; and what is taken."""

import json
import sys
from itertools import count
from types import SimpleNamespace

import pytest

import threadllm
from threadllm import Dispatcher, Journal, OptionError
from threadllm.cli import main

GOOD = b'{"id": "good", "prompt": "p"}\n'
REFUSED = {
    "NUL bytes": b'{"id": "a\x00"}',
    "a line that is no object": b"[1, 2]",
    "a line that is no JSON": b"no json",
    "NaN": b'{"x": NaN}',
    "1e400": b'{"x": 1e400}',
    "an integer of 5,000 digits": b'{"x": ' + b"9" * 5000 + b"}",
    "nesting of 100,000": b'{"x": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "a line of 20 MB": b'{"x": "' + b"y" * 20_000_000 + b'"}',
    "latin-1 bytes": '{"x": "ä"}'.encode("latin-1"),
    "a duplicate id": b'{"id": "good", "prompt": "another"}',
    "duplicate keys in an object": b'{"x": 1, "x": 2}',
}
TAKEN = {
    "an empty file": (b"", 0),
    "blank lines": (b"\n \n" + GOOD + b"\n", 1),
    "a byte order mark": (b"\xef\xbb\xbf" + GOOD, 1),
    "CRLF": (GOOD.replace(b"\n", b"\r\n") * 1, 1),
    "U+2028 in a string": ('{"prompt": "a\u2028b"}\n'.encode(), 1),
    "a lone surrogate": (b'{"prompt": "\\ud800"}\n', 1),
    "ids 1, '1', 1.0 and true": (
        b'{"id": 1, "x": 0}\n{"id": "1", "x": 0}\n{"id": 1.0, "x": 0}\n{"id": true, "x": 0}\n',
        4,
    ),
    "what a spreadsheet would run": (b'{"prompt": "=cmd"}\n{"prompt": "<script>"}\n', 2),
}


@pytest.fixture
def echo(capsys, tmp_path, monkeypatch):
    """Runs a function over a file, which gives each item back."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    (tmp_path / "echoes.py").write_text("def f(x):\n    return x\n")

    def run(content):
        (tmp_path / "in.jsonl").write_bytes(content)
        options = ["-o", "out.jsonl", "--overwrite", "--no-progress", "--journal", "run.db"]
        status = main(["call", "echoes.py:f", "in.jsonl", *options])
        done = SimpleNamespace(status=status, err=capsys.readouterr().err)
        lines = (tmp_path / "out.jsonl").read_text().splitlines()
        return done, [json.loads(line) for line in lines]

    return run


@pytest.mark.parametrize("row", REFUSED)
def test_input_is_refused_with_its_line(echo, row):
    """Nothing is run for it, and the rest goes on."""
    done, lines = echo(GOOD + REFUSED[row] + b"\n" + GOOD.replace(b"good", b"last"))

    assert [line["id"] for line in lines] == ["good", "last"]
    assert "refused: line 2: " in done.err
    assert done.status == 1


@pytest.mark.parametrize("row", TAKEN)
def test_input_is_taken(echo, row):
    """Each item has its line, which any reader of JSON lines takes."""
    content, items = TAKEN[row]
    done, lines = echo(content)
    again, _ = echo(content)

    assert (done.status, again.status, len(lines)) == (0, 0, items)
    assert (f"{items} of them remembered" in again.err) is (items > 0)


@pytest.mark.parametrize(
    "option",
    [
        {"max_workers": 0},
        {"max_workers": -1},
        {"max_workers": 1_000_000},
        {"request_timeout": 0},
        {"request_timeout": float("nan")},
        {"request_timeout": -1},
        {"grace": -1},
        {"deadline": 0},
    ],
    ids=str,
)
def test_input_at_the_start_is_refused(option):
    """With the option's name, and what would do."""
    with pytest.raises(OptionError, match=next(iter(option))):
        Dispatcher(**option)


def test_input_without_an_end_is_taken(tmp_path):
    """With a journal, too; it is pulled no further than its reader goes."""
    pulled = count()
    with Dispatcher(2) as pool:
        reading = pool.outcomes(str, pulled, journal=tmp_path / "run.db")
        seen = [next(reading) for _ in range(100)]
        reading.close()

    assert len(seen) == 100
    assert next(pulled) < 120


def test_input_that_raises_midway_keeps_what_is_done(tmp_path):
    """Its error is raised after that."""

    def items():
        yield from "abc"
        raise LookupError("no more")

    seen = []
    with Dispatcher(2) as pool, pytest.raises(LookupError, match="no more"):
        seen.extend(pool.outcomes(str.upper, items(), journal=tmp_path / "run.db", ordered=True))

    assert [one.value for one in seen] == ["A", "B", "C"]


def test_input_that_is_changed_after_its_submission_has_the_name_it_had(tmp_path):
    """A name is made when an item is pulled."""
    item = {"id": 1, "prompt": "p"}

    def call(given):
        given["prompt"] = "changed"
        return "bought"

    def run():
        with Dispatcher(1) as pool:
            job = Journal(tmp_path / "run.db", job="mine")
            [outcome] = pool.outcomes(call, [item], journal=job)
            return outcome

    assert not run().from_journal
    item["prompt"] = "p"
    assert run().from_journal


def test_input_whose_result_cannot_be_kept_is_handed_over(tmp_path, caplog):
    """The journal says why it could not keep it."""
    values = threadllm.map(lambda _: print, ["a"], journal=tmp_path / "run.db")

    assert values == [print]
    assert "cannot be kept" in caplog.text
