"""Files of items into jobs, lazily: nothing is held but the line at hand and the names taken.

A line that cannot be used is yielded as `Refused`, and reading goes on. The room must not know
HTTP, threads or the command line.
"""

from __future__ import annotations

import sys
import weakref
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias, get_args

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

_JSON = (".jsonl", ".ndjson")  # which alone has arrays, and objects that are but a prompt
_WITHOUT_FIELDS = ".txt"


def read(
    path: str | Path,
    *,
    key: str | None = None,
    unpack: Unpack | None = None,
    stdin: BinaryIO | None = None,
    max_line_bytes: int = MAX_LINE_BYTES,
) -> Iterator[Job | Refused]:
    """The jobs in a file, and the lines of it that cannot be used, in their order.

    `.jsonl`, `.ndjson` and `-`: a JSON object a line; one that is no more than its name and a
    `prompt` hands over the prompt, any other is handed over whole. `.csv`: a dict a row, by its
    columns' names. `.txt`: a text a line.

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
    if unpack is not None and unpack not in get_args(Unpack):
        raise OptionError(f"unpack={unpack!r}: choose 'args' or 'kwargs', or leave it out")
    if max_line_bytes < 1:
        raise OptionError(f"max_line_bytes is {max_line_bytes}: give 1 or more")
    return read_named(
        path,
        naming,
        whole=unpack == "kwargs",
        arrays=unpack == "args",
        stdin=stdin,
        max_line_bytes=max_line_bytes,
    )


def read_named(
    path: str | Path,
    naming: Naming,
    *,
    whole: bool,
    arrays: bool = False,
    stdin: BinaryIO | None,
    max_line_bytes: int = MAX_LINE_BYTES,
) -> Iterator[Job | Refused]:
    """As `read`, the items being named as `naming` says.

    Args:
        path: The file; `-` is standard input.
        naming: What names an item.
        whole: Whether every object is handed over with all its fields.
        arrays: Whether a line may be a JSON array too.
        stdin: What `-` reads.
        max_line_bytes: The longest line that is read.

    Raises:
        OptionError: At once: the file cannot be read, or not in this way.
    """
    suffix = ".jsonl" if str(path) == "-" else Path(path).suffix.lower()
    entries = _format(path, suffix, naming, whole=whole, arrays=arrays)
    make = partial(_named, naming=naming, whole=whole or suffix not in _JSON, arrays=arrays)
    if str(path) == "-":
        standard = sys.stdin.buffer if stdin is None else stdin
        return _jobs(nullcontext(standard), entries, make, max_line_bytes)
    file = _open(path)
    jobs = _jobs(file, entries, make, max_line_bytes)
    weakref.finalize(jobs, file.close)  # a generator that was never begun closes nothing
    return jobs


def _format(path: str | Path, suffix: str, naming: Naming, *, whole: bool, arrays: bool) -> Format:
    if suffix not in _FORMATS:
        known = ", ".join(_FORMATS)
        raise OptionError(
            f"cannot read {path}: the suffix {suffix!r} is not one of {known}. "
            "Rename the file, or pipe JSON lines into -"
        )
    if suffix == _WITHOUT_FIELDS and (naming.required or whole):
        wanted = "a key" if naming.required else "fields"
        raise OptionError(
            f"cannot take {wanted} from {path}: a {suffix} file has no fields. Use .jsonl"
        )
    if arrays and suffix not in _JSON:
        raise OptionError(f"cannot take arrays from {path}: a {suffix} file holds none. Use .jsonl")
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
    make: Callable[[Entry], Job],
    max_line_bytes: int,
) -> Iterator[Job | Refused]:
    register = Register()
    with source as stream:
        for entry in entries(lines(stream, max_line_bytes)):
            yield entry if isinstance(entry, Refused) else _job(entry, make, register)


def _job(entry: Entry, make: Callable[[Entry], Job], register: Register) -> Job | Refused:
    try:
        return register.admit(make(entry))
    except InputError as error:
        return Refused(entry.line, str(error))


def _named(entry: Entry, naming: Naming, *, whole: bool, arrays: bool) -> Job:
    content = entry.content
    if isinstance(content, dict):
        name = naming.name(content, entry.line)
        named = naming.field_of(content) is not None
        return Job(name, content if whole else _item(content, naming), entry.line, named)
    if isinstance(content, str):
        return Job(entry.line, content, entry.line, is_named=False)
    if arrays:
        return Job(entry.line, tuple(content), entry.line, is_named=False)
    hint = "" if whole else ", or unpack it as args"
    raise InputError(f'is a JSON array, not an object. Write {{"id": …, "prompt": …}}{hint}')


def _item(content: dict[str, object], naming: Naming) -> object:
    """The prompt, where there is nothing else but the name; else all of it."""
    if "prompt" in content and content.keys() <= {naming.field_of(content), "prompt"}:
        return content["prompt"]
    return content
