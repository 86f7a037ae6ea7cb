"""A result file that an earlier run began: repaired, gone on with, and left with a line an item.

The journal beside it has all that is in it, so that a line may be thrown away wherever that is
simpler. A line that takes the place of an older one is appended, and both are there until the file
is closed; who is killed before that leaves it to the next run.
"""

from __future__ import annotations

import os
from contextlib import AbstractContextManager
from pathlib import Path
from shutil import copymode
from typing import TYPE_CHECKING

from threadllm.exceptions import OptionError
from threadllm.jobs.writing import Writer, dumps
from threadllm.providers import parse_body

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from types import TracebackType

_PIECE = 1 << 16  # bytes at a time in which the last line end is looked for


class Continued(AbstractContextManager["Continued"]):
    """Goes on writing a file of results, each line of which has its item's name in a field.

    Args:
        path: The file, which may not be there yet.
        field: What the field is called.

    Raises:
        OptionError: It cannot be written, or holds something else.
    """

    def __init__(self, path: str | Path, field: str) -> None:
        self._path = Path(path).resolve()  # through a link, which is to stay one
        self._field = field
        self._hashes: dict[str, int] = {}  # of lines, by names
        self._has_doubles = False
        Writer(path, continues=True).close()  # it can be written, and is there
        _cut_torn_end(self._path)
        for name, line, _ in self._lines():
            self._note(name, line)
        if self._has_doubles:
            self._replace_doubles()
        self._writer = Writer(path, continues=True)

    def write(self, record: Mapping[str, object]) -> None:
        """Write a record, in place of the one that its item has, if it has one.

        Raises:
            TypeError, ValueError, OSError: As for `Writer.write`.
        """
        self._writer.write(record)
        self._note(dumps(record[self._field]), _line(record))

    def has(self, record: Mapping[str, object]) -> bool:
        """Whether a record is there, as it is."""
        return self._hashes.get(dumps(record[self._field])) == hash(_line(record))

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._writer.close()
        if self._has_doubles:
            self._replace_doubles()

    def _note(self, name: str, line: bytes) -> None:
        self._has_doubles = self._has_doubles or name in self._hashes
        self._hashes[name] = hash(line)

    def _replace_doubles(self) -> None:
        """Let the last line of a name stand where its first one stood; all of it, or nothing."""
        last = {name: (start, len(line)) for name, line, start in self._lines()}
        beside = self._path.with_name(f"{self._path.name}.new")
        try:
            with self._path.open("rb") as old, beside.open("wb") as new:
                for name, _, _ in self._lines():
                    place = last.pop(name, None)
                    if place is not None:
                        old.seek(place[0])
                        new.write(old.read(place[1]))
                new.flush()
                os.fsync(new.fileno())
            copymode(self._path, beside)
            beside.replace(self._path)
        finally:
            beside.unlink(missing_ok=True)
        self._has_doubles = False

    def _lines(self) -> Iterator[tuple[str, bytes, int]]:
        """Each line's name, the line, and where it begins.

        Raises:
            OptionError: One is no result.
        """
        start = 0
        with self._path.open("rb") as file:
            for number, line in enumerate(file, 1):
                yield self._name(line, number), line, start
                start += len(line)

    def _name(self, line: bytes, number: int) -> str:
        record = parse_body(line)
        if not (isinstance(record, dict) and self._field in record):
            raise OptionError(
                f"{self._path}, line {number}: it is no result with {self._field!r}, and so cannot "
                "be gone on with. Name another file, or say --overwrite"
            )
        return dumps(record[self._field])


def _line(record: Mapping[str, object]) -> bytes:
    return dumps(record).encode("ascii") + b"\n"


def _cut_torn_end(path: Path) -> None:
    """Throw away what stands after the last line end: a line that was being written."""
    with path.open("r+b") as file:
        end = file.seek(0, os.SEEK_END)
        while end:
            start = max(0, end - _PIECE)
            file.seek(start)
            found = file.read(end - start).rfind(b"\n")
            if found >= 0:
                end = start + found + 1
                break
            end = start
        file.truncate(end)
