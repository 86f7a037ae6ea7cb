"""From jobs to result lines: what `call` and `run` have in common."""

from __future__ import annotations

import os
import signal
import stat
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from threadllm.cli.arguments import NUMBER, POSITIVE, WHOLE, WORKERS, failures
from threadllm.cli.resuming import add_options as add_resuming
from threadllm.cli.resuming import journal_of, name_of, output_of
from threadllm.cli.summary import Report
from threadllm.clock import SYSTEM
from threadllm.dispatcher import DEFAULT_GRACE, DEFAULT_TIMEOUT, DEFAULT_WORKERS, Dispatcher
from threadllm.exceptions import JournalError, OptionError, RunStopped, TooManyFailures
from threadllm.jobs import counted
from threadllm.quota import Quota
from threadllm.retry import Retry

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace
    from collections.abc import Callable, Iterator
    from typing import BinaryIO

    from threadllm.jobs import Job, Refused
    from threadllm.outcome import Outcome

_SOME_FAILED = 1
_AS_SHELLS_SAY = 128  # is added to a signal's number for the status of a process that it ended
_CONNECT_SECONDS, _SILENT_SECONDS = DEFAULT_TIMEOUT
_STDIN, _STDOUT = 0, 1
_ENDS = (
    OSError,
    JournalError,
    RunStopped,
    RuntimeError,
    KeyboardInterrupt,
    SystemExit,
)
_GO_ON = "--on-stop continue runs the rest all the same"
# What Python says, by its text alone, where the system has no thread left. Any other RuntimeError
# is a fault of ours.
_NO_THREAD = "can't start new thread"


class Kind(NamedTuple):
    """What work a command does.

    Attributes:
        job: What its journal is of.
        field: Which field of a line has its item's name.
        line_of: The line of an outcome, and what went wrong with the item, if anything did.
    """

    job: str
    field: str
    line_of: Callable[[Outcome[Job, Any]], tuple[dict[str, object], str | None]]


def add_options(command: ArgumentParser) -> None:
    """Add the options of a command that works on a file of items."""
    add = command.add_argument
    add("-o", "--output", required=True, help="one JSON line per item; - for stdout")
    add("--overwrite", action="store_true", help="throw away what OUTPUT holds already")
    add_resuming(command)
    add(
        "-c",
        "--concurrency",
        type=WORKERS,
        default=DEFAULT_WORKERS,
        metavar="N",
        help="calls, and requests in flight, at a time (%(default)s)",
    )
    add(
        "--engine",
        choices=["processes", "ray"],
        help="in processes of this machine, or of a Ray cluster, where one is too few",
    )
    add("--workers", type=WORKERS, metavar="N", help="how many of those (one for each core)")
    add(
        "--retries",
        type=WHOLE,
        default=Retry().attempts - 1,
        metavar="N",
        help="tries after the first, not counting those after a 429 (%(default)s)",
    )
    add(
        "--timeout",
        type=POSITIVE,
        default=_SILENT_SECONDS,
        metavar="SECONDS",
        help="how long a server may be silent, if a request sets no timeout (%(default)g)",
    )
    add(
        "--deadline",
        type=POSITIVE,
        metavar="SECONDS",
        help="how long an item may take as a whole, its waits and retries included (no limit)",
    )
    add(
        "--grace",
        type=NUMBER,
        default=DEFAULT_GRACE,
        metavar="SECONDS",
        help="what calls in flight have after the first Ctrl-C or SIGTERM (%(default)g)",
    )
    add(
        "--rpm",
        type=POSITIVE,
        metavar="N",
        help="requests per minute to each origin, at most (what the provider allows, as learnt)",
    )
    add(
        "--tpm",
        type=POSITIVE,
        metavar="N",
        help="tokens per minute in and out, likewise",
    )
    add(
        "--on-stop",
        choices=["raise", "continue"],
        default="raise",
        help="whether a key that is not accepted, no credit or no permission ends the run "
        "(%(default)s)",
    )
    bounds = command.add_mutually_exclusive_group()
    bounds.add_argument("--fail-fast", action="store_true", help="stop at the first failure")
    bounds.add_argument(
        "--max-failures",
        type=failures,
        metavar="N|P%",
        help="stop when more have failed: a number, or a share of the items that have ended",
    )
    add("--ordered", action="store_true", help="results in the order of the input")
    add("--no-progress", action="store_true", help="no bar, and no lines off a terminal")


def work(
    jobs: Iterator[Job | Refused],
    function: Callable[[Job], Any],
    kind: Kind,
    options: Namespace,
    *,
    retried: tuple[type[Exception], ...] = (),
    stdout: BinaryIO | None = None,
) -> int:
    """Run a function over jobs, write a line for each outcome, and sum up on stderr.

    Args:
        jobs: The input.
        function: What each job is given to.
        kind: What work it is.
        options: Those of `add_options`, and `input`.
        retried: Errors of the function's own that are tried again.
        stdout: Where results go if the output is `-`; `sys.stdout.buffer` by default.

    Returns:
        The exit status.

    Raises:
        OptionError: Input and output are one file, or the output cannot be written.
    """
    _refuse_one_file(options.input, options.output)
    journal = journal_of(options, kind.job)
    pool = Dispatcher(
        options.concurrency,
        quota=Quota(
            options.concurrency,
            requests_per_minute=options.rpm,
            tokens_per_minute=options.tpm,
        ),
        on_stop=options.on_stop,
        retry=Retry(attempts=options.retries + 1, exceptions=retried),
        request_timeout=(min(_CONNECT_SECONDS, options.timeout), options.timeout),
        progress=not options.no_progress,
        deadline=options.deadline,
        grace=options.grace,
        engine=options.engine,
        workers=options.workers,
    )
    report, began = Report(options.output), SYSTEM.monotonic()
    try:
        with output_of(options, journal, kind.field, stdout) as output, pool:
            items = report.accepted(jobs)
            expected = items if options.no_progress else counted(items, options.input)
            try:
                for outcome in pool.outcomes(
                    function,
                    expected,
                    ordered=options.ordered,
                    key=None if journal is None else name_of,
                    journal=journal,
                    fail_fast=options.fail_fast,
                    max_failures=options.max_failures,
                ):
                    line, problem = kind.line_of(outcome)
                    if not (outcome.from_journal and output.has(line)):
                        output.write(line)
                    report.count(outcome.item.id, problem, empty=outcome.value is None)
            finally:
                pool.cancel()  # what has not ended by now would not be written
    except _ENDS as error:
        why, status = _end_of(error, options)
        report.stopped(why)
    else:
        status = 0 if report.all_ok else _SOME_FAILED
    sys.stderr.write(report.text(pool.totals, SYSTEM.monotonic() - began))
    return status


def _end_of(error: BaseException, options: Namespace) -> tuple[str, int]:
    """What ended a run before its time, and the status for it.

    Raises:
        BaseException: It is a fault of ours, or of an option.
    """
    if isinstance(error, KeyboardInterrupt | SystemExit):  # the function's own are its items'
        number = signal.SIGINT if isinstance(error, KeyboardInterrupt) else signal.SIGTERM
        return number.name, _AS_SHELLS_SAY + number
    if isinstance(error, TooManyFailures):
        said = "--fail-fast" if options.fail_fast else f"--max-failures {options.max_failures}"
        return f"more items have failed than {said} allows", _SOME_FAILED
    if isinstance(error, RunStopped):
        return f"{error.reason.rstrip('. ')}. {error.advice} {_GO_ON}", _SOME_FAILED
    if isinstance(error, JournalError):
        return str(error).removesuffix("."), _SOME_FAILED
    if isinstance(error, OSError):  # the input cannot be read on, or the output not be written
        place = "stdout" if error.filename == "-" else error.filename or options.input
        return f"{place}: {error.strerror}", _SOME_FAILED
    if str(error) == _NO_THREAD:
        return _NO_THREAD, _SOME_FAILED
    raise error


def _refuse_one_file(source: str, output: str) -> None:
    one, other = _status(source, _STDIN), _status(output, _STDOUT)
    if one and other and stat.S_ISREG(one.st_mode) and os.path.samestat(one, other):
        raise OptionError(f"{output}: is the input too. Name another file for the results")


def _status(path: str, standard: int) -> os.stat_result | None:
    try:
        return os.fstat(standard) if path == "-" else Path(path).stat()
    except (OSError, ValueError):  # it is not there, or has no name that could be
        return None
