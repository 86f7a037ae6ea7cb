"""A journal in use: it is asked what is done, and told what ends.

What is told is written in groups, by one thread at a time: whoever tells something while nobody
writes writes all that is queued, for others too, who wait for it. So there is no thread that would
have to be woken, and a group is as large as the disk is slow.
"""

from __future__ import annotations

import json
import logging
import os
import threading
from dataclasses import dataclass
from sqlite3 import Error as SQLiteError
from typing import TYPE_CHECKING, Any, Protocol

from threadllm.exceptions import EarlierFailure, JournalError, ReportedError
from threadllm.journal import codec
from threadllm.journal.holding import Hold
from threadllm.journal.names import NO_KEY, Name, name_of
from threadllm.journal.store import Store, check, unusable
from threadllm.outcome import Outcome, Usage
from threadllm.providers import details_of
from threadllm.redaction import text_of, type_name

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from sqlite3 import Row

    from threadllm.clock import Clock

_LOGGER = logging.getLogger("threadllm.journal")


class Entry(Protocol):
    """What is remembered of an item."""

    def outcome(self, index: int, key: object, item: Any) -> Outcome[Any, Any]:
        """The outcome that it had, for an item that stands there."""


class Settings(Protocol):
    """How a journal is to be used: `threadllm.Journal` says more of each."""

    @property
    def path(self) -> str | os.PathLike[str]:
        """The file."""

    @property
    def version(self) -> str:
        """What else its names go by."""

    @property
    def retry_failed(self) -> bool | None:
        """Which items that failed are run again."""

    @property
    def encode(self) -> Callable[[Any], Any] | None:
        """Makes what JSON can hold of a value."""

    @property
    def decode(self) -> Callable[[Any], Any] | None:
        """Makes the value of that."""


class _Group:
    """Rows that are written together. What it holds is guarded by the journal's lock."""

    def __init__(self, lock: threading.Lock) -> None:
        self.changed = threading.Condition(lock)
        self.rows: list[tuple[Any, ...]] = []
        self.is_written = False
        self.error: JournalError | None = None


class OpenJournal:
    """A journal that this process holds.

    Args:
        settings: The user's.
        job: What it is the journal of.
        clock: Says when rows were written.

    Raises:
        OptionError: It cannot be used.
    """

    def __init__(self, settings: Settings, job: str, clock: Clock) -> None:
        self._settings = settings
        self._clock = clock
        self._path = path = os.fspath(settings.path)
        self._process = os.getpid()
        check(path)  # before there is a file beside it
        try:
            self._hold = Hold(path)
        except SQLiteError as error:
            raise unusable(path, error) from error
        try:
            self._store = Store(path, job)
        except BaseException:
            self._hold.let_go()
            raise
        self._lock = threading.Lock()  # guards what follows
        self._next = _Group(self._lock)
        self._is_writing = False
        self._broken: JournalError | None = None

    def name(self, item: object, key: object = NO_KEY) -> Name:
        """See `threadllm.journal.names.name_of`.

        Raises:
            OptionError: The item has no name that would be its own in another run.
        """
        return name_of(item, key)

    def find(self, name: Name) -> Entry | None:
        """What is remembered of an item, if that need not be run again.

        Raises:
            JournalError: The file cannot be read.
        """
        row = self._store.find(self._settings.version, name)
        return None if row is None or self._is_to_be_run(row) else _Entry(row, self)

    def record(self, ended: Iterable[tuple[Name, Outcome[Any, Any], bool]]) -> None:
        """Write outcomes; from any thread. They are on the disk when this returns.

        A value that JSON cannot hold is not kept: its row says why.

        Args:
            ended: Of each item its name, what is to be remembered of it, and whether, if it failed,
                it is not to be run again, unless all are.

        Raises:
            JournalError: They could not be written, nor will anything else be.
        """
        rows = [self._row(*one) for one in ended]
        with self._lock:
            group = self._next
            group.rows.extend(rows)
            while self._is_writing and not group.is_written:
                group.changed.wait()
            if not group.is_written:
                self._is_writing, self._next = True, _Group(self._lock)
        if not group.is_written:
            self._write(group)
        if group.error is not None:
            raise group.error.another()

    def close(self) -> None:
        """Let another have the journal, once nobody tells it anything."""
        if self._process == os.getpid():  # else it is a fork's copy
            self._store.close()
            self._hold.let_go()

    def decode(self, row: Row) -> Any:
        """The value in a row.

        Raises:
            JournalError: It cannot be had.
        """
        decode = self._settings.decode if row["encoded"] else _identity
        try:
            return (decode or _undecodable)(codec.loads(row["value"]))
        except Exception as error:
            reason = f"the value of {row['key']} cannot be had: {text_of(error)}"
            raise JournalError(self._path, reason) from error

    def _is_to_be_run(self, row: Row) -> bool:
        if row["status"] != "failed":
            return bool(row["status"] != "ok")
        retry = self._settings.retry_failed
        return row["run"] != self._store.run and (not row["permanent"] if retry is None else retry)

    def _write(self, group: _Group) -> None:
        error = broken = self._broken
        try:
            if broken is None:
                self._store.put(group.rows)
        except JournalError as problem:
            error = broken = problem
        except BaseException as problem:  # such as Ctrl-C, which is this group's alone
            error = JournalError(self._path, f"{type_name(problem)} while it was written")
            raise
        finally:
            with self._lock:
                self._is_writing, self._broken = False, broken
                group.error, group.is_written = error, True
                group.changed.notify_all()
                self._next.changed.notify()  # one of those is the next to write

    def _row(self, name: Name, outcome: Outcome[Any, Any], permanent: bool) -> tuple[Any, ...]:
        status, value, problem, now = "ok", None, None, self._clock.time()
        if outcome.error is not None:
            status, problem = "failed", _told_of(outcome.error, now)
        else:
            value, error = self._encoded(outcome.value)
            if error is not None:
                status, problem = "unkept", _told_of(error, now)
                _LOGGER.warning(
                    "journal %s: the value of %s cannot be kept, and its item will be run again "
                    "in the next run: %s",
                    self._path,
                    name.text,
                    text_of(error),
                )
        return (
            self._settings.version,
            name.text,
            name.digest,
            status,
            permanent,
            value,
            self._settings.encode is not None,
            None if problem is None else json.dumps(problem),
            outcome.attempts,
            outcome.elapsed,
            outcome.usage.input_tokens,
            outcome.usage.output_tokens,
            self._store.run,
            now,
        )

    def _encoded(self, value: Any) -> tuple[str | None, Exception | None]:
        """A value as JSON, or why it has no such form, which may be anything."""
        encode = self._settings.encode or _identity
        try:
            return codec.dumps(encode(value)), None
        except Exception as error:
            return None, error


@dataclass(frozen=True, slots=True)
class _Entry:
    """See `Entry`."""

    row: Row
    journal: OpenJournal

    def outcome(self, index: int, key: object, item: Any) -> Outcome[Any, Any]:
        """See `Entry.outcome`.

        Raises:
            JournalError: Its value cannot be had.
        """
        row, value, error = self.row, None, None
        if row["status"] == "failed":
            error = EarlierFailure(**json.loads(row["error"]))
        else:
            value = self.journal.decode(row)
        return Outcome(
            index=index,
            key=key,
            item=item,
            value=value,
            error=error,
            attempts=row["attempts"],
            elapsed=row["elapsed"],
            usage=Usage(row["input_tokens"], row["output_tokens"]),
            requests=(),
            from_journal=True,
        )


def _identity(value: Any) -> Any:
    return value


def _undecodable(_: Any) -> Any:
    raise LookupError("it was made by encode=: give decode= too")


def _told_of(error: BaseException, now: float) -> Mapping[str, object]:
    """What is kept of an error: what `EarlierFailure` takes."""
    if isinstance(error, ReportedError):  # as it was where it came up
        kind, message = error.kind, error.message
    else:
        kind, message = type_name(error), text_of(error)
    status, body, request_id, _ = details_of(error, now=now)
    return {
        "kind": kind,
        "message": message,
        "status": status,
        "body": body,
        "request_id": request_id,
    }
