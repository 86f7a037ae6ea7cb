"""The tables of a journal: format 1.

The file is a SQLite database in WAL mode, its `application_id` 0x746c6c6d ("tllm"), its
`user_version` the format.

    journal   one row
      job             what it is the journal of
      run             how often it has been opened for writing
    items     one row for each item, by (version, key, digest)
      version         as `Journal(version=)`, and what stands for a partial's arguments
      key             as JSON: 1, "1", 1.0 and true are four
      digest          of the item's content, where it counts; else empty
      status          ok, failed, or unkept: ended well, but its value could not be kept
      permanent       of one that failed, whether it is not to be run again
      value           of one that is ok, as JSON; see `codec`
      encoded         whether the user's `encode=` made that
      error           of another, as JSON: type, message, status, body, request_id
      attempts, elapsed, input_tokens, output_tokens    as `Outcome` has them
      run             in which it ended
      at              when it was written, in seconds since 1970-01-01 UTC

A row is written again where its item is run again. Texts of errors bear no keys.
"""

from __future__ import annotations

import os
import sqlite3
import stat
import threading
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from threadllm.exceptions import JournalError, OptionError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from threadllm.journal.names import Name

FORMAT = 1
_APPLICATION = 0x746C6C6D
_SCHEMA = """
CREATE TABLE journal (job TEXT NOT NULL, run INTEGER NOT NULL);
CREATE TABLE items (
    version TEXT NOT NULL, key TEXT NOT NULL, digest TEXT NOT NULL,
    status TEXT NOT NULL, permanent INTEGER NOT NULL,
    value TEXT, encoded INTEGER NOT NULL, error TEXT,
    attempts INTEGER NOT NULL, elapsed REAL NOT NULL,
    input_tokens INTEGER NOT NULL, output_tokens INTEGER NOT NULL,
    run INTEGER NOT NULL, at REAL NOT NULL,
    PRIMARY KEY (version, key, digest)
);
"""
_PUT = "INSERT OR REPLACE INTO items VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
_TABLES = "SELECT count(*) FROM sqlite_master"
_FIND = "SELECT * FROM items WHERE version = ? AND key = ? AND digest = ?"
_BUSY = 10.0  # seconds; readers hold nobody up, but `vacuum` does
_MEND = "It stays readable, and holds all that was handed over. Free some space, then run again"


class Store:
    """A journal's file, open for the one that holds it.

    Args:
        path: The file.
        job: What it is to be the journal of.

    Attributes:
        run: The number of this run.

    Raises:
        OptionError: It is no journal, another job's, or cannot be written.
    """

    def __init__(self, path: str, job: str) -> None:
        self.path = path
        is_new = check(path)
        try:
            self._writing = connect(path, makes=is_new)
            try:
                self.run = self._begin_run(job, is_new=is_new)
                self._reading = connect(path)  # guarded by _lock
            except BaseException:
                self._writing.close()
                raise
        except sqlite3.Error as error:
            raise unusable(path, error) from error
        self._lock = threading.Lock()

    def _begin_run(self, job: str, *, is_new: bool) -> int:
        """Make the tables, if there are none; the number of this run.

        Raises:
            OptionError: It is another job's.
            sqlite3.Error: It cannot be written.
        """
        execute = self._writing.execute
        if is_new:
            self._writing.executescript(f"BEGIN; {_SCHEMA}")
            execute("INSERT INTO journal VALUES (?, 0)", [job])
            execute(f"PRAGMA application_id = {_APPLICATION}")
            execute(f"PRAGMA user_version = {FORMAT}")
            execute("COMMIT")
        (of,) = execute("SELECT job FROM journal").fetchone()
        if of != job:
            raise OptionError(
                f"journal {self.path}: it is of {of}, not of {job}. Name another file, or say what "
                "it is of: Journal(…, job=…)"
            )
        execute("PRAGMA journal_mode = WAL")
        execute("PRAGMA synchronous = FULL")
        execute("UPDATE journal SET run = run + 1")
        run: int = execute("SELECT run FROM journal").fetchone()[0]
        return run

    def find(self, version: str, name: Name) -> sqlite3.Row | None:
        """The row of an item.

        Raises:
            JournalError: It cannot be read.
        """
        try:
            with self._lock:
                cursor = self._reading.execute(_FIND, (version, name.text, name.digest))
                row: sqlite3.Row | None = cursor.fetchone()
        except sqlite3.Error as error:
            raise JournalError(self.path, str(error), "Is the file damaged?") from error
        return row

    def put(self, rows: Sequence[tuple[Any, ...]]) -> None:
        """Write rows, all or none, and have them on the disk. For one thread at a time.

        Raises:
            JournalError: They could not be written.
        """
        try:
            self._writing.execute("BEGIN IMMEDIATE")
            self._writing.executemany(_PUT, rows)
            self._writing.execute("COMMIT")
        except BaseException as error:
            with suppress(sqlite3.Error):  # where that has been done already
                self._writing.execute("ROLLBACK")
            if isinstance(error, sqlite3.Error):
                raise JournalError(self.path, str(error), _MEND) from error
            raise

    def close(self) -> None:
        """Close the file, which then is one file alone again."""
        self._reading.close()
        self._writing.close()


def connect(path: str, *, makes: bool = False) -> sqlite3.Connection:
    """A connection for any thread, each of whose statements stands for itself.

    Who but reads needs one that could write, too: after a kill the first one sets the file right.

    Args:
        path: The file.
        makes: Whether it may not be there yet.

    Raises:
        sqlite3.Error: There can be none.
    """
    mode = "rwc" if makes else "rw"
    connection = sqlite3.connect(
        f"{Path(path).absolute().as_uri()}?mode={mode}",
        timeout=_BUSY,
        isolation_level=None,
        check_same_thread=False,
        uri=True,
    )
    connection.row_factory = sqlite3.Row
    return connection


def check(path: str) -> bool:
    """See that a file can be a journal, without touching it; whether it is still to be one.

    Raises:
        OptionError: It cannot.
    """
    if not path or "\0" in path:
        raise OptionError(f"journal {path!r}: it is no path. Name a file")
    try:
        if not _holds_something(path):
            return True
        application, number, tables = _identity(path)
    except (OSError, sqlite3.Error) as error:
        raise unusable(path, error) from error
    if application == 0 and tables == 0:  # whoever made it was killed before it was one
        return True
    if application != _APPLICATION:
        raise OptionError(f"journal {path}: it is a database, but no journal. Name another file")
    if number != FORMAT:
        raise OptionError(
            f"journal {path}: its format is {number}, and this version knows {FORMAT}. "
            "Install the version of threadllm that wrote it, or name another file"
        )
    return False


def _holds_something(path: str) -> bool:
    """Whether there is a file, and it is not empty.

    Raises:
        OptionError: There can be none.
        OSError: It cannot be looked at.
    """
    if not os.path.lexists(path):
        if Path(path).parent.is_dir():
            return False
        raise OptionError(f"journal {path}: there is no folder {Path(path).parent}")
    found = Path(path).stat()
    if stat.S_ISDIR(found.st_mode):
        raise OptionError(f"journal {path}: it is a folder. Name a file")
    if not stat.S_ISREG(found.st_mode):
        raise OptionError(f"journal {path}: it is a device, or a pipe. Name a file")
    return found.st_size > 0


def _identity(path: str) -> tuple[int, int, int]:
    """What a database says that it is, and how many tables it has."""
    connection = connect(path)
    try:
        asked = ("PRAGMA application_id", "PRAGMA user_version", _TABLES)
        application, number, tables = (connection.execute(one).fetchone()[0] for one in asked)
        return application, number, tables
    finally:
        connection.close()


def unusable(path: str, error: Exception) -> OptionError:
    """The error of a file that cannot be opened."""
    reason = error.strerror if isinstance(error, OSError) else error
    return OptionError(f"journal {path}: {reason}. Name another file, or mend this one")
