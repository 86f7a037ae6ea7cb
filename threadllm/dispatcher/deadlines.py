"""Deadlines of items: when their time begins, and what becomes of those whose time is up.

What a call waits for in the transport or for its turn is broken off, so that it ends by itself,
and says what it was doing. What does anything else cannot be ended: its item is handed over
without it, and its thread is written off. Its slot goes back, though a request that we know
nothing of may still be in flight: else calls that never end would in time hold them all.
"""

from __future__ import annotations

import math
from functools import partial
from typing import TYPE_CHECKING, Any, cast

from threadllm.call import Call, current, seconds_here
from threadllm.dispatcher.task import Submission, has_decimals
from threadllm.exceptions import CallExpired

if TYPE_CHECKING:
    from contextvars import Context

    from threadllm.call import Limit, Run, Terms
    from threadllm.dispatcher.task import Task
    from threadllm.dispatcher.threads import Runner
    from threadllm.dispatcher.watchdog import Watch, Watchdog

_SOON = 0.1  # seconds
# For a call that was broken off as its run was cancelled: somebody wants to be gone.
_LAST_GRACE = 0.2


class Deadlines:
    """The deadlines of one dispatcher's items.

    Args:
        terms: What its calls go by.
        watchdog: Knows when the time of an item is up.
        seconds: What items have where their submitter says nothing; None for as long as they like.
    """

    def __init__(self, terms: Terms, watchdog: Watchdog, seconds: float | None) -> None:
        self._terms = terms
        self._watchdog = watchdog
        self._seconds = seconds
        self._error: type[CallExpired] = CallExpired  # DeadlineExceeded, from the first deadline on

    def submission(self, context: Context, run: Run) -> Submission:
        """What is submitted in a context and for a run, its time not yet running.

        Raises:
            RuntimeError: The system has no thread left, and there would be a deadline.
        """
        seconds = context.get(seconds_here) or self._seconds
        submitter = context.get(current)
        latest = math.inf if submitter is None else self._latest(submitter)
        decimals = has_decimals(context)
        if seconds is None and latest == math.inf:
            return Submission(context, run, decimals, submitter)
        from threadllm.transport import DeadlineExceeded  # here, as it brings requests along

        self._error = DeadlineExceeded
        self._watchdog.start()
        seconds = math.inf if seconds is None else seconds
        return Submission(
            context, run, decimals, submitter, limited=True, seconds=seconds, latest=latest
        )

    def call_for(self, task: Task[Any], runner: Runner) -> Call | None:
        """The next call of an item, whose time runs; None when its deadline has ended it."""
        task.runner = runner
        submission = task.submission
        if not submission.limited:
            return Call(self._terms, run=submission.run, submitter=submission.submitter)
        limit = task.limit
        if limit is None:
            limit = task.limit = submission.limit(self._terms.now())
            call = Call(self._terms, limit, submission.run, submission.submitter)
            task.watch = self._watchdog.watch(limit.moment, partial(self._expire, task), call)
            return call
        call = Call(self._terms, limit, submission.run, submission.submitter)
        return call if self._goes_on(task, call) else None

    def pause(self, task: Task[Any]) -> bool:
        """Let an item wait for its next call; false when its deadline has ended it."""
        return self._goes_on(task, None)

    def release(self, task: Task[Any]) -> bool:
        """Let somebody end an item; false when its deadline has done that, or somebody else."""
        if not task.claim():
            return False
        if task.watch is not None:
            self._watchdog.release(task.watch)
        return True

    def bound(self, task: Task[Any], limit: Limit) -> None:
        """Let an item that is in progress have no longer than that. For one thread at a time."""
        call = cast("Call", task.call)
        call.bound(limit)
        task.limit = call.limit
        if task.watch is not None:
            self._watchdog.call_at(limit.moment, task.watch)
            return
        try:
            task.watch = self._watchdog.watch(limit.moment, partial(self._expire, task), call)
        except RuntimeError:  # no thread is to be had: it ends by itself, or not
            call.expire()
            return
        if task.is_claimed:  # it has ended meanwhile, and may not have seen that it is watched
            self._watchdog.release(task.watch)

    def error_for(self, task: Task[Any]) -> BaseException:
        """The error of an item whose deadline has passed."""
        error = self._error(str(task.limit))
        error.__cause__ = task.last_error
        return error

    def _latest(self, submitter: Call) -> float:
        """When a call that submits must have ended, if that is known by the same clock."""
        same = submitter.terms.sleeper.clock is self._terms.sleeper.clock
        return submitter.limit.moment if same else math.inf

    def _goes_on(self, task: Task[Any], call: Call | None) -> bool:
        return task.watch is None or self._watchdog.resume(task.watch, call)

    def _expire(self, task: Task[Any], watch: Watch) -> float | None:
        """End an item whose time is up; on the watchdog's thread.

        Returns:
            When to be called again.
        """
        call, now = watch.call, self._terms.now()
        if call is not None:
            grace = min(call.expire(), _LAST_GRACE) if call.limit.of_grace else call.expire()
            if not call.under_way:  # it is about to begin or to end, in rooms of ours
                return now + _SOON
            if grace and not task.warned:
                task.warned = True
                return now + grace
        if not self._watchdog.release_from(watch, call):
            return now  # it has ended, or is in another call by now
        if task.claim():
            self._hand_over(task, call)
        return None

    def _hand_over(self, task: Task[Any], call: Call | None) -> None:
        """End an item; whatever its thread does is its own matter from now on."""
        tally, runner, run = self._terms.tally, cast("Runner", task.runner), task.submission.run
        if run.is_cancelled:
            task.undone = True
            error: BaseException = run.error()
        else:
            error = self.error_for(task)
            tally.count("failed")
            run.count(error)
        tell = partial(task.future.set_exception, error)
        if call is None:
            runner.employer.tell(tell)
            return
        if call.end():
            task.add(call)
        tally.count("abandoned")
        runner.employer.write_off(runner, task, tell)
