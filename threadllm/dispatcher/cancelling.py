"""How runs are cancelled: what waits ends undone, what is in flight gets a time of grace.

That time is a deadline like any other, so that it ends as deadlines do: sockets are shut down, and
what cannot be broken off is handed over and waited for no longer.
"""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING, Any, cast

from threadllm.call import Limit
from threadllm.progress import say

if TYPE_CHECKING:
    from collections.abc import Callable

    from threadllm.call import Run, Terms
    from threadllm.dispatcher.crew import Crew
    from threadllm.dispatcher.hiring import Workforce
    from threadllm.dispatcher.task import Task

_LOGGER = logging.getLogger("threadllm")


class Cancelling:
    """Cancels runs of one dispatcher.

    Args:
        terms: What its calls go by.
        workers: Who has its tasks, and bounds those that are being run.
        crew: Ends those that are not.
        grace: Seconds that they have.
        has_bar: Whether a line on stderr must not tear a bar apart.
    """

    def __init__(
        self,
        terms: Terms,
        workers: Workforce,
        crew: Crew,
        grace: float,
        *,
        has_bar: bool,
    ) -> None:
        self._terms = terms
        self._workers = workers
        self._crew = crew
        self._grace = grace
        self._say: Callable[[str], None] = say if has_bar else _LOGGER.warning
        self._lock = threading.RLock()  # one at a time; a signal may come while its thread cancels

    def cancel(self, run: Run, grace: float | None = None) -> None:
        """End a run: begin no more of it, and bound what is in flight.

        Args:
            run: The run. It may have been cancelled before: the shorter time counts.
            grace: Seconds for what is in flight; what the dispatcher has by default.
        """
        seconds = self._grace if grace is None else grace
        in_flight = cast("list[Task[Any]]", run.cancel())
        self._terms.look_again()
        for task in self._workers.unwanted():
            self._crew.drop(task)
        limit = Limit(self._terms.now() + seconds, seconds, of_grace=True)
        with self._lock:
            for task in in_flight:
                self._workers.bound(task, limit)

    def interruptible(self, run: Run) -> InterruptibleRun:
        """A run, as signals see it."""
        return InterruptibleRun(self, run)

    def tell(self, signal_name: str | None) -> None:
        """Say that a signal has come, if one has, and what becomes of it."""
        if signal_name is not None:
            self._say(
                f"{signal_name}: stopping; up to {self._grace:g} s for the calls in flight, "
                "once more leaves at once"
            )


class InterruptibleRun:
    """See `threadllm.dispatcher.interrupts.Interruptible`."""

    def __init__(self, cancelling: Cancelling, run: Run) -> None:
        self._cancelling = cancelling
        self._run = run

    def interrupt(self, signal_name: str | None) -> None:
        """See `Interruptible.interrupt`."""
        self._cancelling.cancel(self._run)
        self._cancelling.tell(signal_name)

    def cut(self) -> None:
        """See `Interruptible.cut`."""
        self._cancelling.cancel(self._run, grace=0.0)
