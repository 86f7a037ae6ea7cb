"""Lines into entries: JSON lines, plain text and CSV, each format one function.

The room must not know which field names an item, or what is handed to whom.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from threadllm.exceptions import InputError
from threadllm.jobs import strict_json
from threadllm.jobs.job import Refused

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import TypeAlias

    from threadllm.jobs.lines import Line

    Content: TypeAlias = dict[str, object] | list[object] | str


@dataclass(frozen=True, slots=True)
class Entry:
    """What one line, or one CSV row, holds.

    Attributes:
        line: Its line number, from 1.
        content: A JSON object or array, a row by its columns' names, or a line of text.
    """

    line: int
    content: Content


def json_lines(lines: Iterator[Line]) -> Iterator[Entry | Refused]:
    """A JSON object or array a line; blank lines are passed over."""
    return _each(lines, _container)


def text_lines(lines: Iterator[Line]) -> Iterator[Entry | Refused]:
    """A text a line, without its line end; blank lines are passed over."""
    return _each(lines, lambda text: text.removesuffix("\n").removesuffix("\r"))


def _container(text: str) -> Content:
    value = strict_json.loads(text.rstrip("\r\n"))
    if isinstance(value, dict | list):
        return value
    raise InputError('is not a JSON object. Write {"id": …, "prompt": …}')


def _each(lines: Iterator[Line], parse: Callable[[str], Content]) -> Iterator[Entry | Refused]:
    entries = (_entry(line, parse) for line in lines)
    return (entry for entry in entries if entry is not None)


def _entry(line: Line, parse: Callable[[str], Content]) -> Entry | Refused | None:
    try:
        text = line.text()
        return Entry(line.number, parse(text)) if text.strip() else None
    except InputError as error:
        return Refused(line.number, str(error))


def csv_rows(lines: Iterator[Line]) -> Iterator[Entry | Refused]:
    """A row by its columns' names; the first row names them; blank lines are passed over.

    Without a usable header no row means anything: its refusal is then all there is.
    """
    rows = _rows(lines)
    header = next((_header(line, row) for line, row in rows), [])
    if isinstance(header, Refused):
        yield replace(header, reason=f"{header.reason} (the header: no row can be read)")
        return
    for line, row in rows:
        if isinstance(row, Refused):
            yield row
        elif len(row) == len(header):
            yield Entry(line, dict(zip(header, row, strict=True)))
        else:
            yield Refused(
                line,
                f"has {len(row)} fields where the header has {len(header)}. "
                "Quote a field that contains a comma or a line break",
            )


def _header(line: int, row: list[str] | Refused) -> list[str] | Refused:
    if isinstance(row, list) and len(set(row)) < len(row):
        return Refused(line, "names a column twice. Rename one")
    return row


def _rows(lines: Iterator[Line]) -> Iterator[tuple[int, list[str] | Refused]]:
    """Each row that is not blank, with the line it begins in."""
    feed = _Feed(lines)
    reader = csv.reader(feed, strict=True)
    while True:
        feed.begin_row()
        try:
            row = next(reader, None)
        except csv.Error as error:
            feed.finish_row()
            reason = (
                f"cannot be read as CSV up to line {feed.last}: {error}. Close each quotation "
                "mark, double those inside a field, put very long texts in a .jsonl file"
            )
            yield feed.first, feed.fault or Refused(feed.first, reason)
            continue
        if row is None:
            return
        if row or feed.fault:
            yield feed.first, feed.fault or row


class _Feed:
    """Gives lines to `csv.reader`, which cannot be stopped in the middle of a row.

    A line that cannot be used is noted, and one that reads alike put in its place, so that the
    row is refused as a whole and the next one begins where it begins.
    """

    def __init__(self, lines: Iterator[Line]) -> None:
        self._lines = lines
        self._quotes = 0
        self.first = 0
        self.last = 0
        self.fault: Refused | None = None

    def begin_row(self) -> None:
        self._quotes = 0
        self.first = self.last + 1
        self.fault = None

    def finish_row(self) -> None:
        """Pass over the lines up to the one that closes the quotation mark now open."""
        while self._quotes % 2 and next(self, None) is not None:
            pass

    def __iter__(self) -> _Feed:
        return self

    def __next__(self) -> str:
        line = next(self._lines)
        self.last = line.number
        self._quotes += line.data.count(b'"')
        try:
            return line.text()
        except InputError as error:
            self.fault = self.fault or Refused(line.number, str(error))
            return line.data.decode(errors="replace").replace("\0", "\N{REPLACEMENT CHARACTER}")
