"""How a dispatcher ends: shut down, cancelled, or left by Ctrl-C."""

from __future__ import annotations

import threading
from concurrent.futures import Executor
from contextlib import ExitStack
from typing import TYPE_CHECKING

from threadllm.dispatcher.interrupts import INTERRUPTS, orderly_end
from threadllm.dispatcher.options import checked_grace

if TYPE_CHECKING:
    from types import TracebackType

    from typing_extensions import Self

    from threadllm.dispatcher.staff import Staff


class Closing(Executor):
    """An executor with a staff, which goes home when the executor closes."""

    def __init__(self, staff: Staff) -> None:
        self._staff = staff
        self._orderly_end = ExitStack()

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Take no more, as `Executor.shutdown`.

        With `cancel_futures` what has not begun is cancelled, calls that are parked end with the
        error they were parked for, and those in flight are finished. Ctrl-C while this waits has
        the same effect, and is then raised.
        """
        with INTERRUPTS.heeded(_Ending(self._staff)):
            try:
                self._staff.close(cancel=cancel_futures)
                self._staff.end(wait=wait)
            except Exception:
                raise
            except BaseException:  # of an input, or the second Ctrl-C
                self._leave(wait=wait)
                raise

    def cancel(self, *, grace: float | None = None) -> None:
        """End all runs, and take no more: as the first signal does, from any thread, at once.

        What waits is not begun, its futures are cancelled. Calls in flight that end within their
        time of grace are handed back; the others are broken off, and their futures raise
        `RunStopped`. Once more, with a shorter time, shortens it: `cancel(grace=0)` breaks off now.

        Args:
            grace: Seconds; what the dispatcher was made with by default.

        Raises:
            OptionError: No number of seconds, 0 or more.
        """
        self._staff.cancel(None if grace is None else checked_grace(grace))

    def __enter__(self) -> Self:
        """Let SIGTERM end the block as Ctrl-C does, by a SystemExit, unless somebody handles it."""
        self._orderly_end.enter_context(orderly_end())
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Shut down; after Ctrl-C and its like as `cancel` does, and wait no longer than that.

        Unlike ThreadPoolExecutor's, an input of `map` that is not read is not begun after an
        error either: whoever was to read it has left.
        """
        with self._orderly_end:
            if error is not None:
                self._staff.leave_unread()
            if error is None or isinstance(error, Exception):
                self.shutdown()
            else:
                self._leave()

    def _leave(self, *, wait: bool = True) -> None:
        """Cancel, and wait for what is in flight; a signal that comes meanwhile breaks that off."""
        with INTERRUPTS.heeded(_Leaving(self._staff)):
            self._staff.cancel()
            self._staff.end(wait=wait)


class _Ending:
    """A dispatcher that is shut down, as signals see it: see `Interruptible`."""

    def __init__(self, staff: Staff) -> None:
        self._staff = staff

    def interrupt(self, signal_name: str | None) -> None:
        """See `Interruptible.interrupt`."""
        self._staff.cancel()
        self._staff.cancelling.tell(signal_name)

    def cut(self) -> None:
        """See `Interruptible.cut`."""
        self._staff.cancel(0.0)


class _Leaving(_Ending):
    """One that was left by Ctrl-C: the next signal is the second."""

    def interrupt(self, signal_name: str | None) -> None:
        """See `Interruptible.interrupt`. In the main thread it is of a signal that came before."""
        if threading.current_thread() is not threading.main_thread():
            self.cut()
