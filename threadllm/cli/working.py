"""From jobs to result lines: what `call` and `run` have in common."""

from __future__ import annotations

import sys
from concurrent.futures import CancelledError
from pathlib import Path
from typing import TYPE_CHECKING, Any

from threadllm.cli.interrupts import Interrupts
from threadllm.cli.summary import Report
from threadllm.clock import SYSTEM
from threadllm.dispatcher import Dispatcher
from threadllm.exceptions import CallCancelled, OptionError
from threadllm.jobs import Writer, counted
from threadllm.retry import Retry

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace
    from collections.abc import Callable, Iterator

    from threadllm.jobs import Job, Refused
    from threadllm.outcome import Outcome

_SOME_FAILED = 1
_CONNECT_SECONDS = 10.0
_NEVER_BEGUN = (CancelledError, CallCancelled)


def add_options(command: ArgumentParser) -> None:
    """Add the options of a command that works on a file of items."""
    add = command.add_argument
    add("-o", "--output", required=True, help="a JSON line an item, as it finishes; - for stdout")
    add("--overwrite", action="store_true", help="throw away what OUTPUT holds already")
    add(
        "-c",
        "--concurrency",
        type=int,
        default=32,
        metavar="N",
        help="calls at a time (%(default)s)",
    )
    add(
        "--retries",
        type=int,
        default=Retry().attempts - 1,
        metavar="N",
        help="tries after the first, not counting those after a 429 (%(default)s)",
    )
    add(
        "--timeout",
        type=float,
        default=600.0,
        metavar="SECONDS",
        help="how long a server may be silent, if a request sets no timeout (%(default)s)",
    )
    add("--ordered", action="store_true", help="results in the order of the input")
    add("--no-progress", action="store_true", help="no bar, and no lines off a terminal")


def work(
    jobs: Iterator[Job | Refused],
    function: Callable[[Job], Any],
    line_of: Callable[[Outcome[Job, Any]], tuple[dict[str, object], str | None]],
    options: Namespace,
) -> int:
    """Run a function over jobs, write a line for each outcome, and sum up on stderr.

    Args:
        jobs: The input.
        function: What each job is given to.
        line_of: The line of an outcome, and what went wrong with the item, if anything did.
        options: Those of `add_options`, and `input`.

    Returns:
        The exit status.

    Raises:
        OptionError: Input and output are one file, or an option cannot be meant.
    """
    _refuse_one_file(options.input, options.output)
    pool = Dispatcher(
        options.concurrency,
        retry=Retry(attempts=options.retries + 1),
        request_timeout=(min(_CONNECT_SECONDS, options.timeout), options.timeout),
        progress=not options.no_progress,
    )
    report, began = Report(options.output), SYSTEM.monotonic()
    interrupts = Interrupts(stop=lambda: pool.shutdown(wait=False, cancel_futures=True))
    with Writer(options.output, overwrite=options.overwrite) as writer:
        try:
            with pool, interrupts:
                items = report.accepted(interrupts.until_stopped(jobs))
                outcomes = pool.outcomes(
                    function,
                    counted(items, options.input),
                    ordered=options.ordered,
                    key=lambda job: job.id,
                )
                for outcome in outcomes:
                    if not isinstance(outcome.error, _NEVER_BEGUN):
                        line, problem = line_of(outcome)
                        writer.write(line)
                        report.count(outcome.key, problem)
        except OSError as error:  # the input cannot be read on, or the output not be written
            report.stopped(error)
    sys.stderr.write(report.text(pool.totals, SYSTEM.monotonic() - began))
    return interrupts.status or (0 if report.all_ok else _SOME_FAILED)


def _refuse_one_file(source: str, output: str) -> None:
    if source != "-" and Path(output).exists() and Path(output).samefile(source):
        raise OptionError(f"{output}: is the input too. Name another file for the results")
