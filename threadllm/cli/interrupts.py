"""SIGINT and SIGTERM during a run: the first ends the feeding, the second the process.

The handler itself only leaves a note, as it may interrupt the main thread anywhere, with any
lock held; a thread of its own reads the notes and acts.
"""

from __future__ import annotations

import os
import signal
import threading
from queue import SimpleQueue
from typing import TYPE_CHECKING, TypeVar

from threadllm.progress import say

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator
    from types import FrameType

    from typing_extensions import Self

T = TypeVar("T")

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_AS_SHELLS_SAY = 128


class _ReadingInterruptedError(Exception):
    """Takes the main thread out of a read that may last for ever."""


class Interrupts:
    """Watches for signals while a block lasts; to be entered in the main thread.

    Args:
        stop: Called once, on another thread, at the first signal.

    Attributes:
        status: The exit status that a signal asks for; None if there was none.
    """

    def __init__(self, stop: Callable[[], None]) -> None:
        self.status: int | None = None  # written by the watcher alone
        self._stop = stop
        self._notes: SimpleQueue[int | None] = SimpleQueue()  # its put is safe in a handler
        self._reading = False  # of the main thread, which alone reads and handles
        self._watcher = threading.Thread(target=self._watch, name="threadllm-signals")
        self._handlers_before = {number: signal.getsignal(number) for number in _SIGNALS}

    def __enter__(self) -> Self:
        self._watcher.start()
        for number in _SIGNALS:
            signal.signal(number, self._handle)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._handlers_before.items():
            signal.signal(number, handler)
        self._notes.put(None)
        self._watcher.join()

    def until_stopped(self, items: Iterator[T]) -> Generator[T, None, None]:
        """The items, until a signal comes: also out of a read that waits for the next."""
        while self.status is None:
            try:
                self._reading = True
                item = next(items)
            except (_ReadingInterruptedError, StopIteration):
                return
            finally:
                self._reading = False
            yield item

    def _handle(self, number: int, _frame: FrameType | None) -> None:
        self._notes.put(number)
        if self._reading:
            self._reading = False
            raise _ReadingInterruptedError

    def _watch(self) -> None:
        first = self._notes.get()
        if first is None:
            return
        self.status = _AS_SHELLS_SAY + first
        say("stopping: calls in flight are finished; once more leaves at once")
        self._stop()
        second = self._notes.get()
        if second is not None:
            os._exit(_AS_SHELLS_SAY + second)
