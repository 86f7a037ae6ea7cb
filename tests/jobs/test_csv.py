"""CSV rows into jobs; the line between two rows is found again after any fault."""

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from threadllm.jobs import Job, Refused, read
from threadllm.jobs.formats import Entry, csv_rows
from threadllm.jobs.lines import lines

HINT = (
    "Close each quotation mark, double those inside a field, put very long texts in a .jsonl file"
)
NUL = "holds a NUL byte: is the file damaged, or UTF-16? Save it as UTF-8"
TOO_LONG = "is longer than 99 bytes. Split it"
FIELDS = "has {} fields where the header has 2. Quote a field that contains a comma or a line break"


def rows(content, limit=2**20):
    return list(csv_rows(lines(io.BytesIO(content), limit)))


def row(line, a, b):
    return Entry(line, {"a": a, "b": b})


def test_a_row_is_a_job(tmp_path):
    """It is a dict by its columns' names, whichever they are; every cell is text."""
    path = tmp_path / "in.csv"
    path.write_bytes(b'\xef\xbb\xbfid,prompt\r\n\r\n1,one\r\n2,"two\nlines, quoted"\r\n1,x\r\n')

    taken = "has the id '1' of an earlier line. Give it its own"
    assert list(read(path)) == [
        Job("1", {"id": "1", "prompt": "one"}, 3),
        Job("2", {"id": "2", "prompt": "two\nlines, quoted"}, 4),
        Refused(6, taken, "1"),
    ]
    assert next(read(path, key="prompt", unpack="kwargs")) == Job(
        "one", {"id": "1", "prompt": "one"}, 3
    )


def test_without_an_id_column_the_line_number_names_the_row(tmp_path):
    """A row without a name is named by the line that it begins in."""
    path = tmp_path / "in.csv"
    path.write_text('a,b\n"x\n",y\n=cmd,z\n')

    assert list(read(path)) == [
        Job(2, {"a": "x\n", "b": "y"}, 2),
        Job(4, {"a": "=cmd", "b": "z"}, 4),
    ]


@pytest.mark.parametrize("content", [b"", b"\n\n", b"a,b\n", b"a,b"])
def test_a_file_without_rows_has_no_jobs(content):
    """Nothing, blank lines or a header alone give nothing."""
    assert rows(content) == []


@pytest.mark.parametrize(
    ("header", "reason"),
    [
        (b"a,a", "names a column twice. Rename one (the header: no row can be read)"),
        (b"a,\0", f"{NUL} (the header: no row can be read)"),
    ],
)
def test_without_a_header_no_row_is_read(header, reason):
    """A header that cannot be used is refused, and nothing is made of the rows."""
    assert rows(header + b"\n1,2\n") == [Refused(1, reason)]


@pytest.mark.parametrize(
    ("bad", "refused"),
    [
        (b"1\n", [Refused(2, FIELDS.format(1))]),
        (b"1,2,3\n", [Refused(2, FIELDS.format(3))]),
        (b"1,\0\n", [Refused(2, NUL)]),
        (
            b'1,"\n\xff\n\0\n"\n',
            [Refused(3, "is not UTF-8: byte 0xff at byte 1. Save the file as UTF-8")],
        ),
        (b"1," + b"x" * 99 + b"\n", [Refused(2, TOO_LONG)]),
        (b'1,"' + b"x" * 99 + b'\nx,y\n"\n', [Refused(2, TOO_LONG)]),
        (
            b'1,"a"b\n',
            [Refused(2, f"cannot be read as CSV up to line 2: ',' expected after '\"'. {HINT}")],
        ),
        (
            b'1,"a"b"\nx,y\n"\n',
            [Refused(2, f"cannot be read as CSV up to line 4: ',' expected after '\"'. {HINT}")],
        ),
    ],
)
def test_a_bad_row_is_refused_as_a_whole(bad, refused):
    """What follows is read from where the bad row ends: no part of it becomes a row."""
    assert rows(b"a,b\n" + bad + b"3,4\n", 99) == [*refused, row(2 + bad.count(b"\n"), "3", "4")]


def test_a_quotation_mark_never_closed_is_refused():
    """The row that it opens in is refused, and says how far it reaches."""
    assert rows(b'a,b\n1,2\n3,"4\n5,6\n') == [
        row(2, "1", "2"),
        Refused(3, f"cannot be read as CSV up to line 4: unexpected end of data. {HINT}"),
    ]


def test_a_text_over_the_csv_modules_own_limit_is_refused():
    """A field longer than `csv.field_size_limit()` is refused, and its row with it."""
    long = b"x" * csv.field_size_limit()

    assert rows(b'a,b\n1,"' + long + b'y\nx,y"\n3,4\n') == [
        Refused(
            2,
            "cannot be read as CSV up to line 3: "
            f"field larger than field limit ({csv.field_size_limit()}). {HINT}",
        ),
        row(4, "3", "4"),
    ]


@given(st.lists(st.tuples(st.text(), st.text()), max_size=5))
def test_what_was_written_is_read(pairs):
    """Any cells, quoted as RFC 4180 says, are read as they were, but for NUL characters."""
    cells = [[cell.replace('"', '""') for cell in pair] for pair in [("a", "b"), *pairs]]

    found = rows("".join(f'"{a}","{b}"\r\n' for a, b in cells).encode())

    assert [one for one in found if isinstance(one, Entry)] == [
        row(one.line, *pair)
        for one, pair in zip(found, pairs, strict=True)
        if isinstance(one, Entry)
    ]
    assert sum(isinstance(one, Entry) for one in found) == sum(
        "\0" not in "".join(pair) for pair in pairs
    )


@given(st.binary(), st.integers(1, 50))
def test_no_bytes_stop_the_reader(content, limit):
    """Whatever a file holds, each result has a line number of its own, in order."""
    numbers = [one.line for one in rows(b"a,b\n" + content, limit)]

    assert numbers == sorted(set(numbers))
    assert all(1 <= number <= content.count(b"\n") + 2 for number in numbers)
