"""A worker, as its dispatcher sees it: a thread that tells it what to do and waits for its answer.

The thread starts the worker, and another in its place when it dies, each time after a longer pause.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import TYPE_CHECKING, Any, Protocol

from threadllm.exceptions import WorkerLost

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from threadllm.dispatcher.task import Task
    from threadllm.engines.wire import Link, Order, Report, Stop
    from threadllm.quota import Pause, Share, Units

_AHEAD = 2.0  # times its threads: what it has, so that none of them waits for its next item
_CHUNK = 2.0  # likewise, where it takes no more until all that has ended
_PAUSE, _LONGEST_PAUSE = 0.1, 5.0  # seconds before another worker is started


class Boss(Protocol):
    """Whose hands they are: see `Fleet`."""

    def next_order(self, hand: Hand) -> Order | None:
        """Wait for something to tell a worker; None once there will be nothing more."""

    def take_in(self, hand: Hand, report: Report) -> None:
        """Take what a worker says for what has become of its items."""

    def lose(self, hand: Hand, lost: WorkerLost) -> None:
        """Give out again what a worker had that has died."""

    def pause(self, seconds: float) -> None:
        """Wait before another worker is started."""

    def leave(self, hand: Hand) -> None:
        """Take a worker's end in."""


class Hand:
    """One worker. What it holds is guarded by its boss's lock, if nothing else is said.

    Args:
        boss: Whose it is.
        open_link: Starts the worker.
        index: Which of them it is.
        threads: How many it has.
        is_told: Whether it is told more while it works; else it does one order after another, each
            to its end, and remembers none.

    Attributes:
        index: See above.
        threads: Likewise.
        window: How many items it may have.
        is_told: See above.
        in_flight: Those that it has, by their parcels' numbers.
        knows: The functions that it has been sent; its thread's alone.
        stops: What it is to be told of runs that have ended.
        wanted: Units of limits that it has asked for, by quotas; its thread's alone.
        shares: What it has of slots, by quotas; its thread's alone.
        recalls: Items that it is to give back, if it has not begun them.
        pauses: Those of others that it is to be told of.
        gauges: What it has added to figures that go up and down; its thread's alone.
        deaths: How often in a row it has died without having done anything.
        is_up: Whether its worker has come to work; it has nothing before. Its thread's to write.
        is_given_up: Whether no worker is to be had for it.
        has_suspects: Whether what it has is apart from others: see `Backlog`.
        has_left: Whether it has nothing more to do.
    """

    deaths = 0
    has_suspects = is_up = is_given_up = has_left = False

    def __init__(
        self,
        boss: Boss,
        open_link: Callable[[], Link],
        index: int,
        threads: int,
        *,
        is_told: bool = True,
    ) -> None:
        self.window = max(threads + 1, int((_AHEAD if is_told else _CHUNK) * threads))
        self.index = index
        self.threads = threads
        self.is_told = is_told
        self.in_flight: dict[int, Task[Any]] = {}
        self.knows: OrderedDict[int, None] = OrderedDict()
        self.stops: list[Stop] = []
        self.recalls: list[int] = []
        self._told: set[Stop] = set()
        self.wanted: Mapping[str, Sequence[Units]] = {}
        self.shares: dict[str, Share] = {}
        self.pauses: list[Mapping[str, Sequence[Pause]]] = []
        self.gauges: dict[str, float] = {}
        self._boss = boss
        self._open_link = open_link
        # No lock: one is its thread's to write; that sees another as a worker starts, the last as
        # an exchange ends.
        self._link: Link | None = None
        self._was_killed = self._is_nudged = False
        self._thread = threading.Thread(target=self._run, name=f"threadllm-worker_{index}")

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def join(self) -> None:
        """Wait until it has left.

        Raises:
            RuntimeError: This is its thread.
        """
        self._thread.join()

    def nudge(self) -> None:
        """Have it look whether there is something new for it. Once is enough for an exchange."""
        link = self._link
        if link is not None and not self._is_nudged:
            self._is_nudged = True
            link.nudge()

    def kill(self) -> None:
        """End its worker; what that had is given out again, if it is still wanted."""
        self._was_killed = True  # first: it is looked at where there is none yet
        link = self._link
        if link is not None:
            link.kill()

    @property
    def is_free(self) -> bool:
        """Whether it has nothing to do."""
        return not self.in_flight

    @property
    def could_do_more(self) -> bool:
        """Whether one of its threads has nothing to do while it is waited for."""
        return 0 < len(self.in_flight) < self.threads

    @property
    def free_threads(self) -> int:
        """How many of its threads have nothing to do."""
        return max(0, self.threads - len(self.in_flight)) if self.is_up else 0

    @property
    def to_spare(self) -> int:
        """How many items it has for which it has no threads, and which it need not keep."""
        keeps = bool(self.recalls) or self.has_suspects or not self.is_told
        return 0 if keeps else len(self.in_flight) - self.threads

    def is_to_be_told(self, stop: Stop) -> bool:
        """Whether it has something of that run, and has not been told this: now it will be."""
        if stop in self._told or not self.in_flight:
            return False
        self._told.add(stop)
        self.stops.append(stop)
        return True

    def _run(self) -> None:
        try:
            while (order := self._boss.next_order(self)) is not None:
                try:
                    if self._link is None:  # the order is to come, and no more
                        self._start()
                        continue
                    report = self._link.exchange(order)
                    self._is_nudged = False  # from now on another exchange is meant
                except Exception as error:  # whatever it is, nobody may wait for ever
                    self._boss.lose(self, self._lost(error))
                    self._boss.pause(min(_PAUSE * 2 ** min(self.deaths - 1, 10), _LONGEST_PAUSE))
                else:
                    self._boss.take_in(self, report)
        finally:
            if self._link is not None:
                self._link.close()
            self._boss.leave(self)

    def _start(self) -> None:
        link = self._link = self._open_link()
        if self._was_killed:  # meanwhile
            link.kill()
        link.start()
        self.is_up = True

    def _lost(self, error: Exception) -> WorkerLost:
        """How it has lost its worker; it has none any more."""
        link, self._link, self.is_up = self._link, None, False
        self._was_killed = self._is_nudged = False
        if isinstance(error, WorkerLost):
            return error
        if link is not None:
            link.kill()
        return WorkerLost(f"a worker cannot be reached: {type(error).__name__}: {error}")
