"""Workers of one dispatcher, elsewhere: who has what, and what becomes of it.

All truth is here: what waits, and what each worker has. A worker that dies is replaced, and what it
had is given out again.
"""

from __future__ import annotations

import logging
import os
import threading
from functools import partial
from itertools import count
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

from threadllm.dispatcher.interrupts import before_threads_are_joined
from threadllm.engines.backlog import Backlog
from threadllm.engines.hand import Hand
from threadllm.engines.lending import Lender, quotas_of
from threadllm.engines.packing import Packer, functions_for
from threadllm.engines.stopping import Stopping
from threadllm.engines.taking import Taker
from threadllm.engines.wire import Order
from threadllm.exceptions import WorkerLost

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from threadllm.call import Limit
    from threadllm.dispatcher.hiring import Post
    from threadllm.dispatcher.task import Task
    from threadllm.engines.wire import Link, Parcel, Report
    from threadllm.engines.worker import Spec

_LOGGER = logging.getLogger("concurrent.futures")  # where a pool says that a callback went wrong
_WAIT = 1.0  # second: the longest that a worker says nothing, for the sake of progress


class Fleet:
    """See `Workforce`.

    Args:
        post: What it is hired for.
        number: How many workers there are at most.
        open_link: Starts one.
        init: What each calls first.
    """

    def __init__(
        self, post: Post, number: int, open_link: Callable[[Spec], Link], init: str | None
    ) -> None:
        self._post = post
        self._crew = post.crew
        self._packer = Packer(post, init, number)
        self._taker = Taker(post.terms, post.crew)
        self._open_link = open_link
        self._number = number
        self._process = os.getpid()
        self._lock = threading.RLock()  # guards what follows, and what hands hold
        self._news = threading.Condition(self._lock)
        self._backlog = Backlog()
        self._hands: list[Hand] = []
        self._numbers = count()
        self._stopping = Stopping(self._lock, self._hands)
        self._lender = Lender(quotas_of(post.terms), self._lock, self._hands)
        self._closed = False
        self._broken: str | None = None  # why no worker is to be had
        if not _FLEETS:
            before_threads_are_joined(_close_all)
        _FLEETS.add(self)

    # For the dispatcher: see `Workforce`.

    def is_forked(self) -> bool:
        """See `Workforce.is_forked`."""
        return self._process != os.getpid()

    def check_process(self) -> None:
        """See `Workforce.check_process`.

        Raises:
            RuntimeError: It is one.
        """
        if self.is_forked():
            raise RuntimeError(
                f"this dispatcher's workers belong to process {self._process}, of which this one "
                "is a fork: make a dispatcher in the process that uses it"
            )

    def add(self, task: Task[Any], *, if_free: bool = False, here: bool = False) -> bool:
        """See `Workforce.add`. There is always a way for a call's own calls: they go elsewhere.

        Raises:
            OptionError: The function, or an option, cannot be sent.
            WorkerLost: No worker can be had.
            RuntimeError: After `close`, or in a fork.
        """
        del if_free
        self.check_process()
        with self._lock:
            if self._broken is not None:
                raise WorkerLost(self._broken)
            if self._closed:
                raise RuntimeError("cannot schedule new futures after shutdown")
            if here:
                return False
            self._packer.check(task.job.fn)
            self._backlog.add(task)
            hand, index = None, len(self._hands)
            free = sum(one.is_free for one in self._hands)
            if index < self._number and len(self._backlog) > free:
                spec = self._packer.spec(index)
                hand = Hand(self, partial(self._open_link, spec), index, spec.max_workers)
                self._hands.append(hand)
            self._news.notify_all()
            idle = next((one for one in self._hands if one.could_do_more), None)
        if hand is not None:
            hand.start()
        elif idle is not None:
            idle.nudge()
        return True

    def run_here(self, task: Task[Any]) -> None:
        """See `Workforce.run_here`."""
        self._post.here.run_here(task)

    def close(self) -> None:
        """See `Workforce.close`. Again and again, if need be."""
        if self.is_forked():
            return
        with self._lock:
            self._closed = True
            self._news.notify_all()
            is_over = all(hand.has_left for hand in self._hands)
        if is_over:
            self._post.ending.begin()

    def drain(self) -> Iterator[Task[Any]]:
        """See `Workforce.drain`."""
        return self._taken_away(lambda _: True)

    def unwanted(self) -> Iterator[Task[Any]]:
        """See `Workforce.unwanted`."""
        return self._taken_away(lambda task: task.unwanted)

    def bound(self, task: Task[Any], limit: Limit) -> None:
        """See `Workforce.bound`: all of a run is bounded at a time."""
        self._stopping.stop(task.submission.run, limit.seconds)

    def end(self, *, wait: bool) -> None:
        """See `Workforce.end`.

        Raises:
            RuntimeError: This thread is one that is waited for.
        """
        if wait:
            with self._lock:
                hands = [*self._hands]
            for hand in hands:
                hand.join()
            self._stopping.end()
            self._post.ending.join()

    # For hands.

    def next_order(self, hand: Hand) -> Order | None:
        """Wait for something to tell a worker; None once there will be nothing more."""
        while True:
            with self._lock:
                tasks = self._backlog.take_for(hand)
                if not (tasks or hand.in_flight or hand.stops):
                    if self._broken is not None or (self._closed and not self._backlog):
                        return None
                    self._news.wait()
                    continue
            packed = [*filter(None, (self._parcel(task, hand) for task in tasks))]
            with self._lock:
                if packed or hand.in_flight or hand.stops:
                    break
        lent, wait = self._lender.lend_to(hand, _WAIT)
        with self._lock:
            stops, hand.stops = hand.stops, []
            pauses, hand.pauses = hand.pauses, []
        functions = functions_for(hand.knows, packed)
        return Order([parcel for parcel, _ in packed], functions, stops, wait, lent, pauses)

    def take_in(self, hand: Hand, report: Report) -> None:
        """Take what a worker says for what has become of its items."""
        self._taker.count(hand.gauges, report.figures)
        self._lender.take_in(hand, report)
        for envelope in report.envelopes:
            with self._lock:
                task = hand.in_flight.pop(envelope.number)
                self._backlog.done(task)
                hand.deaths = 0
            run = task.submission.run
            try:
                if not self._taker.conclude(task, envelope):  # stopped there, and not here
                    with self._lock:
                        self._backlog.put_back(task)
            except BaseException:
                # A callback's SystemExit or its like: a future logs no more than Exception.
                _LOGGER.critical("Exception in worker", exc_info=True)
            if run.is_stopped:
                self._stopping.stop(run, None)

    def lose(self, hand: Hand, lost: WorkerLost) -> None:
        """Give out again what a worker had that has died."""
        self._taker.take_back(hand.gauges)
        with self._lock:
            tasks, hand.in_flight = [*hand.in_flight.values()], {}
            hand.knows.clear()
            hand.wanted = {}
            is_alone = hand.is_alone
            hand.deaths = 1 if is_alone else hand.deaths + 1
            if lost.while_starting:
                self._broken = str(lost)
                self._news.notify_all()
            for task in tasks:
                task.put_down()
            killers = self._backlog.take_back(tasks, were_alone=is_alone)
        for task in killers:
            self._crew.fail(task, WorkerLost(f"{lost}, as it ran this item alone"))
        if self._broken is not None:
            for task in self.drain():
                self._crew.fail(task, WorkerLost(self._broken))

    def pause(self, seconds: float) -> None:
        """Wait before another worker is started, unless all is over."""
        with self._lock:
            self._news.wait_for(lambda: self._closed, seconds)

    def leave(self, hand: Hand) -> None:
        """Take a worker's end in."""
        with self._lock:
            hand.has_left = True
            is_over = self._closed and all(one.has_left for one in self._hands)
        if is_over:
            self._post.ending.begin()

    # Within.

    def _parcel(self, task: Task[Any], hand: Hand) -> tuple[Parcel, bytes] | None:
        """A task as what is sent; None if it has ended."""
        number = next(self._numbers)
        try:
            run = self._stopping.number_of(task.submission.run)
            packed = self._packer.parcel(task, number, run, self._post.terms.now())
        except Exception as error:  # what it is called with cannot travel
            self._crew.fail(task, error)
            return None
        with self._lock:
            hand.in_flight[number] = task
        if self._crew.hand_on(task):
            return packed
        with self._lock:
            hand.in_flight.pop(number, None)
        return None

    def _taken_away(self, which: Callable[[Task[Any]], bool]) -> Iterator[Task[Any]]:
        with self._lock:
            taken = self._backlog.take_away(which)
            self._news.notify_all()
        yield from taken


_FLEETS: WeakSet[Fleet] = WeakSet()


def _close_all() -> None:
    """As the program ends: what was given is still run, and then nobody waits for more."""
    for fleet in [*_FLEETS]:
        fleet.close()
