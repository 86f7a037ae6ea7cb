"""What a worker does with a task: when its call begins, whether it is tried again, how it ends.

An error holds the frames it passed, and a frame its locals. So that a task that failed is gone
when its reader lets go of it, and not when the collector comes by, the frames under a call hold
neither the task nor the call when they are left.
"""

from __future__ import annotations

import math
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any, TypeVar

from threadllm.exceptions import CallCancelled, CallExpired, RunStopped
from threadllm.providers import Verdict, seconds_to_wait
from threadllm.quota import Refusal
from threadllm.redaction import text_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from threadllm.call import Call, Limit, Run, Terms
    from threadllm.dispatcher.deadlines import Deadlines
    from threadllm.dispatcher.task import Task
    from threadllm.dispatcher.threads import Runner
    from threadllm.providers import Reply

T = TypeVar("T")

_GO_ON = "on_stop='continue' runs it all the same"


class Crew:
    """Runs tasks as calls, by the terms of one dispatcher."""

    def __init__(self, terms: Terms, deadlines: Deadlines) -> None:
        self._terms = terms
        self._deadlines = deadlines
        self._surroundings: Callable[[], AbstractContextManager[None]] = nullcontext
        if terms.patched:
            from threadllm.transport import patched  # here, as it brings requests along

            self._surroundings = patched

    def surroundings(self) -> AbstractContextManager[None]:
        """What is in place while a thread runs tasks."""
        return self._surroundings()

    def run(self, task: Task[Any], runner: Runner) -> float | None:
        """Run a task once.

        Returns:
            The monotonic time at which it is to be run again; None when it has ended.
        """
        self._no_longer_waits(task)
        call = self._call_for(task, runner)
        try:
            if call is None or not self._begin(task, call):
                return None
            return self._execute(task, call)
        finally:
            del task, call

    def wait(self, task: Task[Any], due: float) -> None:
        """Wait in this thread until a task is to be run again, or need not be."""
        self._terms.sleeper.sleep_until(lambda: -math.inf if task.unwanted else due)

    def hand_on(self, task: Task[Any]) -> bool:
        """Whether a task is wanted: then somebody else runs it; if not, it has ended."""
        if not task.unwanted and task.submission.run.take_up(task):
            if task.start():
                return True
            task.put_down()  # somebody has cancelled it
            self._deadlines.release(task)
            return False
        self.drop(task)
        return False

    def bound(self, task: Task[Any], limit: Limit) -> None:
        """Let a task whose call is in progress have no longer than that."""
        self._deadlines.bound(task, limit)

    def drop(self, task: Task[Any]) -> None:
        """End a task that will not be run: with the error it was put off for, or cancelled."""
        self._no_longer_waits(task)
        if task.submission.run.is_stopped:
            self.leave_undone(task)
        elif task.last_error is not None:
            self.fail(task, task.last_error)
        else:
            self._deadlines.release(task)
            task.cancel()

    def succeed(self, task: Task[T], value: T) -> None:
        """End a task with its value, unless its deadline has ended it."""
        if self._deadlines.release(task):
            self._terms.tally.count("ok")
            task.submission.run.count()
            task.succeed(value)

    def fail(self, task: Task[Any], error: BaseException) -> None:
        """End a task with an error, unless it has been cancelled, or its deadline has ended it."""
        if self._deadlines.release(task) and task.start():
            self._terms.tally.count("failed")
            if task.submission.run.count(error):
                self._terms.look_again()
            task.future.set_exception(error)

    def _call_for(self, task: Task[Any], runner: Runner) -> Call | None:
        """Its next call; None if it has ended."""
        try:
            return self._deadlines.call_for(task, runner)
        except RuntimeError as error:  # no thread can be had that would watch it
            self.fail(task, error.with_traceback(None))  # its frames hold the runner, and so on
            return None

    def _begin(self, task: Task[Any], call: Call) -> bool:
        """Whether the call has begun; if not, the task has ended."""
        try:
            if not task.unwanted:
                if not self._estimate(task, call):
                    return False
                call.begin()
                is_taken = task.take_up(call)
                if is_taken and task.start():
                    return True
                call.end()
                if is_taken:  # somebody has cancelled it
                    task.put_down()
                    self._deadlines.release(task)
                    return False
        except CallExpired:
            self.fail(task, self._deadlines.error_for(task))
            return False
        except CallCancelled:
            pass
        self.drop(task)
        return False

    def _estimate(self, task: Task[Any], call: Call) -> bool:
        """Whether what the user says of tokens could be had; if not, the task has ended."""
        try:
            call.need = task.need()
        except BaseException as error:  # as what the function itself raises, it is the item's
            self.fail(task, error)
            return False
        return True

    def _execute(self, task: Task[Any], call: Call) -> float | None:
        value, error, failure = None, None, None
        try:
            call.under_way = True
            try:
                value = task.prepare(call)()
            except BaseException as raised:
                error = raised  # whatever it is, it is the item's: the thread lives on
            call.went_well = error is None
            if call.end():
                task.add(call)
            failure = call.failure
            if error is None and failure is not None and not self._terms.trusted:
                error = failure.error  # the function swallowed it
            if error is None:
                self.succeed(task, value)
                return None
            due = None if failure is not None and failure.owned else self._due(task, call, error)
            if due is None:
                self._fail_or_stop(task, call, error)
                return None
            return due if self._put_off(task, error) else None
        finally:
            task.put_down()
            del task, call, error, failure

    def _fail_or_stop(self, task: Task[Any], call: Call, error: BaseException) -> None:
        """End a task with an error, and its run if no other item would fare better."""
        run, failure = task.submission.run, call.failure
        if self._is_cut_short(run, call, error):
            self.leave_undone(task)
            return
        if self._terms.stops:
            # The transport's says more: it quotes the provider.
            errors = (None if failure is None else failure.error, error)
            task.stopped_run = any(one is not None and self._stop(run, one) for one in errors)
            del errors
        self.fail(task, error)
        if task.stopped_run:
            self._terms.look_again()

    def _stop(self, run: Run, error: BaseException) -> bool:
        """Stop a run, if an error asks for it; whether it was going on."""
        policy, wall = self._terms.retry, self._terms.sleeper.clock.time()
        verdict, advised = self._read(error, lambda reply: policy.advice(reply, wall))
        if verdict is not Verdict.STOP or advised is None:
            return False
        return self.stop(run, error, advised)

    def stop(self, run: Run, error: BaseException, advice: str) -> bool:
        """Stop a run, as no further item would fare better; whether it was going on."""

        def stopped(done: str) -> RunStopped:
            stopped = RunStopped(text_of(error), advice, f"{done} {_GO_ON}")
            stopped.__cause__ = error
            return stopped

        return run.stop(stopped)

    def _is_cut_short(self, run: Run, call: Call, error: BaseException) -> bool:
        """Whether a call would have gone on, or been repeated, had its run not been stopped."""
        if not run.is_stopped or call.gave_up:
            return run.is_stopped
        mends = call.expired or (
            self._may_mend(error) and self._read(error, bool)[0] in {Verdict.RETRY, Verdict.PACE}
        )
        return run.is_cancelled and mends

    def _read(
        self, error: BaseException, what: Callable[[Reply], T | None]
    ) -> tuple[Verdict, T | None]:
        """The verdict on an error, and something that the answer it carries says."""
        try:
            wall = self._terms.sleeper.clock.time()
            verdict, reply = self._terms.retry.verdict_on_error(error, wall)
            return verdict, None if reply is None else what(reply)
        except BaseException:
            return Verdict.FAIL, None  # an error whose own attributes raise has said nothing

    def leave_undone(self, task: Task[Any]) -> None:
        """End a task whose run was stopped: neither ok nor failed."""
        if self._deadlines.release(task):  # else its deadline has failed it
            task.undone = True
            run = task.submission.run
            if run.is_cancelled and not task.has_started:
                task.cancel()
            elif task.start():
                task.future.set_exception(run.error())

    def _due(self, task: Task[Any], call: Call, error: BaseException) -> float | None:
        """When to run the call again, for an error that the transport does not own."""
        terms = self._terms
        if terms.stopped or task.unwanted or call.expired or not self._may_mend(error):
            return None
        verdict, asked = self._read(
            error, lambda reply: seconds_to_wait(reply, now=terms.sleeper.clock.time())
        )
        asked, now = terms.retry.heeded(asked), terms.now()
        wait = task.attempts.next_wait(verdict, asked, now)
        if verdict is Verdict.PACE:
            terms.tally.count("throttled")
        if wait is None:
            return None
        if verdict is Verdict.PACE:  # of what origin is not known: all calls wait before they begin
            call.refuse(Refusal(asked, terms.retry.pause))
        else:
            terms.tally.count("retries")
        # A wait that is too long lasts to the deadline: see `Call.park`.
        return now + wait if task.limit is None else min(now + wait, task.limit.moment)

    def _put_off(self, task: Task[Any], error: BaseException) -> bool:
        """Let a task wait for its next call, unless its deadline has ended it."""
        task.last_error = error
        task.waits = True
        self._terms.tally.count("retrying")
        if not self._deadlines.pause(task):
            self._no_longer_waits(task)
            return False
        return True

    def _no_longer_waits(self, task: Task[Any]) -> None:
        if task.waits:
            task.waits = False
            self._terms.tally.count("retrying", -1)

    def _may_mend(self, error: BaseException) -> bool:
        """Whether another call could end otherwise: never after what ends a program or a run.

        The error of a deadline is that of another dispatcher, whose item it ended.
        """
        if isinstance(error, CallExpired):
            return isinstance(error, self._terms.retry.exceptions)
        return isinstance(error, Exception) and not isinstance(error, CallCancelled)
