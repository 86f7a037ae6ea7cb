"""Results out: JSON lines, each of them on its way to the file before the next is begun.

The room must not know what a record means, or who made it.
"""

from __future__ import annotations

import json
import os
import sys
from contextlib import AbstractContextManager, suppress
from io import FileIO
from typing import TYPE_CHECKING

from threadllm.exceptions import OptionError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path
    from types import TracebackType
    from typing import BinaryIO


def dumps(value: object) -> str:
    """`value` as one line of ASCII that every JSON reader takes, a lone surrogate escaped.

    Raises:
        TypeError: JSON has no form for it.
        ValueError: It holds NaN or an infinity, itself, or nesting without end.
    """
    try:
        return json.dumps(value, allow_nan=False)
    except RecursionError:
        raise ValueError("nested too deeply") from None


class Writer(AbstractContextManager["Writer"]):
    """Writes a record a line into a file of its own, whole lines only.

    A line has been handed to the system when `write` returns. If the system takes only part of
    one, that part is taken back, so that the file ends in a whole line.

    Args:
        path: The file; `-` is standard output.
        overwrite: Whether what it holds may be thrown away.
        continues: Whether it is gone on with, behind what it holds.
        stdout: What `-` writes to, `sys.stdout.buffer` by default. It is not closed.

    Raises:
        OptionError: The file holds something already, or cannot be written.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        overwrite: bool = False,
        continues: bool = False,
        stdout: BinaryIO | None = None,
    ) -> None:
        self.path = str(path)
        self._is_file = self.path != "-"
        self._size = 0  # bytes of whole lines
        if self._is_file:
            self._stream = _open(path, overwrite=overwrite, continues=continues)
            if continues:
                self._size = os.fstat(self._stream.fileno()).st_size
        else:
            standard = sys.stdout.buffer if stdout is None else stdout
            standard.flush()
            # Without its buffer, which would try a line that failed once more at exit.
            self._stream = getattr(standard, "raw", standard)

    def write(self, record: Mapping[str, object]) -> None:
        """Write one record.

        Raises:
            TypeError, ValueError: JSON cannot hold it; see `dumps`. Nothing was written.
            OSError: The system did not take it: the disk is full, the reader has gone. It carries
                the path as `filename`.
        """
        line = dumps(record).encode("ascii") + b"\n"
        try:
            rest = memoryview(line)
            while rest:  # an unbuffered stream may take part of it
                rest = rest[self._stream.write(rest) :]
            self._stream.flush()
        except OSError as error:
            self._take_back()
            raise OSError(error.errno, error.strerror, self.path) from error
        self._size += len(line)

    def has(self, _: Mapping[str, object]) -> bool:
        """Whether an earlier run wrote that line: see `Continued.has`."""
        return False

    def _take_back(self) -> None:
        if self._is_file:
            with suppress(OSError):  # a pipe or a device: what it has, it has
                self._stream.truncate(self._size)

    def close(self) -> None:
        """Close the file; standard output stays open."""
        if self._is_file:
            self._stream.close()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


def _open(path: str | Path, *, overwrite: bool, continues: bool) -> BinaryIO:
    try:  # to append, since opening must not empty a file that is then refused
        stream = FileIO(os.fspath(path), "ab")
    except (OSError, ValueError) as error:  # ValueError: a NUL byte in the path
        reason = error.strerror if isinstance(error, OSError) else error
        raise OptionError(f"cannot write {path}: {reason}") from error
    if not continues and os.fstat(stream.fileno()).st_size > 0:  # 0 for a pipe or a device
        if not overwrite:
            stream.close()
            raise OptionError(f"{path} holds results already. Name another, or say --overwrite")
        stream.truncate(0)
    return stream
