"""Runs that have ended before their time: workers are told, and ended if they do not answer."""

from __future__ import annotations

import threading
from itertools import count
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary, ref

from threadllm.engines.wire import Stop

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from threadllm.call import Run
    from threadllm.engines.hand import Hand

_LAST_GRACE = 2.0  # seconds for a worker to say what became of calls whose own time is up


class Stopping:
    """Stops runs of one fleet.

    Args:
        lock: The fleet's, which guards all of it.
        hands: Its workers.
    """

    def __init__(self, lock: threading.RLock, hands: Sequence[Hand]) -> None:
        self._lock = lock
        self._hands = hands
        self._numbers = count()
        self._runs: WeakKeyDictionary[Run, int] = WeakKeyDictionary()
        self._latest: Callable[[], Run | None] = lambda: None  # that was asked for, and its number
        self._number = -1
        self._timers: list[threading.Timer] = []

    def number_of(self, run: Run) -> int:
        """What workers know a run by."""
        with self._lock:
            if self._latest() is not run:
                self._latest = ref(run)
                if run not in self._runs:
                    self._runs[run] = next(self._numbers)
                self._number = self._runs[run]
            return self._number

    def stop(self, run: Run, grace: float | None) -> None:
        """Have no more of a run begun anywhere; what is in flight has so many seconds, or its time.

        A worker that has not answered by then is past answering, and is ended.
        """
        with self._lock:
            stop = Stop(self.number_of(run), grace)
            told = [hand for hand in self._hands if hand.is_to_be_told(stop)]
            if told and grace is not None:
                timer = threading.Timer(grace + _LAST_GRACE, self._kill, [run])
                timer.daemon = True
                self._timers.append(timer)
                timer.start()
        for hand in told:
            hand.nudge()

    def end(self) -> None:
        """Wait for nobody any more."""
        with self._lock:
            timers, self._timers = self._timers, []
        for timer in timers:
            timer.cancel()
            timer.join()

    def _kill(self, run: Run) -> None:
        with self._lock:
            left = [
                hand
                for hand in self._hands
                if any(task.submission.run is run for task in hand.in_flight.values())
            ]
        for hand in left:
            hand.kill()
