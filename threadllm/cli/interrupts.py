"""SIGINT and SIGTERM during a run: the first ends the feeding, the second the process.

The handler does little itself, as it may interrupt the main thread anywhere, with any lock held:
a thread of its own stops the run. To end the process takes no lock.
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

AS_SHELLS_SAY = 128
"""What is added to a signal's number for the status of a process that it has ended."""

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class _ReadingInterruptedError(Exception):
    """Takes the main thread out of a read that may last for ever."""


class Interrupts:
    """Watches for signals while a block lasts, if that is in the main thread: no other gets any.

    Args:
        stop: Called once, on another thread, after the first signal.

    Attributes:
        signal: The first signal; None if there was none.
    """

    def __init__(self, stop: Callable[[], None]) -> None:
        self.signal: signal.Signals | None = None  # written by the handler alone
        self._stop = stop
        self._notes: SimpleQueue[int | None] = SimpleQueue()  # its put is safe in a handler
        self._reading = False  # of the main thread, which alone reads and handles
        self._watcher = threading.Thread(target=self._watch, name="threadllm-signals")
        self._before: dict[int, Callable[[int, FrameType | None], object] | int | None] = {}

    @property
    def status(self) -> int:
        """The exit status that the first signal asks for; 0 if there was none."""
        return 0 if self.signal is None else AS_SHELLS_SAY + self.signal

    @property
    def name(self) -> str | None:
        """The name of the first signal, if there was one."""
        return None if self.signal is None else self.signal.name

    def __enter__(self) -> Self:
        self._watcher.start()
        if threading.current_thread() is threading.main_thread():
            for number in _SIGNALS:
                self._before[number] = signal.signal(number, self._handle)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler or signal.SIG_DFL)
        self._notes.put(None)
        self._watcher.join()

    def until_stopped(self, items: Iterator[T]) -> Generator[T, None, None]:
        """The items, until a signal comes: also out of a read that waits for the next."""
        try:
            while True:
                self._reading = True  # from here on the handler raises; before, it leaves `signal`
                if self.signal is not None:
                    return
                item = next(items)
                self._reading = False
                yield item
        except (_ReadingInterruptedError, StopIteration):
            return
        finally:
            self._reading = False

    def _handle(self, number: int, _frame: FrameType | None) -> None:
        if self.signal is not None:
            os._exit(AS_SHELLS_SAY + number)
        self.signal = signal.Signals(number)
        self._notes.put(number)
        if self._reading:
            self._reading = False
            raise _ReadingInterruptedError

    def _watch(self) -> None:
        if self._notes.get() is not None:
            self._stop()
            say("stopping: calls in flight are finished; once more leaves at once")
