"""SIGINT and SIGTERM while runs last: the first lets what is in flight end, the second ends it.

A handler may interrupt the main thread anywhere, with any lock held, so that a thread of its own
stops the runs. It hears of a signal from the system itself: Python runs a handler only when the
main thread comes to it, which in a wait that has just begun may be never. So that thread also
nudges the main one, by a signal that means nothing else here, until it has come to its handlers.

Handlers are the main thread's: runs that are read elsewhere know no signals. They are set while one
lasts there, then put back, and the signal goes on to whoever would have had it.

The end of the program is heard of, too: what the main thread has not read by then, nobody will.
"""

from __future__ import annotations

import os
import signal
import threading
from contextlib import contextmanager, suppress
from socket import socketpair
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from threadllm.forks import after_fork

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from socket import socket
    from types import FrameType

    Handler = Callable[[int, FrameType | None], Any] | int | None

T = TypeVar("T")

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_NUDGES = [getattr(signal, name) for name in ["SIGURG"] if hasattr(signal, name)]  # not on Windows
_PAUSE = 0.05  # seconds between two of them
_AS_SHELLS_SAY = 128  # is added to a signal's number for the status of a process that it ended
_NO_FD = -1
_LAST = 2  # signals that are waited for


class _FeedingInterruptedError(BaseException):
    """Takes the main thread out of an input that may never go on; it is caught where it is read."""


class Interruptible(Protocol):
    """A run, as far as signals go. It is told on a thread that is not its own."""

    def interrupt(self, signal_name: str | None) -> None:
        """Begin no more, and let what is in flight end within its time of grace.

        Without a signal's name it is the program that ends, and nothing need be said.
        """

    def cut(self) -> None:
        """Break off what is in flight."""


class Interrupts:
    """What signals ask of the runs that are read in the main thread."""

    def __init__(self) -> None:
        # No lock: what is done to a list is atomic, and what else the watcher and the main thread
        # share is one value each.
        self._runs: list[Interruptible] = []
        self._first: signal.Signals | None = None
        self._is_behind = False  # whether the main thread may not have come to its handlers
        # The main thread's alone:
        self._handled = 0
        self._is_feeding = False
        self._before: dict[int, Handler] = {}
        self._ends: tuple[socket, socket] | None = None  # that the watcher hears at, and its bell
        self._rung_before = _NO_FD
        self._watcher = threading.Thread()
        self._hears_end = False  # asked for once there is a pool: who asks last is told first

    @contextmanager
    def heeded(self, run: Interruptible) -> Iterator[None]:
        """Let signals end a run while a block lasts.

        Raises:
            KeyboardInterrupt: After SIGINT, once the block has ended; at once after a second one.
            SystemExit: Likewise after SIGTERM, with the status 143.
        """
        if not _is_main():
            yield
            return
        if self._ends is None:
            self._install()
        self._runs.append(run)
        try:
            if self._first is not None:
                run.interrupt(self._first.name)
            yield
        finally:
            with suppress(ValueError):  # a fork has none
                self._runs.remove(run)
            first, is_told = self._first, self._handled > 1
            self._put_back_if_last()
            if is_told:  # perhaps before the watcher was
                run.cut()
            elif first is not None:
                self._hand_on(first)

    def next_of(self, items: Iterator[T], cut_off: Callable[[], object]) -> T | None:
        """The next item of an input; None at its end.

        Args:
            items: The input.
            cut_off: Told where it is None because of a signal, which ends the wait for an item too.
        """
        if not (self._runs and _is_main()):
            return next(items, None)
        try:
            self._is_feeding = True  # from here on the handler raises; before, it leaves `_first`
            try:
                if self._first is None:
                    return next(items, None)
            finally:
                self._is_feeding = False
        except _FeedingInterruptedError:
            pass
        cut_off()
        return None

    def disown(self) -> None:
        """In a fork: its signals are none of the runs that its parent reads.

        SIGTERM ends it at once, as it would outside: a process that waits for a lock may never
        come to a handler, and whoever ends a pool of processes waits for each of them.
        """
        self._runs.clear()
        self._put_back_if_last()
        _end_at_once()

    def _install(self) -> None:
        if not self._hears_end:
            self._hears_end = True
            before_threads_are_joined(self._leave_unread)
        ear, bell = self._ends = socketpair()
        bell.settimeout(0)
        self._rung_before = signal.set_wakeup_fd(bell.fileno(), warn_on_full_buffer=False)
        self._watcher = threading.Thread(
            target=self._watch, args=[ear, self._rung_before], name="threadllm-signals", daemon=True
        )
        self._watcher.start()
        for number in (*_NUDGES, *_SIGNALS):
            handler = signal.getsignal(number)
            if handler not in {signal.SIG_IGN, self._handle}:
                self._before[number] = handler
                signal.signal(number, self._handle)

    def _leave_unread(self) -> None:
        """While the watcher still runs: later nobody could wait for it."""
        left = [*self._runs]
        self._runs.clear()
        for run in left:
            run.interrupt(None)
        self._put_back_if_last()

    def _put_back_if_last(self) -> None:
        """Undo `_install`, the handlers last: until then a signal is handed on."""
        if self._ends is None or self._runs or not _is_main():  # the collector may be anywhere
            return
        (ear, bell), self._ends = self._ends, None
        rung = signal.set_wakeup_fd(self._rung_before)
        if rung not in {bell.fileno(), _NO_FD}:  # somebody's who came later
            signal.set_wakeup_fd(rung)
        bell.close()
        with suppress(RuntimeError):  # in a fork it has ended, or was never begun
            self._watcher.join()
        ear.close()
        self._first, self._handled, self._is_behind = None, 0, False
        for number in (*_NUDGES, *_SIGNALS):
            if signal.getsignal(number) == self._handle:
                signal.signal(number, self._before[number] or signal.SIG_DFL)

    def _handle(self, number: int, _frame: FrameType | None) -> None:
        self._is_behind = False
        if number in _NUDGES:
            return
        if self._runs:
            self._take_in(signal.Signals(number))
        else:
            self._hand_on(signal.Signals(number))

    def _take_in(self, number: signal.Signals) -> None:
        self._handled += 1
        self._first = self._first or number
        if self._handled > 1:
            self._hand_on(number)
        elif self._is_feeding:
            self._is_feeding = False
            raise _FeedingInterruptedError

    def _hand_on(self, number: signal.Signals) -> None:
        """Give a signal to who had it before; what would have ended the process is raised.

        Whatever it raises stands for itself: the error that it takes the place of is its doing.
        """
        handler = self._before.get(number)
        try:
            (handler if callable(handler) else _terminate)(number, None)
        except BaseException as error:
            error.__suppress_context__ = True
            raise

    def _watch(self, ear: socket, passed_on: int) -> None:
        heard = 0
        while note := self._next_note(ear):
            number = note[0]
            if passed_on != _NO_FD:
                with suppress(OSError):
                    os.write(passed_on, note)
            if number not in _SIGNALS or not self._runs:  # it is handed on, and no run's
                continue
            heard += 1
            if heard > _LAST and self._is_behind:  # it has had its time
                os._exit(_AS_SHELLS_SAY + number)
            self._first, self._is_behind = self._first or signal.Signals(number), True
            for run in [*self._runs]:
                if heard == 1:
                    run.interrupt(self._first.name)
                else:
                    run.cut()

    def _next_note(self, ear: socket) -> bytes:
        """The next signal's number, nothing at the end; the main thread is nudged meanwhile."""
        while True:
            ear.settimeout(_PAUSE if self._is_behind else None)
            try:
                return ear.recv(1)
            except TimeoutError:
                for number in _NUDGES:
                    signal.pthread_kill(threading.main_thread().ident or 0, number)


@contextmanager
def orderly_end() -> Iterator[None]:
    """Let SIGTERM raise SystemExit(143) while a block lasts in the main thread.

    Where nobody handles it, it would end the process at once, with whatever is in flight.
    """
    is_ours = _is_main() and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    if is_ours:
        signal.signal(signal.SIGTERM, _terminate)
    try:
        yield
    finally:
        if is_ours:
            _end_at_once()


def _end_at_once() -> None:
    if _is_main() and signal.getsignal(signal.SIGTERM) is _terminate:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _terminate(number: int, _frame: FrameType | None) -> None:
    raise SystemExit(_AS_SHELLS_SAY + number)


def before_threads_are_joined(act: Callable[[], object]) -> None:
    """Have something done when the program ends, where `atexit` would wait for its threads first.

    So has `concurrent.futures`; there is no public name for it. Not if it is ending already.
    """
    register = getattr(threading, "_register_atexit", lambda _: None)
    with suppress(RuntimeError):
        register(act)


def _is_main() -> bool:
    return threading.current_thread() is threading.main_thread()


INTERRUPTS = Interrupts()
after_fork(INTERRUPTS.disown)
