"""Files of items into jobs, lazily: nothing is held but the line at hand and the names taken.

A line that cannot be used is yielded as `Refused`, and reading goes on. The room must not know
HTTP, threads or the command line.
"""

from __future__ import annotations

import sys
import weakref
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias

from threadllm.exceptions import InputError, OptionError
from threadllm.jobs.formats import csv_rows, json_lines, text_lines
from threadllm.jobs.job import Job, Refused
from threadllm.jobs.lines import MAX_LINE_BYTES, lines
from threadllm.jobs.naming import Naming, Register

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager
    from typing import BinaryIO

    from threadllm.jobs.formats import Entry
    from threadllm.jobs.lines import Line

    Format: TypeAlias = Callable[[Iterator[Line]], Iterator[Entry | Refused]]

Unpack: TypeAlias = Literal["kwargs", "args"]

_FORMATS: dict[str, Format] = {
    ".jsonl": json_lines,
    ".ndjson": json_lines,
    ".txt": text_lines,
    ".csv": csv_rows,
}

# Only what has names can be unpacked by name, only what has an order by order.
_UNPACKS: dict[str, tuple[Unpack | None, ...]] = {
    ".jsonl": (None, "kwargs", "args"),
    ".ndjson": (None, "kwargs", "args"),
    ".txt": (None,),
    ".csv": (None, "kwargs"),
}


def read(
    path: str | Path,
    *,
    key: str | None = None,
    unpack: Unpack | None = None,
    stdin: BinaryIO | None = None,
    max_line_bytes: int = MAX_LINE_BYTES,
) -> Iterator[Job | Refused]:
    """The jobs in a file, and the lines of it that cannot be used, in their order.

    `.jsonl`, `.ndjson` and `-`: a JSON object a line. `.csv`: a row with its columns' names a
    row. Of either, one that is no more than its name and a `prompt` hands over the prompt, any
    other is handed over whole. `.txt`: a text a line.

    Args:
        path: The file; `-` is standard input.
        key: The field that names the item; a line without it is refused. Without a key it is
            `id`, or the line number where that is missing. Of two lines of one name the first
            stands; 1, "1", 1.0 and true are four names.
        unpack: "kwargs" hands over every object whole. "args" lets a line be a JSON array too: it
            is handed over as a tuple and named by its line number.
        stdin: What `-` reads, `sys.stdin.buffer` by default. It is not closed.
        max_line_bytes: The longest line that is read; a longer one is refused without being held.

    Raises:
        OptionError: At once: the file cannot be read, or not in this way.
        OSError: On the way: the system could not read on.
    """
    naming = Naming() if key is None else Naming((key,), required=True)
    if max_line_bytes < 1:
        raise OptionError(f"max_line_bytes is {max_line_bytes}: give 1 or more")
    return read_named(path, naming, unpack=unpack, stdin=stdin, max_line_bytes=max_line_bytes)


def read_named(
    path: str | Path,
    naming: Naming,
    *,
    unpack: Unpack | None,
    stdin: BinaryIO | None,
    max_line_bytes: int = MAX_LINE_BYTES,
) -> Iterator[Job | Refused]:
    """As `read`, the items being named as `naming` says.

    Raises:
        OptionError: At once: the file cannot be read, or not in this way.
    """
    entries = _format(path, naming, unpack)
    if str(path) == "-":
        standard = sys.stdin.buffer if stdin is None else stdin
        return _jobs(nullcontext(standard), entries, naming, unpack, max_line_bytes)
    file = _open(path)
    jobs = _jobs(file, entries, naming, unpack, max_line_bytes)
    weakref.finalize(jobs, file.close)  # a generator that was never begun closes nothing
    return jobs


def _format(path: str | Path, naming: Naming, unpack: Unpack | None) -> Format:
    suffix = ".jsonl" if str(path) == "-" else Path(path).suffix.lower()
    if suffix not in _FORMATS:
        known = ", ".join(_FORMATS)
        raise OptionError(
            f"cannot read {path}: the suffix {suffix!r} is not one of {known}. "
            "Rename the file, or pipe JSON lines into -"
        )
    if suffix == ".txt" and naming.required:
        raise OptionError(f"cannot take a key from {path}: a .txt file has no fields. Use .jsonl")
    if unpack not in _UNPACKS[suffix]:
        raise OptionError(
            f"cannot unpack {path} as {unpack}: a {suffix} file holds none. Use .jsonl"
        )
    return _FORMATS[suffix]


def _open(path: str | Path) -> BinaryIO:
    try:
        return Path(path).open("rb")
    except (OSError, ValueError) as error:  # ValueError: a NUL byte in the path
        reason = error.strerror if isinstance(error, OSError) else error
        raise OptionError(f"cannot read {path}: {reason}") from error


def _jobs(
    source: AbstractContextManager[BinaryIO],
    entries: Format,
    naming: Naming,
    unpack: Unpack | None,
    max_line_bytes: int,
) -> Iterator[Job | Refused]:
    register = Register()
    with source as stream:
        for entry in entries(lines(stream, max_line_bytes)):
            yield entry if isinstance(entry, Refused) else _job(entry, naming, unpack, register)


def _job(entry: Entry, naming: Naming, unpack: Unpack | None, register: Register) -> Job | Refused:
    try:
        return register.admit(_named(entry, naming, unpack))
    except InputError as error:
        return Refused(entry.line, str(error))


def _named(entry: Entry, naming: Naming, unpack: Unpack | None) -> Job:
    content = entry.content
    if isinstance(content, dict):
        name = naming.name(content, entry.line)
        return Job(name, content if unpack == "kwargs" else _item(content, naming), entry.line)
    if isinstance(content, str):
        return Job(entry.line, content, entry.line)
    if unpack == "args":
        return Job(entry.line, tuple(content), entry.line)
    raise InputError('is a JSON array. Write {"id": …, "prompt": …}, or unpack it as args')


def _item(content: dict[str, object], naming: Naming) -> object:
    """The prompt, where there is nothing else but the name; else all of it."""
    if "prompt" in content and content.keys() <= {naming.field_of(content), "prompt"}:
        return content["prompt"]
    return content
