"""What is in a journal, for people and for other programs: also while a run is writing to it."""

from __future__ import annotations

import json
import sqlite3
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from threadllm.exceptions import JournalError, OptionError
from threadllm.journal import codec
from threadllm.journal.holding import Hold
from threadllm.journal.store import check, connect, unusable

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    Record = Mapping[str, Any]

_ALL = "SELECT * FROM items ORDER BY rowid"  # as they were written
_OF_KEY = "SELECT * FROM items WHERE key IN (?, ?) ORDER BY rowid"
_TROUBLES = "SELECT * FROM items WHERE status != 'ok' ORDER BY rowid LIMIT ?"
_FINAL = "SELECT count(*) FROM items WHERE permanent"
_BY_STATUS = "SELECT status, count(*) FROM items GROUP BY status"
_BY_VERSION = "SELECT version, count(*) FROM items GROUP BY version"
_DAMAGED = "Is the file damaged? Nothing was changed"


@dataclass(frozen=True, slots=True)
class Summary:
    """What a journal holds.

    Attributes:
        job: What it is of.
        runs: How many have written to it.
        statuses: Items by status: ok, failed, unkept.
        permanent: Of those that failed, how many are not run again by themselves.
        versions: Items by version.
        troubles: Some of the items without a value.
        size: Bytes on the disk.
    """

    job: str
    runs: int
    statuses: Mapping[str, int]
    permanent: int
    versions: Mapping[str, int]
    troubles: list[Record]
    size: int


def summary(path: str, *, troubles: int = 10) -> Summary:
    """Sum a journal up.

    Args:
        path: The file.
        troubles: How many of the items without a value are told.

    Raises:
        OptionError: It is no journal.
        JournalError: It cannot be read.
    """
    with _reading(path) as journal:
        job, runs = journal.execute("SELECT job, run FROM journal").fetchone()
        return Summary(
            job=job,
            runs=runs,
            statuses=dict(map(tuple, journal.execute(_BY_STATUS))),
            permanent=journal.execute(_FINAL).fetchone()[0],
            versions=dict(map(tuple, journal.execute(_BY_VERSION))),
            troubles=[*map(_record, journal.execute(_TROUBLES, [troubles]))],
            size=_size(path),
        )


def records(path: str, key: str | None = None) -> Iterator[Record]:
    """All items, or those of one key, as JSON can hold them, in the order they were written in.

    Args:
        path: The file.
        key: The key as JSON, or a text as it is.

    Raises:
        OptionError: It is no journal.
        JournalError: It cannot be read.
    """
    wanted = (_ALL, ()) if key is None else (_OF_KEY, (key, json.dumps(key)))
    with _reading(path) as journal:
        yield from map(_record, journal.execute(*wanted))


def vacuum(path: str) -> tuple[int, int]:
    """Let a journal take no more room than it needs; its bytes before and after.

    Raises:
        OptionError: It is no journal, or in use.
        JournalError: There is no room to do it in, or it cannot be read.
    """
    before = _size(path)
    with _reading(path):
        hold = Hold(path)
    try:
        journal = connect(path)
        try:
            journal.execute("VACUUM")
            journal.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        finally:
            journal.close()
    except sqlite3.Error as error:
        raise JournalError(path, str(error), _DAMAGED) from error
    finally:
        hold.let_go()
    return before, _size(path)


@contextmanager
def _reading(path: str) -> Iterator[sqlite3.Connection]:
    if check(path):
        raise OptionError(f"journal {path}: there is no such file, or nothing in it")
    try:
        journal = connect(path)
    except sqlite3.Error as error:
        raise unusable(path, error) from error
    try:
        yield journal
    except sqlite3.Error as error:
        raise JournalError(path, str(error), _DAMAGED) from error
    finally:
        journal.close()


def _record(row: sqlite3.Row) -> Record:
    error = row["error"]
    return {
        "key": json.loads(row["key"]),
        "version": row["version"],
        "status": row["status"],
        "value": None if row["value"] is None else codec.plain(row["value"]),
        "error": None if error is None else json.loads(error),
        "permanent": bool(row["permanent"]),
        "attempts": row["attempts"],
        "elapsed": row["elapsed"],
        "usage": {"input_tokens": row["input_tokens"], "output_tokens": row["output_tokens"]},
        "run": row["run"],
        "at": row["at"],
    }


def _size(path: str) -> int:
    files = (Path(path), Path(f"{path}-wal"))
    return sum(file.stat().st_size for file in files if file.exists())
