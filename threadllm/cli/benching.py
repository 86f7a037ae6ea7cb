"""`threadllm bench`: how fast an endpoint answers, by how many requests are in flight."""

from __future__ import annotations

import signal
import sys
from argparse import ArgumentTypeError
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from threadllm.bench import DEFAULT_CONCURRENCY, Chat, Report, levels
from threadllm.cli.arguments import COUNT, POSITIVE, WORKERS
from threadllm.cli.endpoint import add_options, endpoint_of
from threadllm.cli.simulating import simulated
from threadllm.dispatcher import DEFAULT_TIMEOUT
from threadllm.exceptions import OptionError, RunStopped
from threadllm.jobs import Job, read
from threadllm.progress import say
from threadllm.redaction import redact, text_of, type_name

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Iterator

    from threadllm.bench import Level

_CONNECT_SECONDS, _SILENT_SECONDS = DEFAULT_TIMEOUT
_SOME_FAILED = 1
_AS_SHELLS_SAY = 128  # is added to a signal's number for the status of a process that it ended
_PROMPTS = (
    "Explain in two sentences what a thread is.",
    "Explain in two sentences what a semaphore is.",
    "Name five cities by a river, and their rivers.",
    "Summarize the plot of Romeo and Juliet in three sentences.",
    "Translate into French: the early bird catches the worm.",
    "Write a haiku about a queue.",
    "What is the difference between latency and throughput?",
    "Why is the sky blue? Answer in one paragraph.",
)


def add_to(commands: Any) -> None:
    """Add the command."""
    command = commands.add_parser(
        "bench",
        help="an endpoint's throughput and latency, by requests at a time",
        description="Ask an OpenAI-compatible endpoint, streamed, at one number of requests at a "
        "time after the other, and show what it gives: a table, and if you like JSON and a chart. "
        "Nothing is tried again but what was answered 429.",
    )
    add = command.add_argument
    add_options(command)
    add("--model", required=True, help="as the endpoint calls it")
    add(
        "-c",
        "--concurrency",
        type=_levels,
        default=DEFAULT_CONCURRENCY,
        metavar="N,N,...",
        help=f"requests at a time ({','.join(map(str, DEFAULT_CONCURRENCY))})",
    )
    add(
        "-n",
        "--requests",
        type=COUNT,
        metavar="N",
        help="for each of these (4 for each at a time, at least 8)",
    )
    add("--prompts", metavar="FILE", help=".jsonl, .csv or .txt (a few of its own)")
    add("--max-tokens", type=COUNT, metavar="N", help="that an answer may have")
    add(
        "--timeout",
        type=POSITIVE,
        default=_SILENT_SECONDS,
        metavar="SECONDS",
        help="how long the endpoint may be silent (%(default)g)",
    )
    add("-o", "--output", metavar="FILE", help="the figures, as JSON")
    add("--chart", metavar="FILE", help="the chart: .png, .svg or .pdf (needs matplotlib)")
    add("--no-progress", action="store_true", help="no bar, and no lines off a terminal")
    add(
        "--simulate",
        nargs="*",
        metavar="KEY=VALUE",
        help="a simulated provider in place of the endpoint. The keys are the options of "
        "threadllm simulate",
    )
    command.set_defaults(run=bench)


def bench(options: Namespace) -> int:
    """Run the command; its exit status."""
    prompts = _PROMPTS if options.prompts is None else [*_read(options.prompts)]
    _refuse_unwritable(options.output, options.chart)
    with ExitStack() as stack:
        if options.simulate is not None:
            stack.enter_context(simulated(options.simulate))
            options.base_url = None  # the environment has it
        endpoint = endpoint_of(options)
        base_url, key = endpoint.base_url, endpoint.key()
        chat = Chat(base_url, options.model, api_key=key, max_tokens=options.max_tokens)
        measuring = levels(
            chat,
            prompts,
            options.concurrency,
            requests=options.requests,
            request_timeout=(min(_CONNECT_SECONDS, options.timeout), options.timeout),
            progress=not options.no_progress,
        )
        done, why, status = _measured(measuring)
    report = Report(tuple(done), {"model": options.model, "endpoint": redact(base_url)})
    if done:
        sys.stdout.write(report.table())
        _write(report, options)
    if why:
        say(f"stopped: {why}")
    return status or (_SOME_FAILED if any(level.failed for level in done) else 0)


def _measured(measuring: Iterator[Level]) -> tuple[list[Level], str, int]:
    """The levels that were done, what ended it before all were, if anything did, and the status."""
    done: list[Level] = []
    try:
        done.extend(measuring)  # what came before an error stays
    except KeyboardInterrupt:
        return done, signal.SIGINT.name, _AS_SHELLS_SAY + signal.SIGINT
    except SystemExit:
        return done, signal.SIGTERM.name, _AS_SHELLS_SAY + signal.SIGTERM
    except RunStopped as stop:
        return done, f"{stop.reason.rstrip('. ')}. {stop.advice}", _SOME_FAILED
    except Exception as error:  # noqa: BLE001 the endpoint's, or the network's
        return done, f"{type_name(error)}: {text_of(error)}", _SOME_FAILED
    return done, "", 0


def _levels(text: str) -> tuple[int, ...]:
    """Numbers with commas between.

    Raises:
        ArgumentTypeError: One of them is no number of requests.
    """
    numbers = tuple(map(WORKERS, text.split(",")))
    if len({*numbers}) < len(numbers):
        raise ArgumentTypeError(f"{text!r}: name each number once")
    return numbers


def _read(path: str) -> Iterator[str | list[dict[str, Any]]]:
    """The prompts in a file: a text, or the messages of an object that has some.

    Raises:
        OptionError: A line has no prompt.
    """
    for entry in read(path):
        if not isinstance(entry, Job):
            raise OptionError(f"{path}: {entry}")
        item = entry.item
        if isinstance(item, dict):
            item = item.get("messages") or item.get("prompt")
        if not isinstance(item, str | list) or not item:
            raise OptionError(f"{path}: line {entry.line}: give it a prompt, or messages")
        yield item


def _refuse_unwritable(output: str | None, chart: str | None) -> None:
    """Before anything is paid for.

    Raises:
        OptionError: There is no such folder, or no such chart can be drawn.
    """
    for path in filter(None, (output, chart)):
        parent = Path(path).absolute().parent
        if not parent.is_dir():
            raise OptionError(f"{path}: there is no folder {parent}")
    if chart is not None:
        from threadllm.bench.chart import check

        check(Path(chart))


def _write(report: Report, options: Namespace) -> None:
    """Write what is asked for; the table is on stdout by then.

    Raises:
        OptionError: A file cannot be written.
    """
    for path, write in ((options.output, report.write), (options.chart, report.draw)):
        if path is not None:
            try:
                write(path)
            except OSError as error:
                raise OptionError(f"{path}: {error.strerror}") from None
