"""The engine: rows are read and saved in the calling thread, and processed in others.

Twice as many rows as threads are in hand at a time, read and not yet processed; where results are
saved by batches, one batch waits besides.
"""

from __future__ import annotations

import logging
from contextlib import ExitStack, nullcontext, suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from django.utils.asyncio import async_unsafe

from threadllm.clock import SYSTEM
from threadllm.contrib.django.executor import inline_if_set
from threadllm.contrib.django.report import KEPT, Failure, Report
from threadllm.contrib.django.rows import journal_name, key_of, source_of
from threadllm.contrib.django.saving import Saver
from threadllm.contrib.django.workers import Workers
from threadllm.dispatcher import DEFAULT_WORKERS, Dispatcher, inline
from threadllm.exceptions import OptionError, RunStopped
from threadllm.outcome import Usage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from contextlib import AbstractContextManager

    from threadllm.contrib.django.rows import Source
    from threadllm.contrib.django.workers import Setting, WorkerDB
    from threadllm.outcome import Outcome

P = TypeVar("P")
R = TypeVar("R")

_LOGGER = logging.getLogger("threadllm")
_IN_A_LOOP = (
    "An event loop runs in this thread, and the ORM would refuse to: call it by sync_to_async, "
    "or in a thread"
)


def run_queryset(
    queryset: Any,
    process: Callable[[P], R],
    save: Callable[[Any, R], object] | None = None,
    *,
    prepare: Callable[[Any], P] | None = None,
    save_batch: Callable[[Sequence[tuple[Any, R]]], object] | None = None,
    batch_size: int | None = None,
    on_error: Callable[[Any, BaseException], object] | None = None,
    worker_db: WorkerDB = "allow",
    worker_context: Callable[[], AbstractContextManager[object]] = nullcontext,
    concurrency: int = DEFAULT_WORKERS,
    limit: int | None = None,
    journal: Any = None,
    max_failures: int | str | None = None,
    **options: Any,
) -> Report:
    """Process each row of a query set in threads, and save each result here, as it is finished.

    A row that fails, in whatever step, is told to `on_error`, and the others go on. Whatever ends
    the run, what is finished by then is saved first.

    Args:
        queryset: The rows that are to be done: let those that are done leave it, and a run that
            was killed goes on where it was. Or any other iterable.
        process: Called in a worker thread, with the row, or with what `prepare` made of it.
        save: Called in this thread with the row and what `process` returned; once more where the
            connection has died.
        prepare: Called in this thread with the row, for what `process` needs of the database.
        save_batch: Called in this thread with pairs of row and result, in a transaction. A batch
            that fails is saved row by row, by `save` if there is one.
        batch_size: How many pairs at most; 100 by default.
        on_error: Called in this thread with the row and its error.
        worker_db: "forbid" lets no `process` ask the database.
        worker_context: Gives a context manager, which is entered around each `process`.
        concurrency: Threads; 0 processes the rows here, one after another.
        limit: How many rows at most.
        journal: See `Dispatcher.outcomes`: rows go by their primary keys.
        max_failures: As there; rows that cannot be saved are not counted.
        options: Of `threadllm.Dispatcher`, such as `quota`, `retry` and `progress`.

    Raises:
        OptionError: An option that cannot be meant.
        RunStopped: The provider refuses for good, or too many rows have failed.
        KeyboardInterrupt, SystemExit: See `Dispatcher.outcomes`.
        SynchronousOnlyOperation: In a thread whose event loop runs.
        Exception: What the query set raises.
    """
    running = Running(
        process,
        prepare=prepare,
        save=save,
        save_batch=save_batch,
        batch_size=batch_size,
        on_failure=None if on_error is None else lambda obj, failure: on_error(obj, failure.error),
        workers=Workers(worker_db, worker_context, concurrency),
    )
    source = source_of(queryset, limit=limit, window=2 * concurrency)
    running.run(source, concurrency, options, journal=journal, max_failures=max_failures)
    return running.report


@dataclass(slots=True)
class Row(Generic[P]):
    """A row on its way.

    Attributes:
        obj: The row.
        payload: What it is processed as.
        flaw: What prepare raised, if it did: the row fails with that, as others do.
        setting: Where it was prepared.
    """

    obj: Any
    payload: P
    flaw: Exception | None
    setting: Setting


class Running(Generic[P, R]):
    """One run, and what it has come to.

    Args:
        process: See `run_queryset`, as all the others.
        prepare: As there.
        save: As there.
        save_batch: As there.
        batch_size: As there.
        on_failure: As `on_error` there, called with the row and its `Failure`.
        workers: Where `process` is called.

    Attributes:
        report: What it has come to so far. All that is here is the calling thread's alone, but
            for calls of `func`.
        func: What a journal names the run by.
    """

    def __init__(
        self,
        process: Callable[[P], R],
        *,
        prepare: Callable[[Any], P] | None,
        save: Callable[[Any, R], object] | None,
        save_batch: Callable[[Sequence[tuple[Any, R]]], object] | None,
        batch_size: int | None,
        on_failure: Callable[[Any, Failure], object] | None,
        workers: Workers,
    ) -> None:
        self.func = process
        self.report = Report()
        self._prepare = prepare
        self._on_failure = on_failure
        self._workers = workers
        self._saver = Saver(save, save_batch, batch_size, self._saved, self._failed)

    def __call__(self, row: Row[P]) -> R:
        """Process a row, in a worker thread."""
        with self._workers.at_work(row.setting):
            if row.flaw is not None:
                raise row.flaw
            return self.func(row.payload)

    @async_unsafe(_IN_A_LOOP)
    def run(
        self,
        source: Source,
        concurrency: int,
        options: dict[str, Any],
        *,
        journal: Any,
        max_failures: int | str | None,
    ) -> None:
        """See `run_queryset`."""
        if concurrency < 0:
            raise OptionError(f"concurrency={concurrency}: give a number of threads, or 0 for none")
        began = SYSTEM.monotonic()
        with ExitStack() as stack:
            stack.enter_context(inline_if_set())
            if concurrency == 0:
                stack.enter_context(inline())
            stack.callback(self._workers.close)
            pool = stack.enter_context(Dispatcher(concurrency or 1, **options))
            outcomes = pool.outcomes(
                self,
                _Rows(source, self._row),
                key=None if journal is None else lambda row: journal_name(row.obj),
                journal=journal,
                max_failures=max_failures,
            )
            try:
                self._take(outcomes)
            except BaseException:  # perhaps of a second signal, while something was saved
                pool.cancel(grace=0)
                self._take_rest(outcomes)
                raise
            finally:
                self._saver.flush()
                self.report = replace(self.report, seconds=SYSTEM.monotonic() - began)

    def _take(self, outcomes: Iterator[Outcome[Row[P], R]]) -> None:
        for outcome in outcomes:
            if outcome.error is None:
                self._saver.add(outcome)
            else:
                self._failed(outcome, outcome.error)

    def _take_rest(self, outcomes: Iterator[Outcome[Row[P], R]]) -> None:
        """Whatever interrupts that: something is taken each time, so that it ends."""
        while True:
            with suppress(RunStopped, KeyboardInterrupt, SystemExit):
                self._take(outcomes)
                return

    def _row(self, obj: Any) -> Row[P]:
        payload, flaw = obj, None
        if self._prepare is not None:
            try:
                payload = self._prepare(obj)
            except Exception as error:  # noqa: BLE001  # whatever it raises is its row's
                flaw = error
        return Row(obj, payload, flaw, self._workers.setting())

    def _saved(self, outcome: Outcome[Row[P], R]) -> None:
        self._count(outcome, saved=1, remembered=int(outcome.from_journal))

    def _failed(self, outcome: Outcome[Row[P], R], error: BaseException) -> None:
        obj = outcome.item.obj
        failure = Failure.of(key_of(obj, outcome.index), error)
        kept = (failure,) if len(self.report.failures) < KEPT else ()
        self._count(outcome, failed=1, failures=kept)
        if self._on_failure is not None:
            try:
                self._on_failure(obj, failure)
            except Exception:
                _LOGGER.exception("on_error of %s", failure)

    def _count(
        self,
        outcome: Outcome[Row[P], R],
        *,
        saved: int = 0,
        failed: int = 0,
        remembered: int = 0,
        failures: tuple[Failure, ...] = (),
    ) -> None:
        so_far = self.report
        self.report = replace(
            so_far,
            saved=so_far.saved + saved,
            failed=so_far.failed + failed,
            remembered=so_far.remembered + remembered,
            usage=so_far.usage + (Usage() if outcome.from_journal else outcome.usage),
            failures=so_far.failures + failures,
        )


class _Rows(Generic[P]):
    """The input of a run. It has the length that its source has."""

    def __init__(self, source: Source, make: Callable[[Any], Row[P]]) -> None:
        self._source = source
        self._make = make

    def __iter__(self) -> Iterator[Row[P]]:
        return map(self._make, self._source)

    def __len__(self) -> int:
        return len(self._source)
