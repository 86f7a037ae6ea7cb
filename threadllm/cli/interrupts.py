"""SIGINT and SIGTERM during a run: the first ends the feeding, the second the process.

A handler may interrupt the main thread anywhere, with any lock held, so that a thread of its own
stops the run. It hears of a signal from the system itself: Python runs a handler only when the
main thread comes to it, which in a wait that has just begun may be never. So that thread also
nudges the main one, by a signal that means nothing else here, until it has come to its handler.
"""

from __future__ import annotations

import os
import signal
import threading
from contextlib import contextmanager
from socket import socketpair
from typing import TYPE_CHECKING, TypeVar

from threadllm.progress import say

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator
    from socket import socket
    from types import FrameType

T = TypeVar("T")

AS_SHELLS_SAY = 128
"""What is added to a signal's number for the status of a process that it has ended."""

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_NUDGES = [getattr(signal, name) for name in ["SIGURG"] if hasattr(signal, name)]  # not on Windows
_PAUSE = 0.05  # seconds between two of them


class _ReadingInterruptedError(Exception):
    """Takes the main thread out of a read that may last for ever."""


class Interrupts:
    """What signals ask of a run.

    Args:
        stop: Called once, on another thread, after the first signal.

    Attributes:
        signal: The first signal; None if there was none.
    """

    def __init__(self, stop: Callable[[], None]) -> None:
        self.signal: signal.Signals | None = None  # both threads that hear of one may set it
        self._stop = stop
        self._reading = False  # of the main thread, which alone reads and handles
        self._handled = False  # likewise

    @property
    def status(self) -> int:
        """The exit status that the first signal asks for; 0 if there was none."""
        return 0 if self.signal is None else AS_SHELLS_SAY + self.signal

    @property
    def name(self) -> str | None:
        """The name of the first signal, if there was one."""
        return None if self.signal is None else self.signal.name

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Heed signals while a block lasts, if that is in the main thread: no other gets any."""
        ear, bell = socketpair()
        bell.settimeout(0)
        watcher = threading.Thread(target=self._watch, args=[ear], name="threadllm-signals")
        watcher.start()
        try:
            with self._handled_here(bell):
                yield
        finally:
            bell.close()
            watcher.join()
            ear.close()

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

    @contextmanager
    def _handled_here(self, bell: socket) -> Iterator[None]:
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        rung_before = signal.set_wakeup_fd(bell.fileno(), warn_on_full_buffer=False)
        before = {number: signal.signal(number, self._handle) for number in _SIGNALS}
        before |= {number: signal.signal(number, lambda *_: None) for number in _NUDGES}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler or signal.SIG_DFL)
            signal.set_wakeup_fd(rung_before)

    def _handle(self, number: int, _frame: FrameType | None) -> None:
        if self._handled:
            os._exit(AS_SHELLS_SAY + number)
        self._handled, self.signal = True, signal.Signals(number)
        if self._reading:
            self._reading = False
            raise _ReadingInterruptedError

    def _watch(self, ear: socket) -> None:
        stopped = False
        while note := self._heard(ear):
            number = note[0]
            if number in _SIGNALS and stopped:
                os._exit(AS_SHELLS_SAY + number)
            elif number in _SIGNALS:
                stopped, self.signal = True, signal.Signals(number)
                self._stop()
                say("stopping: waiting for the calls in flight; once more leaves at once")

    def _heard(self, ear: socket) -> bytes:
        """The next note, nothing at the end; the main thread is nudged meanwhile, if need be."""
        while True:
            late = self.signal is not None and not self._handled
            ear.settimeout(_PAUSE if late else None)
            try:
                return ear.recv(1)
            except TimeoutError:
                for number in _NUDGES:
                    signal.pthread_kill(threading.main_thread().ident or 0, number)
