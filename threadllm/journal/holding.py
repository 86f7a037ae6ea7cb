"""One process at a time holds a journal, and one run within it.

Beside `run.db` a small database, `run.db-lock`, stays locked for writing for as long. The system
lets go of that lock when a process ends, however it does; no fork inherits it. Anybody may read
whose it is.
"""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing, suppress

from threadllm.exceptions import OptionError

_PATIENCE = 1.0  # seconds to wait for a writer who is just writing its name


class Hold:
    """The right to write to a journal, until it is let go.

    Raises:
        OptionError: Another has it.
        sqlite3.Error: It cannot be had at all.
    """

    def __init__(self, path: str) -> None:
        self._path = f"{path}-lock"
        self._process = os.getpid()
        self._lock = _connect(self._path, 0.0)
        try:
            self._lock.execute("CREATE TABLE IF NOT EXISTS holder (pid INTEGER)")
            self._lock.execute("BEGIN IMMEDIATE")
            self._lock.execute("DELETE FROM holder")
            self._lock.execute("INSERT INTO holder VALUES (?)", [self._process])
            self._lock.execute("COMMIT")  # so that others can read it
            self._lock.execute("BEGIN IMMEDIATE")
        except sqlite3.Error as error:
            self._lock.close()
            if "locked" not in str(error):
                raise
            raise OptionError(f"journal {path}: it is in use by {self._holder()}") from None

    def let_go(self) -> None:
        """Let another have it."""
        if self._process == os.getpid():  # in a fork it is the parent's
            self._lock.close()

    def _holder(self) -> str:
        row = None
        with suppress(sqlite3.Error), closing(_connect(self._path, _PATIENCE)) as lock:
            row = lock.execute("SELECT pid FROM holder").fetchone()
        if row is None:
            return "another process"
        if row[0] == self._process:
            return f"another run of this process ({row[0]}), whose calls have not all ended"
        return f"process {row[0]}. Let that end first"


def _connect(path: str, timeout: float) -> sqlite3.Connection:
    return sqlite3.connect(path, timeout=timeout, isolation_level=None, check_same_thread=False)
