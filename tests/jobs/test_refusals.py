"""Lines that cannot be used: refused by number and reason, while the rest goes on."""

import io
import os

import pytest

from threadllm.jobs import Job, Refused, read


def piped(content):
    return list(read("-", stdin=io.BytesIO(content)))


NOT_AN_OBJECT = 'is not a JSON object. Write {"id": …, "prompt": …}'
ROWS = {
    "NUL bytes": (
        b'{"prompt": "\0"}',
        "holds a NUL byte: is the file damaged, or UTF-16? Save it as UTF-8",
    ),
    "a string": (b'"text"', NOT_AN_OBJECT),
    "a number": (b"1", NOT_AN_OBJECT),
    "null": (b"null", NOT_AN_OBJECT),
    "an array": (
        b"[1]",
        'is a JSON array, not an object. Write {"id": …, "prompt": …}, or unpack it as args',
    ),
    "NaN": (
        b'{"prompt": NaN}',
        "has NaN, which is not JSON. Write null, or leave the field out",
    ),
    "Infinity": (
        b'{"prompt": Infinity}',
        "has Infinity, which is not JSON. Write null, or leave the field out",
    ),
    "1e400": (
        b'{"prompt": 1e400}',
        "has the number '1e400', out of range. Write it as a string",
    ),
    "an integer of 5,000 digits": (
        b'{"prompt": ' + b"1" * 5000 + b"}",
        "has an integer of 5,000 digits. Write it as a string",
    ),
    "nesting of 100,000": (
        b'{"prompt": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        "is nested more than 200 levels deep. Flatten it",
    ),
    "latin-1": (
        b'{"prompt": "caf\xe9"}',
        "is not UTF-8: byte 0xe9 at byte 16. Save the file as UTF-8",
    ),
    "a duplicate key": (
        b'{"prompt": 1, "prompt": 1}',
        "has the key 'prompt' twice in one object. Remove one",
    ),
    "a torn line": (
        b'{"prompt": "on',
        (
            "is not JSON: Unterminated string starting at (character 12). "
            "Write one whole JSON value on each line"
        ),
    ),
    "no name": (
        b'{"id": null}',
        "has None as its 'id'. Name it with a string or a number",
    ),
    "a list as a name": (
        b'{"id": [1]}',
        "has [1] as its 'id'. Name it with a string or a number",
    ),
}


@pytest.mark.parametrize(("line", "reason"), ROWS.values(), ids=ROWS)
def test_a_line_that_cannot_be_used_is_refused(line, reason):
    """It is refused with its number and the reason, and the lines around it are read."""
    content = b'{"prompt": "before"}\n' + line + b'\n{"prompt": "after"}\n'

    assert piped(content) == [Job(1, "before", 1), Refused(2, reason), Job(3, "after", 3)]


def test_a_line_over_the_limit_is_refused(tmp_path):
    """A line of 100 MB is refused by default, and the limit can be set."""
    path = tmp_path / "big.jsonl"
    with path.open("wb") as file:
        file.truncate(100 * 10**6)
        file.seek(0, os.SEEK_END)
        file.write(b'\n{"prompt": 1}\n')
    stdin = io.BytesIO(b'{"prompt": 1}\n{"prompt": 10}\n')
    reason = "is longer than {} bytes. Split it"

    assert list(read(path)) == [Refused(1, reason.format("16,777,216")), Job(2, 1, 2)]
    assert list(read("-", stdin=stdin, max_line_bytes=13)) == [
        Job(1, 1, 1),
        Refused(2, reason.format("13")),
    ]


def test_of_two_lines_of_one_name_the_first_stands():
    """A name is taken once, a line number included; types tell names apart."""
    ids = ["1", '"1"', "1.0", "true", "1", '"1"', "1.0", "true", "10"]
    lines = [f'{{"id": {name}, "prompt": 0}}' for name in ids] + ['{"prompt": 0}']
    reason = "has the id {} of an earlier line. Give it its own"

    assert [repr(one) for one in piped("\n".join(lines).encode())] == [
        "Job(id=1, item=0, line=1)",
        "Job(id='1', item=0, line=2)",
        "Job(id=1.0, item=0, line=3)",
        "Job(id=True, item=0, line=4)",
        repr(Refused(5, reason.format("1"), 1)),
        repr(Refused(6, reason.format("'1'"), "1")),
        repr(Refused(7, reason.format("1.0"), 1.0)),
        repr(Refused(8, reason.format("True"), id=True)),
        "Job(id=10, item=0, line=9)",
        repr(Refused(10, reason.format("10"), 10)),
    ]


def test_a_refusal_reads_as_a_sentence():
    """Printed, a refusal names the line and says why."""
    assert str(Refused(7, "is not JSON")) == "line 7: is not JSON"
