"""From jobs to result lines: what `call` and `run` have in common."""

from __future__ import annotations

import os
import stat
import sys
from concurrent.futures import CancelledError
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from threadllm.cli.arguments import POSITIVE, WHOLE, WORKERS
from threadllm.cli.interrupts import Interrupts
from threadllm.cli.summary import Report
from threadllm.clock import SYSTEM
from threadllm.dispatcher import DEFAULT_TIMEOUT, DEFAULT_WORKERS, Dispatcher
from threadllm.exceptions import CallCancelled, OptionError, RunStopped
from threadllm.jobs import Writer, counted
from threadllm.quota import Quota
from threadllm.retry import Retry

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace
    from collections.abc import Callable, Iterator
    from typing import BinaryIO

    from threadllm.jobs import Job, Refused
    from threadllm.outcome import Outcome

_SOME_FAILED = 1
_CONNECT_SECONDS, _SILENT_SECONDS = DEFAULT_TIMEOUT
_NEVER_BEGUN = (CancelledError, CallCancelled)
_STDIN, _STDOUT = 0, 1
_GO_ON = "--on-stop continue runs the rest all the same"
# What Python says, by its text alone, where the system has no thread left, and where a signal has
# shut the pool before an item reached it. Any other RuntimeError is a fault of ours.
_CUT_OFF = {"can't start new thread", "cannot schedule new futures after shutdown"}


def add_options(command: ArgumentParser) -> None:
    """Add the options of a command that works on a file of items."""
    add = command.add_argument
    add("-o", "--output", required=True, help="one JSON line per item; - for stdout")
    add("--overwrite", action="store_true", help="throw away what OUTPUT holds already")
    add(
        "-c",
        "--concurrency",
        type=WORKERS,
        default=DEFAULT_WORKERS,
        metavar="N",
        help="calls, and requests in flight, at a time (%(default)s)",
    )
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
    add("--ordered", action="store_true", help="results in the order of the input")
    add("--no-progress", action="store_true", help="no bar, and no lines off a terminal")


def work(
    jobs: Iterator[Job | Refused],
    function: Callable[[Job], Any],
    line_of: Callable[[Outcome[Job, Any]], tuple[dict[str, object], str | None]],
    options: Namespace,
    *,
    retried: tuple[type[Exception], ...] = (),
    stdout: BinaryIO | None = None,
) -> int:
    """Run a function over jobs, write a line for each outcome, and sum up on stderr.

    Args:
        jobs: The input.
        function: What each job is given to.
        line_of: The line of an outcome, and what went wrong with the item, if anything did.
        options: Those of `add_options`, and `input`.
        retried: Errors of the function's own that are tried again.
        stdout: Where results go if the output is `-`; `sys.stdout.buffer` by default.

    Returns:
        The exit status.

    Raises:
        OptionError: Input and output are one file, or the output cannot be written.
    """
    _refuse_one_file(options.input, options.output)
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
    )
    stop = partial(pool.shutdown, wait=False, cancel_futures=True)
    report, interrupts, began = Report(options.output), Interrupts(stop), SYSTEM.monotonic()

    def begin(job: Job) -> Any:
        if interrupts.signal is not None:
            raise CallCancelled("a signal came before this call began")
        return function(job)

    try:
        with Writer(options.output, overwrite=options.overwrite, stdout=stdout) as writer:
            items = report.accepted(interrupts.until_stopped(jobs))
            expected = items if options.no_progress else counted(items, options.input)
            outcomes = pool.outcomes(begin, expected, ordered=options.ordered)
            with interrupts.watched(), pool:
                try:
                    for outcome in outcomes:
                        if interrupts.signal is None or not isinstance(outcome.error, _NEVER_BEGUN):
                            line, problem = line_of(outcome)
                            writer.write(line)
                            report.count(outcome.item.id, problem, empty=outcome.value is None)
                finally:
                    stop()  # what has not begun by now would not be written
    except OSError as error:  # the input cannot be read on, or the output not be written
        place = "stdout" if error.filename == "-" else error.filename or options.input
        report.stopped(f"{place}: {error.strerror}")
    except RunStopped as error:
        report.stopped(f"{error.reason.rstrip('. ')}. {error.advice} {_GO_ON}")
    except RuntimeError as error:
        if str(error) not in _CUT_OFF:
            raise
        report.stopped(interrupts.name or str(error))
    if interrupts.name is not None:
        report.stopped(interrupts.name)
    sys.stderr.write(report.text(pool.totals, SYSTEM.monotonic() - began))
    return interrupts.status or (0 if report.all_ok else _SOME_FAILED)


def _refuse_one_file(source: str, output: str) -> None:
    one, other = _status(source, _STDIN), _status(output, _STDOUT)
    if one and other and stat.S_ISREG(one.st_mode) and os.path.samestat(one, other):
        raise OptionError(f"{output}: is the input too. Name another file for the results")


def _status(path: str, standard: int) -> os.stat_result | None:
    try:
        return os.fstat(standard) if path == "-" else Path(path).stat()
    except (OSError, ValueError):  # it is not there, or has no name that could be
        return None
