"""The base class of management commands: options in, lines and an exit status out."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

from django.core.management.base import BaseCommand, CommandError

from threadllm.call import number_or_share
from threadllm.contrib.django.report import Report
from threadllm.contrib.django.rows import source_of
from threadllm.contrib.django.running import Running
from threadllm.contrib.django.telling import Telling, failures_file
from threadllm.contrib.django.workers import Workers
from threadllm.dispatcher import DEFAULT_WORKERS
from threadllm.exceptions import JournalError, OptionError, RunStopped
from threadllm.quota import Quota
from threadllm.retry import Retry

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from contextlib import AbstractContextManager

    from django.core.management.base import CommandParser
    from django.db.models import QuerySet

    from threadllm.contrib.django.report import Failure
    from threadllm.contrib.django.rows import Source
    from threadllm.contrib.django.telling import Progress
    from threadllm.contrib.django.workers import WorkerDB

_AFTER_SIGINT, _AFTER_SIGTERM = 130, 143
_NO_PROCESS = "write process(payload)"
_NO_SAVE = "write save(obj, result), or save_batch(pairs)"
_INTERRUPTED = "stopped; what was finished is saved, and the same command goes on with the rest"


class ThreadedCommand(BaseCommand):
    """A management command that sends rows through a blocking function, many at a time.

    Write `get_queryset`, which gives the rows that are still to be done, `process`, which runs in
    worker threads, and `save`, which runs in the main thread as each one finishes. A row that fails
    is told on stderr, and the others go on; the command then ends with the status 1. It ends with
    130 or 143 after SIGINT or SIGTERM, once what is in flight is saved, or ten seconds have passed.

    Attributes:
        concurrency: Threads, unless `--concurrency` says otherwise.
        quota: The provider's limits, as a `threadllm.Quota`.
        retry: What is tried again, as a `threadllm.Retry`.
        worker_db: "forbid" has a `process` fail that asks the database.
        batch_size: How many pairs `save_batch` is given, unless `--batch-size` says otherwise.
        report: What the last run has come to.
    """

    concurrency: ClassVar[int] = DEFAULT_WORKERS
    quota: ClassVar[Quota | None] = None
    retry: ClassVar[Retry | None] = None
    worker_db: ClassVar[WorkerDB] = "allow"
    batch_size: ClassVar[int | None] = None
    report: Report

    def get_queryset(self, **options: Any) -> QuerySet[Any]:
        """The rows that are still to be done, given the command's own options."""
        raise NotImplementedError("write get_queryset(), or get_items()")

    def get_items(self, **options: Any) -> QuerySet[Any] | Iterable[Any]:
        """The rows, or whatever else there is to be done; may be endless."""
        return self.get_queryset(**options)

    def prepare(self, obj: Any) -> Any:
        """What `process` is called with; in the main thread, where it may ask the database."""
        return obj

    def process(self, payload: Any) -> Any:
        """The result for a row; in a worker thread. It is called again for what is worth it."""
        raise NotImplementedError(_NO_PROCESS)

    def save(self, obj: Any, result: Any) -> None:
        """Keep a result; in the main thread. It is called again where the connection has died."""
        raise NotImplementedError(_NO_SAVE)

    def save_batch(self, pairs: Sequence[tuple[Any, Any]]) -> None:
        """Keep several results, in a transaction, in the main thread; in place of `save`.

        Where it fails each is saved alone, by `save` if that is written.
        """
        raise NotImplementedError(_NO_SAVE)

    def on_error(self, obj: Any, exc: BaseException) -> None:
        """Told of each row that failed; in the main thread."""

    def worker_context(self) -> AbstractContextManager[object]:
        """What is entered around each `process`, in its thread."""
        return nullcontext()

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> CommandParser:
        """Add what all such commands have to those of `add_arguments`, which are the user's."""
        parser = super().create_parser(prog_name, subcommand, **kwargs)
        add = parser.add_argument_group("rows in threads").add_argument
        add("--concurrency", type=int, default=self.concurrency, metavar="N",
            help="threads; 0 for none: one row after another (%(default)s)")  # fmt: skip
        add("--limit", type=int, metavar="N", help="how many rows at most")
        add("--rate", type=float, metavar="N", help="requests a minute at most")
        add("--retries", type=int, metavar="N", help="how often a request is tried again")
        add("--max-failures", metavar="N", help="stop after so many, or such a share: 20, 5%%")
        add("--dry-run", action="store_true", help="count the rows, and do no more")
        add("--failures", metavar="FILE.jsonl", help="a line for each row that failed goes there")
        add("--batch-size", type=int, default=self.batch_size, metavar="N",
            help="how many results are saved at a time")  # fmt: skip
        add("--progress", choices=["auto", "bar", "lines", "none"], default="auto",
            help="a bar, a line now and then, or neither (%(default)s)")  # fmt: skip
        add("--journal", metavar="FILE",
            help="a file that remembers results by primary key, not to buy them again")  # fmt: skip
        return parser

    def handle(
        self,
        *_args: Any,
        concurrency: int,
        limit: int | None,
        rate: float | None,
        retries: int | None,
        max_failures: int | str | None,
        dry_run: bool,
        failures: str | None,
        batch_size: int | None,
        progress: Progress,
        journal: str | None,
        verbosity: int,
        **options: Any,
    ) -> None:
        """Run the command.

        Raises:
            CommandError: An option cannot be used, rows have failed (with the return code 1), or a
                signal has come (130, 143).
        """
        self.report = Report()
        if isinstance(max_failures, str):
            max_failures = number_or_share(max_failures)
        try:
            given = self.get_items(verbosity=verbosity, **options)
            source = source_of(given, limit=limit, window=2 * concurrency)
            if dry_run:
                self.stdout.write(f"{_length(source)} to do; nothing was done")
                return
            settings = {"quota": self._quota(rate, concurrency), "retry": self._retry(retries)}
            with failures_file(failures) as file:
                telling = Telling(self, progress, verbosity, file)
                running = self._running(concurrency, batch_size, telling)
                run = partial(
                    running.run,
                    source,
                    concurrency,
                    {**settings, "progress": telling.progress},
                    journal=journal,
                    max_failures=max_failures,
                )
                self._end(running, run, verbosity)
        except OptionError as error:
            raise CommandError(str(error)) from error

    def _end(self, running: Running[Any, Any], run: Callable[[], None], verbosity: int) -> None:
        """Run to the end, whichever that is, and sum up."""
        try:
            run()
        except KeyboardInterrupt as signal:
            raise CommandError(_INTERRUPTED, returncode=_AFTER_SIGINT) from signal
        except SystemExit as signal:
            if signal.code != _AFTER_SIGTERM:
                raise
            raise CommandError(_INTERRUPTED, returncode=_AFTER_SIGTERM) from signal
        except (RunStopped, JournalError) as error:
            raise CommandError(str(error)) from error
        finally:
            self.report = report = running.report
            if verbosity and report.done:
                self.stdout.write(str(report))
        if report.failed:
            raise CommandError(f"{report.failed:,} of {report.done:,} failed")
        if verbosity and not report.done:
            self.stdout.write("nothing to do")

    def _running(
        self, concurrency: int, batch_size: int | None, telling: Telling
    ) -> Running[Any, Any]:
        if not self._writes("process"):
            raise NotImplementedError(_NO_PROCESS)  # once, and not for each row

        def failed(obj: Any, failure: Failure) -> None:
            telling.failed(failure)
            self.on_error(obj, failure.error)

        return Running(
            self.process,
            prepare=self.prepare,
            save=self.save if self._writes("save") else None,
            save_batch=self.save_batch if self._writes("save_batch") else None,
            batch_size=batch_size,
            on_failure=failed,
            workers=Workers(self.worker_db, self.worker_context, concurrency),
        )

    def _writes(self, name: str) -> bool:
        return getattr(type(self), name) is not getattr(ThreadedCommand, name)

    def _quota(self, rate: float | None, concurrency: int) -> Quota | None:
        if rate is None:
            return self.quota
        if self.quota is not None:
            raise OptionError("--rate: the command has a quota of its own, which says how fast")
        return Quota(concurrency or 1, requests_per_minute=rate)

    def _retry(self, retries: int | None) -> Retry | None:
        if retries is None:
            return self.retry
        if retries < 0:
            raise OptionError(f"--retries {retries}: give a number of retries, 0 or more")
        return replace(self.retry or Retry(), attempts=retries + 1)


def _length(source: Source) -> str:
    try:
        return f"{len(source):,}"
    except TypeError:
        return "an unknown number"
