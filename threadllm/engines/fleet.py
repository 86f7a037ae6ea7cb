"""Workers of one dispatcher, elsewhere: who has what, and what becomes of it.

All truth is here: what waits, and what each worker has. A worker that dies is replaced, and what it
had is given out again.
"""

from __future__ import annotations

import logging
import math
import os
import threading
from functools import partial
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

from threadllm.dispatcher.interrupts import before_threads_are_joined
from threadllm.dispatcher.keeping import kept_together
from threadllm.dispatcher.options import checked_workers
from threadllm.engines.backlog import Backlog
from threadllm.engines.hand import Hand
from threadllm.engines.lending import Lender, quotas_of
from threadllm.engines.ordering import Orders
from threadllm.engines.packing import Packer
from threadllm.engines.roster import Roster
from threadllm.engines.stopping import Stopping
from threadllm.engines.taking import Taker
from threadllm.engines.wire import Order
from threadllm.exceptions import WorkerLost
from threadllm.forks import check_no_fork_of, is_fork_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from threadllm.call import Limit
    from threadllm.dispatcher.hiring import Post
    from threadllm.dispatcher.task import Task
    from threadllm.engines.wire import Link, Report
    from threadllm.engines.worker import Spec

_LOGGER = logging.getLogger("concurrent.futures")  # where a pool says that a callback went wrong
_STARTS = 3  # in a row that come to nothing: then no worker is to be had
_MOMENT = 0.02  # seconds
_COME = Order([], {}, [], 0.0)  # to a worker: it is needed


class Fleet:
    """See `Workforce`.

    Args:
        post: What it is hired for.
        number: How many workers there are at most.
        open_link: Starts one.
        init: What each calls first.
        is_told: Whether they can be told more while they work.
    """

    def __init__(
        self,
        post: Post,
        number: int,
        open_link: Callable[[Spec], Link],
        init: str | None,
        *,
        is_told: bool = True,
    ) -> None:
        quotas = quotas_of(post.terms)
        # Each has a thread, and a slot of each quota.
        slots = [quota.concurrency for quota in quotas.values()]
        number = min(number, post.max_workers, *slots)
        checked_workers(math.ceil(post.max_workers / number))
        self._post = post
        self._crew = post.crew
        self._packer = Packer(post, init, number, leases=is_told)
        self._is_told = is_told
        self._taker = Taker(post.terms, post.crew)
        self._open_link = open_link
        self._process = os.getpid()
        self._lock = threading.RLock()  # guards what follows, and what hands hold
        self._news = threading.Condition(self._lock)
        self._roster = Roster(self._lock, number, self._hand)
        self._backlog = Backlog(self._roster.hands)
        self._stopping = Stopping(self._lock, self._roster.hands)
        self._lender = Lender(quotas, number, self._lock, self._roster.hands)
        self._orders = Orders(post, self._packer, self._stopping, self._lender, self._lock)
        self._closed = False
        self._broken: str | None = None  # why no worker is to be had
        if not _FLEETS:
            before_threads_are_joined(_close_all)
        _FLEETS.add(self)

    # For the dispatcher: see `Workforce`.

    def is_forked(self) -> bool:
        """See `Workforce.is_forked`."""
        return is_fork_of(self._process)

    def check_process(self) -> None:
        """See `Workforce.check_process`.

        Raises:
            RuntimeError: It is one.
        """
        check_no_fork_of(self._process, "workers")

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
            new = self._roster.one_more(len(self._backlog))
        self._tell_of_more()
        if new is not None:
            new.start()
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
            is_over, is_done = self._roster.have_left, not self._backlog
        if is_over:
            self._post.ending.begin()
        elif is_done:
            self._roster.give_up_starts()

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
            self._roster.join()
            self._stopping.end()
            self._post.ending.join()

    # For hands.

    def next_order(self, hand: Hand) -> Order | None:
        """Wait for something to tell a worker; None once there will be nothing more."""
        while True:
            with self._lock:
                if hand.is_given_up:
                    return None
                if self._backlog and not hand.is_up:
                    return _COME
                if not hand.is_told:
                    self._gather(hand)
                tasks = self._backlog.take_for(hand)
                other = self._backlog.recall_for(hand)
                is_idle = not (tasks or hand.in_flight or hand.stops)
                if is_idle and other is None:
                    if self._closed and not self._backlog:
                        return None
                    self._news.wait()
            if other is not None:
                other.nudge()
            if is_idle:
                continue
            order = self._orders.order_for(hand, tasks)
            if order is not None:
                return order

    def take_in(self, hand: Hand, report: Report) -> None:
        """Take what a worker says for what has become of its items."""
        self._taker.count(hand.gauges, report.figures)
        self._lender.take_in(hand, report)
        with kept_together():
            self._conclude(hand, report)

    def _conclude(self, hand: Hand, report: Report) -> None:
        for envelope in report.envelopes:
            with self._lock:
                task = hand.in_flight.pop(envelope.number)
                self._backlog.done(task)
                hand.deaths = 0
            run = task.submission.run
            try:
                if not self._taker.conclude(task, envelope):  # not begun there, and wanted here
                    self._put_back(task)
            except BaseException:
                # A callback's SystemExit or its like: a future logs no more than Exception.
                _LOGGER.critical("Exception in worker", exc_info=True)
            if run.is_stopped:
                self._stopping.stop(run, None)

    def lose(self, hand: Hand, lost: WorkerLost) -> None:
        """Give out again what a worker had that has died."""
        self._taker.take_back(hand.gauges)
        self._lender.have_back(hand)
        with self._lock:
            tasks, hand.in_flight = [*hand.in_flight.values()], {}
            hand.knows.clear()
            hand.wanted = {}
            hand.deaths = 1 if hand.has_suspects else hand.deaths + 1
            if lost.while_starting or (hand.deaths >= _STARTS and not tasks):
                hand.is_given_up = True
                if self._roster.is_last(hand):
                    self._broken = str(lost)
                    self._roster.give_all_up()
            for task in tasks:
                task.put_down()
            killer = self._backlog.take_back(tasks, apart=hand.has_suspects)
        self._tell_of_more()
        if killer is not None:
            self._crew.fail(killer, WorkerLost(f"{lost}, as it ran this item alone"))
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
            is_over = self._closed and self._roster.have_left
        if is_over:
            self._post.ending.begin()

    # Within.

    def _hand(self, index: int) -> Hand:
        spec = self._packer.spec(index)
        link = partial(self._open_link, spec)
        return Hand(self, link, index, spec.max_workers, is_told=self._is_told)

    def _put_back(self, task: Task[Any]) -> None:
        with self._lock:
            self._backlog.put_back(task)
        self._tell_of_more()

    def _tell_of_more(self) -> None:
        """Have whoever is free look: there is something to do."""
        with self._lock:
            idle = self._roster.idle()
            self._news.notify_all()
        if idle is not None:
            idle.nudge()

    def _gather(self, hand: Hand) -> None:
        """Wait a moment for more, where what there is would be all for long."""
        if 0 < len(self._backlog) < hand.window:
            self._news.wait_for(lambda: len(self._backlog) >= hand.window, _MOMENT)

    def _taken_away(self, which: Callable[[Task[Any]], bool]) -> Iterator[Task[Any]]:
        with self._lock:
            taken = self._backlog.take_away(which)
            self._news.notify_all()
            is_done = self._closed and not self._backlog
        if is_done:
            self._roster.give_up_starts()
        yield from taken


_FLEETS: WeakSet[Fleet] = WeakSet()


def _close_all() -> None:
    """As the program ends: what was given is still run, and then nobody waits for more."""
    for fleet in [*_FLEETS]:
        fleet.close()
