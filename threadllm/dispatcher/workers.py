"""Threads at work: a backlog of tasks, some of them for later, and runners that take from it.

Runners are jobs of a `ThreadPoolExecutor`: it owns the threads, names, initialises and joins
them. A runner lives as long as there is something to take or to wait for, so that an idle
dispatcher holds no thread in here, and the interpreter's exit waits for retries as it waits for
everything else that a pool was given. A task for later holds no thread: a runner that has
nothing else to do waits for it, and takes whatever comes first.
"""

from __future__ import annotations

import heapq
import threading
from collections import deque
from concurrent.futures.thread import BrokenThreadPool
from itertools import count
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Future, ThreadPoolExecutor

    from threadllm.clock import Clock
    from threadllm.dispatcher.crew import Crew
    from threadllm.dispatcher.task import Task


class Workers:
    """Runs tasks on at most `max_workers` threads of a pool."""

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
        self._work = threading.Condition()  # guards all that follows
        self._ready: deque[Task[Any]] = deque()
        self._later: list[tuple[float, int, Task[Any]]] = []  # a heap, by the time it is due
        self._order = count()
        self._runners = 0
        self._idle = 0  # runners that wait
        self._closed = False
        self._drained = False
        self._broken: str | None = None  # why, if the pool's initializer failed

    def add(self, task: Task[Any]) -> None:
        """Take a new task.

        Raises:
            RuntimeError: After `close`, when the pool's initializer has failed (BrokenThreadPool),
                or when no thread can be started.
        """
        with self._work:
            if self._broken is not None:
                raise BrokenThreadPool(self._broken)
            if self._closed:
                raise RuntimeError("cannot schedule new futures after shutdown")
            self._ready.append(task)
            lacking = len(self._ready) > self._idle and self._runners < self._max_workers
            self._runners += lacking
            self._work.notify()
        if lacking:
            self._start_runner(task)

    def close(self) -> None:
        """Take no new task. What was taken is still run, tasks for later included."""
        with self._work:
            self._closed = True
            finished = not self._runners
        if finished:
            self._finished()

    def drain(self) -> list[Task[Any]]:
        """Hand back all tasks that are not being run, and take none back for later."""
        with self._work:
            tasks = [*self._ready, *(task for _, _, task in self._later)]
            self._ready.clear()
            self._later.clear()
            self._drained = True
            self._work.notify_all()
        return tasks

    def _start_runner(self, task: Task[Any]) -> None:
        try:
            runner = self._pool.submit(self._runner)
        except BaseException:
            with self._work:
                self._runners -= 1
                if task in self._ready:
                    self._ready.remove(task)
            raise
        runner.add_done_callback(self._runner_ended)

    def _runner(self) -> None:
        with self._crew.surroundings():
            while (task := self._take()) is not None:
                due = self._crew.run(task)
                if due is not None and not self._put_off(task, due):
                    self._crew.drop(task)
                del task

    def _put_off(self, task: Task[Any], due: float) -> bool:
        with self._work:
            if not self._drained:
                heapq.heappush(self._later, (due, next(self._order), task))
                self._work.notify()
            return not self._drained

    def _take(self) -> Task[Any] | None:
        with self._work:
            while True:
                remaining = self._later[0][0] - self._clock.monotonic() if self._later else None
                if remaining is not None and remaining <= 0:
                    return heapq.heappop(self._later)[2]
                if self._ready:
                    return self._ready.popleft()
                if self._idle >= len(self._later):  # the others are enough to wait for those
                    self._runners -= 1
                    return None
                self._idle += 1
                self._clock.wait(self._work, remaining)
                self._idle -= 1

    def _runner_ended(self, runner: Future[None]) -> None:
        error = runner.exception()
        if error is not None:  # it never ran: the pool's initializer failed
            with self._work:
                self._runners -= 1
                self._broken = str(error)
            for task in self.drain():
                self._crew.fail(task, BrokenThreadPool(self._broken))
        with self._work:
            finished = self._closed and not self._runners
        if finished:
            self._finished()
