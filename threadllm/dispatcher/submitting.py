"""From a function and what it is called with to tasks: one by one, or pulled from an input."""

from __future__ import annotations

import threading
from contextvars import copy_context
from typing import TYPE_CHECKING, ParamSpec, TypeVar
from weakref import WeakSet

from threadllm.call import Run
from threadllm.dispatcher.feed import Feed, Submitted
from threadllm.dispatcher.inline import is_inline
from threadllm.dispatcher.job import Job, binder
from threadllm.dispatcher.keeping import Keeping
from threadllm.dispatcher.task import Task
from threadllm.exceptions import OptionError
from threadllm.journal import bound_by, job_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from threadllm.call import Allowance, Terms
    from threadllm.dispatcher.deadlines import Deadlines
    from threadllm.dispatcher.hiring import Workforce
    from threadllm.dispatcher.options import Unpack
    from threadllm.dispatcher.task import Submission
    from threadllm.journal import Journal

P = ParamSpec("P")
T = TypeVar("T")
R = TypeVar("R")

_DEEPEST = 16  # calls within calls in one thread; each takes some twenty frames of its stack


class Submitter:
    """Makes the tasks of one dispatcher, and hands them to its workers.

    Args:
        terms: What calls go by.
        deadlines: Those of items.
        workers: Who runs them.
        estimate: What the user says of tokens; called as the function is.

    Raises:
        OptionError: An estimate that cannot be called.
    """

    def __init__(
        self,
        terms: Terms,
        deadlines: Deadlines,
        workers: Workforce,
        estimate: Callable[..., object] | None,
    ) -> None:
        if not (estimate is None or callable(estimate)):
            raise OptionError(f"estimate={estimate!r}: give a function, called as yours is")
        self._terms = terms
        self._deadlines = deadlines
        self._workers = workers
        self._estimate = estimate
        # Of what is submitted singly, until it is stopped. No lock: two may begin a new one at a
        # time, of which one then goes on by itself.
        self._run = Run()
        self._runs: WeakSet[Run] = WeakSet([self._run])  # guarded by _lock
        self._lock = threading.Lock()

    @property
    def runs(self) -> list[Run]:
        """All of which something may be left."""
        with self._lock:
            return [*self._runs]

    def submit(self, fn: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> Task[R]:
        """One call.

        Raises:
            RuntimeError: After shutdown, or no thread can be had.
        """
        if self._run.is_stopped:
            self._run = self.begin()
        return self.submit_to(self._run, Job(fn, args, kwargs))

    def submit_to(self, run: Run, job: Job[R]) -> Task[R]:
        """One call, as part of a run.

        Raises:
            RuntimeError: As for `submit`.
        """
        submission = self._deadlines.submission(copy_context(), run)
        estimate = self._estimate
        need = None if estimate is None else Job(estimate, job.args, job.kwargs, job.unpack)
        return self._add(job, submission, need)

    def feed(
        self,
        fn: Callable[..., R],
        items: Iterable[T],
        unpack: Unpack | None,
        window: int,
        key: Callable[[T], object] | None = None,
        allowance: Allowance | None = None,
        journal: Journal | None = None,
    ) -> Feed[T, R]:
        """A run of calls, which are submitted as the feed is pulled.

        Raises:
            OptionError: An unpacking that there is not.
            RuntimeError: The system has no thread left, and there would be a deadline.
        """
        bind = binder(fn, unpack)
        bind_estimate = None if self._estimate is None else binder(self._estimate, unpack)
        run = self.begin(allowance)
        submission = self._deadlines.submission(copy_context(), run)
        here = is_inline()  # then it is so to its end, whenever it is read

        def add(item: T) -> Task[R]:
            need = None if bind_estimate is None else bind_estimate(item)
            return self._add(bind(item), submission, need, here=here)

        def start(index: int, item: T) -> Submitted[T, R]:
            return Submitted(index, index if key is None else key(item), item, add(item))

        check_process = self._workers.check_process
        if journal is None:
            return Feed(items, start, window, run, check_process)
        opened = journal.open(job_of(fn), bound_by(fn))
        keeping = Keeping(opened, add, key, run, self._terms)
        return Feed(items, keeping.start, window, run, check_process, keeping.end)

    def begin(self, allowance: Allowance | None = None) -> Run:
        """A run, which `runs` has as long as something is left of it."""
        run = Run(allowance)
        with self._lock:
            self._runs.add(run)
        return run

    def _add(
        self,
        job: Job[R],
        submission: Submission,
        need: Callable[[], object] | None,
        *,
        here: bool = False,
    ) -> Task[R]:
        task, here = Task(job, self._terms, submission, need), here or is_inline()
        if submission.submitter is None:
            if not self._workers.add(task, here=here):
                self._run_here(task, 0)
            return task
        within = [*submission.submitter.lineage]
        for call in within:
            if call.terms.quota is self._terms.quota:
                call.return_slot_in_hand()  # the task may need it, and the call wait for that
        is_nested = any(call.terms is self._terms for call in within)
        if not self._workers.add(task, if_free=is_nested, here=here):
            self._run_here(task, len(within))
        return task

    def _run_here(self, task: Task[R], depth: int) -> None:
        """Run a task in this thread: no other is to be had for it, or it is to be run here.

        Raises:
            RuntimeError: Calls have submitted calls, and those others, to no end.
        """
        if depth > _DEEPEST:
            raise RuntimeError(
                f"calls that wait for calls, more than {_DEEPEST} deep, and no thread is free: "
                "allow more threads, or call the function itself"
            )
        self._workers.run_here(task)
