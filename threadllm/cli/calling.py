"""`threadllm call`: any synchronous function over a file of items."""

from __future__ import annotations

import sys
from contextlib import ExitStack, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from threadllm.cli.loading import accepts, load
from threadllm.cli.simulating import simulated
from threadllm.cli.working import Kind, add_options, work
from threadllm.jobs import call_line, read
from threadllm.progress import AboveBar

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Callable

    from threadllm.jobs import Job
    from threadllm.outcome import Outcome


def add_to(commands: Any) -> None:
    """Add the command."""
    command = commands.add_parser(
        "call",
        help="a function of yours over a file of items",
        description="Run a synchronous function over a file of items, concurrently.",
    )
    add = command.add_argument
    add("function", metavar="MODULE_OR_FILE:FUNCTION", help="mypkg.llm:ask or scripts/llm.py:ask")
    add("input", metavar="INPUT", help=".jsonl, .csv or .txt; - for JSON lines on stdin")
    add_options(command)
    add(
        "--unpack",
        choices=["kwargs", "args"],
        help="an item's fields as keywords, or its elements as positionals",
    )
    add("--key", metavar="FIELD", help="the field that names an item (id, else the line number)")
    add(
        "--simulate",
        nargs="*",
        metavar="KEY=VALUE",
        help="against a simulated provider; write it after INPUT. The keys are the options of "
        "threadllm simulate",
    )
    command.set_defaults(run=call)


def call(options: Namespace) -> int:
    """Run the command; its exit status."""
    stdout = sys.stdout.buffer if options.output == "-" else None
    with ExitStack() as stack:
        bar = sys.stderr.isatty() and not options.no_progress
        if options.output == "-" or (bar and sys.stdout.isatty()):
            # What the function prints is no result, and must not tear the bar apart.
            stack.enter_context(redirect_stdout(AboveBar() if bar else sys.stderr))
        if options.simulate is not None:  # first, as a module may read the environment when loaded
            stack.enter_context(simulated(options.simulate))
        function = load(options.function)
        jobs = read(options.input, key=options.key, unpack=options.unpack)
        kind = Kind(_job(options.function), "id", _line_of)
        on_job: Callable[[Job], Any] = _on_jobs(function, options)
        return work(jobs, on_job, kind, options, stdout=stdout)


def _job(target: str) -> str:
    """What a journal is of: the function, wherever the folder of its file is."""
    place, _, name = target.rpartition(":")
    return f"threadllm call {Path(place).stem if place.endswith('.py') else place}:{name}"


@dataclass(frozen=True, slots=True)
class _OnJob:
    """A function that takes a job.

    Attributes:
        function: The user's.
        by_keywords: Whether it takes an item's fields as keywords.
        spare: The field that it does not take, if there is one.
    """

    function: Callable[..., Any]
    by_keywords: bool
    spare: str | None

    def __call__(self, job: Job) -> Any:
        if self.by_keywords and isinstance(job.item, dict):
            return self.function(**{k: v for k, v in job.item.items() if k != self.spare})
        if isinstance(job.item, tuple):
            return self.function(*job.item)
        return self.function(job.item)


def _on_jobs(function: Callable[..., Any], options: Namespace) -> _OnJob:
    """The function, taking a job. With kwargs the key field is left out if it does not take it."""
    key, by_keywords = options.key or "id", options.unpack == "kwargs"
    is_spare = by_keywords and not accepts(function, key)
    return _OnJob(function, by_keywords, key if is_spare else None)


def _line_of(outcome: Outcome[Job, Any]) -> tuple[dict[str, object], str | None]:
    line = call_line(outcome.item.id, outcome)
    error = line["error"]
    return line, f"{error['type']}: {error['message']}" if isinstance(error, dict) else None
