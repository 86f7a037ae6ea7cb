"""An item on its way: the function to call, the future that waits for it, what it took so far."""

from __future__ import annotations

import math
import sys
from concurrent.futures import CancelledError, Future
from functools import partial
from typing import TYPE_CHECKING, Generic, NamedTuple, TypeVar

from threadllm.call import Limit, current
from threadllm.dispatcher.options import checked_need
from threadllm.outcome import Outcome, RequestRecord, Usage
from threadllm.retry import Attempts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from contextvars import Context

    from threadllm.call import Call, Run, Terms
    from threadllm.dispatcher.job import Job
    from threadllm.dispatcher.threads import Runner
    from threadllm.dispatcher.watchdog import Watch
    from threadllm.quota import Need

T = TypeVar("T")
R = TypeVar("R")


class Submission(NamedTuple):
    """Where an item comes from, and the time that it was given there.

    Attributes:
        context: Of whoever submitted it, to be copied only.
        run: What it is part of.
        decimals: Whether it has a decimal context: one object, which its copies share.
        submitter: The call in which it was submitted.
        limited: Whether it has a deadline.
        seconds: What it has from when it is first taken up.
        latest: The monotonic moment by which the call that submitted it must have ended.
    """

    context: Context
    run: Run
    decimals: bool
    submitter: Call | None = None
    limited: bool = False
    seconds: float = math.inf
    latest: float = math.inf

    def limit(self, now: float) -> Limit:
        """The item's deadline, if it is first taken up now."""
        moment = min(now + self.seconds, self.latest)
        return Limit(moment, moment - now)


class Task(Generic[R]):
    """One item from its submission to its end. Between the two one thread at a time has it.

    Only its deadline, or that of a run that was cancelled, may end it over that thread's head: see
    `Deadlines`. Whoever claims it ends it, and nobody else.
    """

    last_error: BaseException | None = None  # of the last call, if it is to be repeated
    waits = False  # for its next call
    limit: Limit | None = None  # until it is taken up
    watch: Watch | None = None
    runner: Runner | None = None  # that has it, or had it last
    call: Call | None = None  # in progress
    stopped_run = False  # whether its error did
    undone = False  # whether its run was stopped before it came to an end
    warned = False  # whether the deadline has broken off what its call was waiting for
    _abandoned = False
    _started = False
    _value: R | None = None
    _has_value = False
    _usage = Usage()
    _elapsed = 0.0
    _retries = 0

    def __init__(
        self,
        job: Job[R],
        terms: Terms,
        submission: Submission,
        estimate: Callable[[], object] | None = None,
    ) -> None:
        self.future: Future[R] = Future()
        self.attempts = Attempts(terms.retry)
        self.submission = submission
        self.job = job
        self._unclaimed = [True]  # no lock: to pop is atomic
        self._estimate = estimate
        self._need: Need | None = None
        self._records: list[RequestRecord] = []

    def prepare(self, call: Call) -> Callable[[], R]:
        """The function as that call, in a copy of its submitter's context."""
        context, job = self.submission.context.copy(), self.job
        if self.submission.decimals:
            context.run(_have_decimals_of_ones_own)
        return partial(context.run, _run_as, call, job)

    def need(self) -> Need | None:
        """What its requests will take, as far as the user says, who is asked once.

        Raises:
            OptionError: That is no number of tokens.
            BaseException: Whatever the user's estimate raises.
        """
        if self._estimate is not None:
            estimate, self._estimate = self._estimate, None
            self._need = checked_need(self.submission.context.copy().run(estimate))
        return self._need

    def add(self, call: Call) -> None:
        """Add what a call that has ended took."""
        self.took(call.records, call.usage, call.elapsed, call.retries)

    def took(
        self, records: Iterable[RequestRecord], usage: Usage, elapsed: float, retries: int
    ) -> None:
        """Add exchanges, tokens, seconds, and tries that are charged to the item."""
        self._records += records
        self._usage += usage
        self._elapsed += elapsed
        self._retries += retries

    def succeed(self, value: R) -> None:
        """End the item with its value."""
        self._value, self._has_value = value, True
        self.future.set_result(value)

    def outcome(self, index: int, key: object, item: T) -> Outcome[T, R]:
        """What became of the item, once its future is done."""
        value, error = self._value, None
        if not self._has_value:
            error = self._error()
        return Outcome(
            index=index,
            key=key,
            item=item,
            value=value,
            error=error,
            attempts=1 + self._retries + self.attempts.retries,
            elapsed=self._elapsed,
            usage=self._usage,
            requests=tuple(self._records),
        )

    def _error(self) -> BaseException | None:
        try:
            return self.future.exception()
        except CancelledError as cancelled:
            return cancelled

    @property
    def unwanted(self) -> bool:
        """Whether no further call is to begin: it was cancelled, stopped, or its reader left."""
        return self._abandoned or self.future.cancelled() or self.submission.run.is_stopped

    def take_up(self, call: Call) -> bool:
        """Let a call of it be in progress, unless its run is stopped; whether it is not."""
        self.call = call
        return self.submission.run.take_up(self)

    def put_down(self) -> None:
        """Let no call of it be in progress."""
        self.submission.run.put_down(self)

    @property
    def is_claimed(self) -> bool:
        """Whether somebody ends it, or has."""
        return not self._unclaimed

    def claim(self) -> bool:
        """Whether the caller is the one to end the item."""
        try:
            return self._unclaimed.pop()
        except IndexError:
            return False

    @property
    def has_started(self) -> bool:
        """Whether it cannot be cancelled any more."""
        return self._started

    def start(self) -> bool:
        """Whether the item is still wanted; from here on it cannot be cancelled."""
        self._started = self._started or self.future.set_running_or_notify_cancel()
        return self._started

    def cancel(self) -> None:
        """Cancel an item that no call has begun, and tell those who wait for several."""
        self.future.cancel()
        self.future.set_running_or_notify_cancel()

    def abandon(self) -> None:
        """Let nobody wait for the item any longer: begin no call of it, try none again."""
        self._abandoned = True
        self.future.cancel()


def _run_as(call: Call, run: Callable[[], R]) -> R:
    current.set(call)
    del call  # an error would keep it, and it may keep the error
    return run()


def has_decimals(context: Context) -> bool:
    """Whether a context has a decimal context: if so, to ask for one makes none."""
    decimal = sys.modules.get("decimal")  # not imported for this
    if decimal is None:
        return False
    probe = context.copy()
    probe.run(decimal.getcontext)
    return len(probe) == len(context)


def _have_decimals_of_ones_own() -> None:
    import decimal  # here, as most do without

    decimal.setcontext(decimal.getcontext().copy())
