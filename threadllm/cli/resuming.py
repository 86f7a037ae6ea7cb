"""Runs that remember: `--journal`, `--resume`, and what that makes of the output."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from threadllm.exceptions import OptionError
from threadllm.jobs import Continued, Writer, dumps
from threadllm.journal import Journal, Name, digest

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace
    from typing import BinaryIO

    from threadllm.jobs import Job

_BESIDE = ".journal"  # what is added to the output's name for that of its journal
_RETRIES = {None: None, "all": True, "none": False}


def add_options(command: ArgumentParser) -> None:
    """Add the options of runs that remember."""
    add = command.add_argument
    add(
        "--journal",
        metavar="FILE",
        help="remember what is done there; what it remembers already is not paid for again",
    )
    add(
        "--resume",
        action="store_true",
        help=f"likewise, in OUTPUT{_BESIDE}; where that is there already, this is the default",
    )
    add(
        "--journal-version",
        default="",
        metavar="TEXT",
        help="run again what was journalled under another TEXT",
    )
    add(
        "--retry-failed",
        choices=["all", "none"],
        help="which items that failed in an earlier run are run again (all but those that the "
        "provider refused for their own sake)",
    )


def journal_of(options: Namespace, job: str) -> Journal | None:
    """The journal that the options ask for, if they do.

    Raises:
        OptionError: One beside an output that is no file.
    """
    path = options.journal
    if path is None and options.output == "-":
        if options.resume:
            raise OptionError("--resume: with -o - say which journal: --journal FILE")
        return None
    if path is None:
        beside = options.output + _BESIDE
        if not (options.resume or Path(beside).is_file()):
            return None
        path = beside
    retried = _RETRIES[options.retry_failed]
    return Journal(path, version=options.journal_version, retry_failed=retried, job=job)


def name_of(job: Job) -> Name:
    """What an item is called in the journal: its content counts, and its line number does not."""
    content = digest(job.item)
    return Name(job.id, dumps(job.id if job.is_named else content), content)


def output_of(
    options: Namespace, journal: Journal | None, field: str, stdout: BinaryIO | None
) -> Writer | Continued:
    """Where results go: a file that is begun or gone on with, or standard output.

    Args:
        options: `output`, `overwrite`.
        journal: With one, a file that holds results already is gone on with.
        field: Which field of a line has its item's name.
        stdout: What `-` writes to.

    Raises:
        OptionError: It holds what it should not, or cannot be written.
    """
    remembers = journal is not None and Path(journal.path).is_file()
    if remembers and not options.overwrite and Path(options.output).is_file():
        return Continued(options.output, field)
    return Writer(options.output, overwrite=options.overwrite, stdout=stdout)
