"""What a command shows while it runs: a bar or lines, and a line for each row that fails."""

from __future__ import annotations

import json
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from traceback import format_exception
from typing import TYPE_CHECKING, Any, Literal, cast

from threadllm.clock import SYSTEM
from threadllm.contrib.django.lines import Lines
from threadllm.exceptions import OptionError
from threadllm.progress import bar_on, say
from threadllm.redaction import redact

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import TextIO

    from django.core.management.base import BaseCommand

    from threadllm.contrib.django.report import Failure

Progress = Literal["auto", "bar", "lines", "none"]


@contextmanager
def failures_file(path: str | None) -> Iterator[TextIO | None]:
    """The file of `--failures`, while a block lasts; None for none.

    Raises:
        OptionError: It cannot be written.
    """
    if path is None:
        yield None
        return
    with ExitStack() as stack:
        try:
            file = stack.enter_context(Path(path).open("w", encoding="utf-8"))
        except OSError as error:
            raise OptionError(f"--failures {path}: {error.strerror}") from error
        yield file


class Telling:
    """Tells what a command does.

    Args:
        command: Whose streams are written to.
        progress: A bar needs the stream itself: Django's wrapper adds line ends of its own.
        verbosity: Django's: 0 shows errors alone, 2 their tracebacks, too.
        file: Gets a line for each row that failed; None for none.

    Attributes:
        progress: For a dispatcher.
    """

    def __init__(
        self, command: BaseCommand, progress: Progress, verbosity: int, file: TextIO | None
    ) -> None:
        raw = cast("TextIO", getattr(command.stderr, "_out", command.stderr))
        if progress == "auto":
            progress = "none" if not verbosity else "bar" if raw.isatty() else "lines"
        makers: dict[str, Callable[[], Callable[..., Any] | bool]] = {
            "bar": partial(bar_on, raw),  # which imports tqdm
            "lines": lambda: partial(Lines, command.stdout.write, SYSTEM),
            "none": bool,
        }
        self.progress = makers[progress]()
        self._write: Callable[[str], object] = command.stderr.write
        if progress == "bar":
            self._write = lambda text: say(command.style.ERROR(text), raw)
        self._is_verbose = verbosity > 1
        self._file = file

    def failed(self, failure: Failure) -> None:
        """Tell of a row that failed."""
        text = str(failure)
        if self._is_verbose:
            text += "\n" + redact("".join(format_exception(failure.error)).rstrip())
        self._write(text)
        if self._file is not None:
            line = {"pk": failure.key, "error": failure.kind, "message": failure.message}
            self._file.write(json.dumps(line, default=str) + "\n")
            self._file.flush()
