"""Where runners run: the threads of a pool, and spares in place of those that were written off.

A thread cannot be ended from outside. One whose call has outlived its deadline is written off:
nobody waits for it here, and another does its work. Its own pool would start none, as it has as
many as it may have; so a second pool has the spares.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
from functools import partial
from typing import TYPE_CHECKING, Protocol

from threadllm.forks import check_no_fork_of, is_fork_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Future, ThreadPoolExecutor

    MakePool = Callable[[int, str], ThreadPoolExecutor]

_LOGGER = logging.getLogger("concurrent.futures")  # where a pool says that a callback went wrong


class Employer(Protocol):
    """Who has runners, and does without one whose thread does not come back."""

    def write_off(self, runner: Runner, task: object, tell: Callable[[], None]) -> None:
        """Wait for its thread no more, if it still runs that, and have `tell` called elsewhere."""

    def tell(self, tell: Callable[[], None]) -> None:
        """Have `tell` called by a thread that runs no task."""


class Runner:
    """One job for a thread.

    Args:
        employer: Whose runner it is.
        tell: What it is to tell, if that is all that it is there for.

    Attributes:
        employer: Whose runner it is.
        thread: The thread that it has; None until it runs.
        task: What it runs; None between two.
        tell: What it has not told yet.
    """

    def __init__(self, employer: Employer, tell: Callable[[], None] | None = None) -> None:
        self.employer = employer
        self.thread: threading.Thread | None = None
        self.task: object = None
        self.tell = tell

    def speak(self) -> None:
        """Tell what it is there to tell; only the first time it does."""
        tell, self.tell = self.tell, None
        try:
            if tell is not None:
                tell()
        except BaseException:
            _LOGGER.critical("Exception in worker", exc_info=True)


class Threads:
    """The threads of a dispatcher.

    Args:
        number: How many the pool has at most.
        make_pool: Makes a pool of so many threads with a prefix to their names.
        prefix: To the names of the pool's threads.
    """

    def __init__(self, number: int, make_pool: MakePool, prefix: str) -> None:
        self.pool = make_pool(number, prefix)
        self._number = number
        self._process: int | None = None  # whose they are, once there are any
        self._make_spares = partial(make_pool, sys.maxsize, f"{prefix}-spare")
        self._lock = threading.Lock()  # guards what follows
        self._spares: ThreadPoolExecutor | None = None
        self._occupying: set[Runner] = set()  # threads of the pool, be they written off
        self._written_off: set[Runner] = set()
        self._present: set[threading.Thread] = set()  # all that have run and are not written off

    def start(self, runner: Runner, run: Callable[[Runner], None], *, spare: bool) -> Future[None]:
        """Have `run(runner)` run in a thread; in a spare one if the pool may be closed.

        Raises:
            RuntimeError: No thread can be had.
        """
        self._process = os.getpid()
        with self._lock:
            pool = self.pool
            if spare or len(self._occupying) >= self._number:
                pool = self._spares = self._spares or self._make_spares()
            else:
                self._occupying.add(runner)
        try:
            return pool.submit(self._run, runner, run)
        except BaseException:
            self.leave(runner)
            raise

    def leave(self, runner: Runner) -> None:
        """Let a thread be another's: its runner takes no more, or has ended."""
        with self._lock:
            self._occupying.discard(runner)
            self._written_off.discard(runner)

    def write_off(self, runner: Runner) -> None:
        """Wait no more for a thread."""
        with self._lock:
            self._written_off.add(runner)
            self._present = {thread for thread in self._present if thread is not runner.thread}

    def close(self) -> None:
        """Start nothing in the pool any more; what runs goes on, and spares may still be needed."""
        self.pool.shutdown(wait=False)

    def close_spares(self) -> None:
        """Start nothing at all any more."""
        with self._lock:
            spares = self._spares
        if spares is not None:
            spares.shutdown(wait=False)

    def is_forked(self) -> bool:
        """Whether this is a fork of the process that has the threads, and so has none."""
        return is_fork_of(self._process)

    def check_process(self) -> None:
        """See that the threads are here.

        Raises:
            RuntimeError: They are in the process that this one is a fork of.
        """
        check_no_fork_of(self._process, "threads")

    def check_elsewhere(self) -> None:
        """See that this thread is none of them, as it is to wait for them.

        Raises:
            RuntimeError: It is, in the words of the standard library.
        """
        if threading.current_thread() in self._present:
            raise RuntimeError("cannot join current thread")

    def join(self) -> None:
        """Wait for the threads to end, after all is closed: for all but those written off."""
        with self._lock:
            pools = [] if self._written_off else [self.pool, self._spares]
            present = [*self._present]
        for pool in pools:
            if pool is not None:
                pool.shutdown(wait=True)
        for thread in present:
            thread.join()

    def _run(self, runner: Runner, run: Callable[[Runner], None]) -> None:
        runner.thread = threading.current_thread()
        with self._lock:
            self._present.add(runner.thread)
        run(runner)
