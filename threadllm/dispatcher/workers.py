"""Threads at work: a backlog of tasks, some of them for later, and runners that take from it.

Runners are jobs of a `ThreadPoolExecutor`: it owns the threads, names, initialises and joins
them. A runner lives as long as there is something to take or to wait for, so that an idle
dispatcher holds no thread in here, and the interpreter's exit waits for retries as it waits for
everything else that a pool was given. A task for later holds no thread: a runner that has
nothing else to do waits for it, and takes whatever comes first.
"""

from __future__ import annotations

import heapq
import logging
import os
import threading
from collections import deque
from concurrent.futures.thread import BrokenThreadPool
from itertools import count
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from concurrent.futures import Future, ThreadPoolExecutor

    from threadllm.clock import Clock
    from threadllm.dispatcher.crew import Crew
    from threadllm.dispatcher.task import Task

_LOGGER = logging.getLogger("concurrent.futures")  # where a pool says that a callback went wrong


class Workers:
    """Runs tasks on at most `max_workers` threads of a pool.

    Below that many runners there is always one for each task that is not being run.
    """

    def __init__(
        self,
        pool: ThreadPoolExecutor,
        max_workers: int,
        crew: Crew,
        clock: Clock,
        finished: Callable[[], None],
    ) -> None:
        self._pool = pool
        self._max_workers = max_workers
        self._crew = crew
        self._clock = clock
        self._finished = finished  # told, perhaps more than once, when nothing more will come
        self._process: int | None = None  # whose threads these are; each who writes writes the same
        self._work = threading.Condition()  # guards all that follows
        self._ready: deque[Task[Any]] = deque()
        self._later: list[tuple[float, int, Task[Any]]] = []  # a heap, by the time it is due
        self._order = count()
        self._runners: set[object] = set()
        self._idle = 0  # runners that wait
        self._closed = False
        self._drained = False
        self._broken: str | None = None  # why, if the pool's initializer failed

    def add(self, task: Task[Any]) -> None:
        """Take a new task.

        Raises:
            RuntimeError: After `close`, when the pool's initializer has failed (BrokenThreadPool),
                when no thread can be started, or in a fork of the process that has the threads.
        """
        if self._process not in {None, os.getpid()}:
            raise RuntimeError(
                f"this dispatcher's threads are in process {self._process}, of which this one is "
                "a fork: make a dispatcher in the process that uses it"
            )
        with self._work:
            if self._broken is not None:
                raise BrokenThreadPool(self._broken)
            if self._closed:
                raise RuntimeError("cannot schedule new futures after shutdown")
            self._ready.append(task)
            waiting = len(self._ready) + len(self._later)
            runner = object()
            lacking = waiting > self._idle and len(self._runners) < self._max_workers
            if lacking:
                self._runners.add(runner)
            self._work.notify()
        if lacking:
            self._start(runner, task)

    def close(self) -> None:
        """Take no new task. What was taken is still run, tasks for later included."""
        with self._work:
            self._closed = True
            self._hasten(lambda task: task.unwanted)
            finished = not self._runners
        if finished:
            self._finished()

    def drain(self) -> Iterator[Task[Any]]:
        """Hand back, one by one, all tasks that are not being run; take none back for later."""
        with self._work:
            self._drained = True
            self._hasten(lambda _: True)
        while (task := self._pop()) is not None:
            yield task

    def _hasten(self, which: Callable[[Task[Any]], bool]) -> None:
        """Let tasks for later be ready now."""
        self._ready.extend(task for _, _, task in self._later if which(task))
        self._later = [entry for entry in self._later if not which(entry[2])]
        heapq.heapify(self._later)
        self._work.notify_all()

    def _pop(self) -> Task[Any] | None:
        with self._work:
            return self._ready.popleft() if self._ready else None

    def _start(self, runner: object, task: Task[Any]) -> None:
        self._process = os.getpid()
        try:
            job = self._pool.submit(self._run, runner)
        except BaseException:
            with self._work:
                self._runners.discard(runner)  # the pool may have it nonetheless, and start it
                if task in self._ready:
                    self._ready.remove(task)
            raise
        job.add_done_callback(lambda job: self._ended(runner, job))

    def _run(self, runner: object) -> None:
        with self._crew.surroundings():
            while (task := self._take(runner)) is not None:
                try:
                    due = self._crew.run(task)
                    if due is not None and not self._put_off(task, due):
                        self._crew.drop(task)
                except BaseException:
                    # A callback's SystemExit or its like: a future logs no more than Exception.
                    _LOGGER.critical("Exception in worker", exc_info=True)
                del task

    def _put_off(self, task: Task[Any], due: float) -> bool:
        with self._work:
            if not self._drained:
                heapq.heappush(self._later, (due, next(self._order), task))
                self._work.notify()
            return not self._drained

    def _take(self, runner: object) -> Task[Any] | None:
        with self._work:
            while runner in self._runners:
                remaining = self._later[0][0] - self._clock.monotonic() if self._later else None
                if remaining is not None and remaining <= 0:
                    return self._handed_on(heapq.heappop(self._later)[2])
                if self._ready:
                    return self._handed_on(self._ready.popleft())
                if self._idle >= len(self._later):  # the others are enough to wait for those
                    self._runners.discard(runner)
                else:
                    self._idle += 1
                    self._clock.wait(self._work, remaining)
                    self._idle -= 1
            return None

    def _handed_on(self, task: Task[Any]) -> Task[Any]:
        """The task; whoever takes one wakes another, lest what is left be watched by nobody."""
        if self._ready or self._later:
            self._work.notify()
        return task

    def _ended(self, runner: object, job: Future[None]) -> None:
        error = job.exception()
        if error is not None:  # it never ran: the pool's initializer failed
            with self._work:
                self._runners.discard(runner)
                self._broken = str(error)
            for task in self.drain():
                self._crew.fail(task, BrokenThreadPool(self._broken))
        with self._work:
            finished = self._closed and not self._runners
        if finished:
            self._finished()
