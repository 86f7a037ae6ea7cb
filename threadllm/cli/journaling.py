"""`threadllm journal`: what a journal holds, and its upkeep."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

from threadllm.exceptions import JournalError
from threadllm.jobs import Writer
from threadllm.journal import reading

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Iterator

    from threadllm.journal.reading import Record

_FAILED = 1


def add_to(commands: Any) -> None:
    """Add the command."""
    command = commands.add_parser(
        "journal",
        help="what a journal holds, and its upkeep",
        description="Look into a journal, also while a run is writing to it.",
    )
    parts = command.add_subparsers(required=True, metavar="ACTION", help="one of these")
    show = parts.add_parser("show", help="how many items are done, and what went wrong")
    show.add_argument("file", metavar="FILE", help="the journal")
    show.add_argument("key", metavar="KEY", nargs="?", help="all that is known of one item")
    show.set_defaults(run=_told(_show))
    export = parts.add_parser("export", help="all items as JSON lines")
    export.add_argument("file", metavar="FILE", help="the journal")
    export.add_argument("-o", "--output", default="-", help="a file that is new (stdout)")
    export.set_defaults(run=_told(_export))
    vacuum = parts.add_parser("vacuum", help="give room on the disk back")
    vacuum.add_argument("file", metavar="FILE", help="the journal")
    vacuum.set_defaults(run=_told(_vacuum))


def _told(action: Any) -> Any:
    """An action that says what went wrong with its journal or its output, and its status."""

    def run(options: Namespace) -> int:
        try:
            action(options)
        except JournalError as error:
            sys.stderr.write(f"threadllm: {error}\n")
            return _FAILED
        except OSError as error:
            sys.stderr.write(f"threadllm: {error.filename}: {error.strerror}\n")
            return _FAILED
        return 0

    return run


def _show(options: Namespace) -> None:
    told = _of_one(options.file, options.key) if options.key is not None else _all(options.file)
    sys.stdout.writelines(f"{line}\n" for line in told)


def _of_one(path: str, key: str) -> Iterator[str]:
    for record in reading.records(path, key):
        yield json.dumps(record, indent=2)


def _all(path: str) -> Iterator[str]:
    found = reading.summary(path)
    items = sum(found.statuses.values())
    yield f"journal of {found.job}: {items:,} items in {found.runs:,} runs, {found.size:,} bytes"
    for status, number in found.statuses.items():
        note = f", {found.permanent:,} of them for good" if status == "failed" else ""
        yield f"  {status}: {number:,}{note}"
    if len(found.versions) > 1:
        for version, number in found.versions.items():
            yield f"  version {version!r}: {number:,}"
    for record in found.troubles:
        yield f"  {_trouble(record)}"
    untold = items - found.statuses.get("ok", 0) - len(found.troubles)
    if untold:
        yield f"  and {untold:,} more: see threadllm journal export"


def _trouble(record: Record) -> str:
    error = record["error"]
    text = f"{json.dumps(record['key'])} {record['status']}: {error['kind']}: {error['message']}"
    return "".join(c if c.isprintable() else " " for c in text)


def _export(options: Namespace) -> None:
    with Writer(options.output) as writer:
        for record in reading.records(options.file):
            writer.write(record)


def _vacuum(options: Namespace) -> None:
    before, after = reading.vacuum(options.file)
    sys.stdout.write(f"{options.file}: {before:,} bytes before, {after:,} after\n")
