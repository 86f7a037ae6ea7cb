"""Threads at work: a backlog of tasks, some of them for later, and runners that take from it.

Runners are jobs of a `ThreadPoolExecutor`: it owns the threads, names and initialises them. A
runner lives as long as there is something to take or to wait for, so that an idle dispatcher holds
no thread in here, and the interpreter's exit waits for retries as for all that a pool was given. A
task for later holds no thread: a runner that has nothing else to do waits for it, and takes
whatever comes first.
"""

from __future__ import annotations

import heapq
import logging
import threading
from collections import deque
from concurrent.futures.thread import BrokenThreadPool
from functools import partial
from itertools import count
from typing import TYPE_CHECKING, Any

from threadllm.dispatcher.threads import Runner

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from concurrent.futures import Future

    from threadllm.clock import Clock
    from threadllm.dispatcher.crew import Crew
    from threadllm.dispatcher.ending import Ending
    from threadllm.dispatcher.task import Task
    from threadllm.dispatcher.threads import Threads

_LOGGER = logging.getLogger("concurrent.futures")  # where a pool says that a callback went wrong


class Workers:
    """Runs tasks on at most `max_workers` threads.

    Below that many runners there is always one for each task that is not being run.
    """

    def __init__(
        self, threads: Threads, max_workers: int, crew: Crew, clock: Clock, ending: Ending
    ) -> None:
        self._threads = threads
        self.is_forked, self.check_process = threads.is_forked, threads.check_process
        self.bound = crew.bound
        self._max_workers = max_workers
        self._crew = crew
        self._clock = clock
        self._ending = ending
        self._lock = threading.RLock()  # guards all that follows
        self._work = threading.Condition(self._lock)
        self._all_left = threading.Condition(self._lock)
        self._ready: deque[Task[Any]] = deque()
        self._later: list[tuple[float, int, Task[Any]]] = []  # a heap, by the time it is due
        self._order = count()
        self._runners: set[Runner] = set()
        self._tellers: set[Runner] = set()  # these take no task
        self._idle = 0  # runners that wait
        self._closed = False
        self._drained = False
        self._broken: str | None = None  # why, if the pool's initializer failed

    def add(self, task: Task[Any], *, if_free: bool = False, here: bool = False) -> bool:
        """Take a new task; or only if there is a thread for it alone, or not. Whether it was taken.

        Raises:
            RuntimeError: After `close`, when the pool's initializer has failed (BrokenThreadPool),
                when no thread can be started, or in a fork of the process that has the threads.
        """
        self.check_process()
        with self._lock:
            if self._broken is not None:
                raise BrokenThreadPool(self._broken)
            if self._closed:
                raise RuntimeError("cannot schedule new futures after shutdown")
            free = self._idle + self._max_workers - len(self._runners)
            if here or (if_free and free <= len(self._ready) + len(self._later)):
                return False
            self._ready.append(task)
            runner = self._lacking()
            if self._idle:
                self._work.notify()
        if runner is not None:
            self._begin(runner, task)
        return True

    def run_here(self, task: Task[Any]) -> None:
        """Run a task to its end in this thread, as often as it takes."""
        runner = Runner(self)
        runner.thread = threading.current_thread()
        with self._crew.surroundings():
            while (due := self._crew.run(task, runner)) is not None:
                self._crew.wait(task, due)

    def _begin(self, runner: Runner, task: Task[Any]) -> None:
        try:
            self._start(runner, self._run)
        except BaseException as error:
            with self._lock:
                is_taken = task not in self._ready  # by a runner that there was already
                if not is_taken:
                    self._ready.remove(task)
            if not (is_taken and isinstance(error, Exception)):
                raise

    def write_off(self, runner: Runner, task: object, tell: Callable[[], None]) -> None:
        """Wait for a thread no more, and have another in its place, unless it has come back.

        Args:
            runner: What had the thread.
            task: What it does not come back from.
            tell: Tells the item's end; run elsewhere, as callbacks may take their time.
        """
        self.tell(tell)
        with self._lock:
            if runner.task is task:
                self._threads.write_off(runner)
                self._runners.discard(runner)
            spare = self._lacking()
        try:
            if spare is not None:
                self._start(spare, self._run, spare=True)
        except RuntimeError as error:  # no thread can be had: let nobody wait for one for ever
            self._give_up(error)
        self._see_whether_all_left()

    def tell(self, tell: Callable[[], None]) -> None:
        """Have something told by a thread that runs no task; where none can be had, by this one."""
        teller = Runner(self, tell)
        with self._lock:
            self._tellers.add(teller)
        try:
            self._start(teller, Runner.speak, spare=True)
        except RuntimeError:
            teller.speak()
            self._see_whether_all_left()

    def close(self) -> None:
        """Take no new task. What was taken is still run, tasks for later included."""
        with self._lock:
            self._closed = True
        self._hasten_unwanted()
        self._see_whether_all_left()

    def drain(self) -> Iterator[Task[Any]]:
        """Hand back, one by one, all tasks that are not being run; take none back for later."""
        with self._lock:
            self._drained = True
        yield from self._taken_away(lambda _: True)

    def unwanted(self) -> Iterator[Task[Any]]:
        """Hand back, one by one, all tasks that are not being run and need not be any more."""
        return self._taken_away(lambda task: task.unwanted)

    def end(self, *, wait: bool) -> None:
        """Let go of the threads, after `close`, once all has been run; perhaps wait for that.

        Raises:
            RuntimeError: This thread is one of those that are waited for.
        """
        self._threads.close()
        if wait:
            self._threads.check_elsewhere()
            with self._lock:
                while self._runners or self._tellers:
                    self._all_left.wait()
            self._threads.join()
            self._ending.join()

    def _lacking(self) -> Runner | None:
        """A further runner, if there is a task for it."""
        waiting = len(self._ready) + len(self._later)
        if waiting <= self._idle or len(self._runners) >= self._max_workers:
            return None
        runner = Runner(self)
        self._runners.add(runner)
        return runner

    def _give_up(self, error: BaseException) -> None:
        """Fail what is left, if nobody is left to run it."""
        with self._lock:
            abandoned = not self._runners
        if abandoned:
            for task in self._taken_away(lambda _: True):
                self._crew.fail(task, error)

    def _taken_away(self, which: Callable[[Task[Any]], bool]) -> Iterator[Task[Any]]:
        """Tasks that are not being run; those that are not asked for any more stay."""
        taken: deque[Task[Any]] = deque()
        with self._lock:
            self._hasten(which)
            ready, self._ready = self._ready, deque()
            for task in ready:
                (taken if which(task) else self._ready).append(task)
        try:
            while taken:
                yield taken.popleft()
        finally:
            with self._lock:
                self._ready.extend(taken)

    def _hasten(self, which: Callable[[Task[Any]], bool]) -> None:
        """Let tasks for later be ready now."""
        self._ready.extend(task for _, _, task in self._later if which(task))
        self._later = [entry for entry in self._later if not which(entry[2])]
        heapq.heapify(self._later)
        self._work.notify_all()

    def _hasten_unwanted(self) -> None:
        """Let tasks that will not be run come to their ends."""
        with self._lock:
            if self._later:
                self._hasten(lambda task: task.unwanted)

    def _start(self, runner: Runner, run: Callable[[Runner], None], *, spare: bool = False) -> None:
        try:
            job = self._threads.start(runner, run, spare=spare)
        except BaseException:
            self._leave(runner)  # the pool may have it nonetheless, and start it
            raise
        job.add_done_callback(partial(self._ended, runner))

    def _run(self, runner: Runner) -> None:
        with self._crew.surroundings():
            while (task := self._take(runner)) is not None:
                try:
                    due = self._crew.run(task, runner)
                    if due is not None and not self._put_off(task, due):
                        self._crew.drop(task)
                    if task.submission.run.is_stopped:
                        self._hasten_unwanted()
                except BaseException:
                    # A callback's SystemExit or its like: a future logs no more than Exception.
                    _LOGGER.critical("Exception in worker", exc_info=True)
                del task

    def _put_off(self, task: Task[Any], due: float) -> bool:
        with self._lock:
            if not self._drained:
                heapq.heappush(self._later, (due, next(self._order), task))
                self._work.notify()
            return not self._drained

    def _take(self, runner: Runner) -> Task[Any] | None:
        with self._lock:
            runner.task = None
            while runner in self._runners:
                remaining = self._later[0][0] - self._clock.monotonic() if self._later else None
                if remaining is not None and remaining <= 0:
                    return self._handed_on(heapq.heappop(self._later)[2], runner)
                if self._ready:
                    return self._handed_on(self._ready.popleft(), runner)
                if self._idle >= len(self._later):  # the others are enough to wait for those
                    self._leave(runner)
                else:
                    self._idle += 1
                    self._clock.wait(self._work, remaining)
                    self._idle -= 1
            return None

    def _handed_on(self, task: Task[Any], runner: Runner) -> Task[Any]:
        """The task, which the runner has from now on.

        Whoever takes one wakes another, lest what is left be watched by nobody.
        """
        runner.task = task
        if self._idle and (self._ready or self._later):
            self._work.notify()
        return task

    def _leave(self, runner: Runner) -> None:
        with self._lock:
            self._runners.discard(runner)
            self._tellers.discard(runner)
            self._threads.leave(runner)
            if not (self._runners or self._tellers):
                self._all_left.notify_all()

    def _ended(self, runner: Runner, job: Future[None]) -> None:
        error = job.exception()
        if error is not None:  # it never ran: the pool's initializer failed
            with self._lock:
                self._broken = str(error)
            for task in self.drain():
                self._crew.fail(task, BrokenThreadPool(self._broken))
            runner.speak()
        self._leave(runner)
        self._see_whether_all_left()

    def _see_whether_all_left(self) -> None:
        with self._lock:
            if self._runners or self._tellers:
                return
            self._all_left.notify_all()
            finished = self._closed
        if finished:
            self._threads.close_spares()
            self._ending.begin()
