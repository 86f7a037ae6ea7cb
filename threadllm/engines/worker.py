"""A worker: an ordinary dispatcher, at the other end of a link.

It keeps nothing that matters: what it was given and has not answered for is given to another, if
it dies.
"""

from __future__ import annotations

import sys
import threading
import traceback
from collections import OrderedDict
from contextlib import nullcontext
from dataclasses import asdict, fields
from functools import partial
from importlib import import_module
from operator import attrgetter
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar, cast

from threadllm.call import deadline
from threadllm.dispatcher import Dispatcher
from threadllm.dispatcher.job import Job
from threadllm.engines.failures import failure_of
from threadllm.engines.travel import pack, unpack
from threadllm.engines.wire import Envelope, Report
from threadllm.exceptions import OptionError, RunStopped
from threadllm.outcome import RequestRecord
from threadllm.quota import LeasedQuota
from threadllm.redaction import redact

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from concurrent.futures import Future

    from threadllm.call import Run
    from threadllm.dispatcher.task import Task
    from threadllm.engines.wire import Order, Parcel, Stop
    from threadllm.quota import Settings

K = TypeVar("K")

_DRIVERS = {"ok", "failed", "remembered"}  # figures that the driver counts
_PARTS = attrgetter(*(field.name for field in fields(RequestRecord)))
# What is remembered: more functions than the driver counts on, more runs than go on at a time.
_FUNCTIONS, _RUNS = 128, 1_000


class Spec(NamedTuple):
    """What a worker is made of.

    Attributes:
        init: "module:function", called before all else; None for nothing.
        max_workers: Its threads.
        options: Of its dispatcher, packed.
        quotas: What its quotas are to be; "" names that of the dispatcher.
        number: How many workers share them.
        leases: Whether it is lent what they allow.
    """

    init: str | None
    max_workers: int
    options: bytes
    quotas: Mapping[str, Settings]
    number: int = 1
    leases: bool = True


class Worker:
    """A dispatcher that is told what to do by orders.

    `exchange` is for one thread; `nudge` for any.

    Raises:
        Exception: What `init` raises, or options that do not load here.
    """

    def __init__(self, spec: Spec) -> None:
        if spec.init is not None:
            named(spec.init)()
        self._news = threading.Condition()  # its lock guards the next two
        self._ended: list[tuple[int, Task[Any] | BaseException]] = []
        self._nudged = threading.Event()
        quotas = {
            name: LeasedQuota(one, self.nudge, number=spec.number, lent=spec.leases)
            for name, one in spec.quotas.items()
        }
        self._quotas = quotas
        others = {name: quota for name, quota in quotas.items() if name}
        self._pool = _Pool(
            spec.max_workers, quota=quotas[""], quotas=others, **unpack(spec.options)
        )
        # For whoever exchanges:
        self._functions: OrderedDict[int, Callable[..., Any]] = OrderedDict()
        self._runs: OrderedDict[int, Run] = OrderedDict()
        self._tasks: dict[int, Task[Any]] = {}
        self._told: Mapping[str, float] = {}

    def exchange(self, order: Order, gather: float = 0.0) -> Report:
        """Take new items on, and say what has ended: once something has, or the wait is over.

        Args:
            order: What there is to do.
            gather: Seconds to let more end, where something has.
        """
        self._hear_of_quotas(order)
        for stop in order.stops:
            self._stop(stop)
        for number in order.recalls:
            self._give_back(number)
        for parcel in order.parcels:
            self._begin(parcel, order.functions)
        with self._news:
            if not (self._ended or self._nudged.is_set()):
                self._news.wait(order.wait)
        if gather:
            self._nudged.wait(gather)
        with self._news:
            ended, self._ended = self._ended, []
            self._nudged.clear()
        envelopes = [self._envelope(number, what) for number, what in ended]
        for number, _ in ended:
            self._tasks.pop(number, None)
        quotas = self._quotas.items()
        return Report(
            envelopes,
            self._figures(),
            {name: wanted for name, quota in quotas if (wanted := quota.wanted())},
            {name: unused for name, quota in quotas if (unused := quota.unused())},
            {name: new for name, quota in quotas if (new := quota.pauses())},
            {name: (quota.slots.in_use, quota.slots.waiting) for name, quota in quotas},
        )

    def nudge(self) -> None:
        """Have an exchange end."""
        with self._news:
            self._nudged.set()
            self._news.notify()

    def close(self) -> None:
        """End, as nobody waits for anything: what was given back may wait for a slot still."""
        self._pool.shutdown(cancel_futures=True)

    def finish(self) -> None:
        """End, once all that was begun has."""
        self._pool.shutdown()

    def abandon(self) -> None:
        """Break off all that was begun: nobody is there any more who wants it."""
        self._pool.cancel(grace=0.0)

    def _hear_of_quotas(self, order: Order) -> None:
        for name, number in order.slots.items():
            self._quotas[name].slots.allow(number)
        for name, lent in order.lent.items():
            self._quotas[name].lend(lent)
        for told in order.pauses:
            for name, pauses in told.items():
                self._quotas[name].pause(pauses)

    def _begin(self, parcel: Parcel, functions: Mapping[int, bytes]) -> None:
        try:
            fn = _remembered(
                self._functions, parcel.fn, lambda: unpack(functions[parcel.fn]), _FUNCTIONS
            )
            args, kwargs, how = unpack(parcel.call)
            within = nullcontext() if parcel.seconds is None else deadline(parcel.seconds)
            run = _remembered(self._runs, parcel.run, self._pool.begin_run, _RUNS)
            with within:
                task = self._pool.begin(run, Job(fn, args, kwargs, how))
        except BaseException as error:  # it does not load here, or no thread can be had
            self._end(parcel.number, error)
        else:
            self._tasks[parcel.number] = task
            task.future.add_done_callback(partial(self._task_ended, parcel.number, task))

    def _give_back(self, number: int) -> None:
        task = self._tasks.get(number)
        if task is not None:
            task.future.cancel()

    def _stop(self, stop: Stop) -> None:
        run = self._runs.get(stop.run)
        if run is not None:
            self._pool.stop(run, stop.grace)

    def _task_ended(self, number: int, task: Task[Any], _: Future[Any]) -> None:
        self._end(number, task)

    def _end(self, number: int, what: Task[Any] | BaseException) -> None:
        with self._news:
            self._ended.append((number, what))
            self._news.notify()

    def _envelope(self, number: int, what: Task[Any] | BaseException) -> Envelope:
        if isinstance(what, BaseException):
            return Envelope(number, None, failure_of(what))
        if what.undone or what.future.cancelled():
            return Envelope(number, None, None, undone=True)
        outcome = what.outcome(0, None, None)
        error, value = outcome.error, None
        if error is None:
            try:
                value = pack(outcome.value)
            except TypeError as untold:
                error = TypeError(f"what the function returned cannot be sent: {untold}")
        return Envelope(
            number,
            value,
            None if error is None else failure_of(error),
            advice=_advice(what) if what.stopped_run else None,
            retries=outcome.attempts - 1,
            elapsed=outcome.elapsed,
            usage=(outcome.usage.input_tokens, outcome.usage.output_tokens),
            requests=[*map(_PARTS, outcome.requests)],
        )

    def _figures(self) -> Mapping[str, float]:
        """What has changed since."""
        before, self._told = self._told, asdict(self._pool.totals)
        changes = {name: now - before.get(name, 0) for name, now in self._told.items()}
        return {name: by for name, by in changes.items() if by and name not in _DRIVERS}


class _Pool(Dispatcher):
    """A dispatcher of whose items more is known than their futures say."""

    def begin_run(self) -> Run:
        """What items are part of that may be stopped together."""
        return self._staff.submitter.begin()

    def begin(self, run: Run, job: Job[Any]) -> Task[Any]:
        """Take an item on."""
        return self._staff.submitter.submit_to(run, job)

    def stop(self, run: Run, grace: float | None) -> None:
        """Begin no more of a run, and let what is in flight take so many seconds, or its time."""
        if grace is None:
            run.stop(lambda done: RunStopped("the run was stopped elsewhere", done=done))
            self._terms.look_again()
        else:
            self._staff.cancelling.cancel(run, grace)


def _remembered(known: OrderedDict[int, K], number: int, make: Callable[[], K], most: int) -> K:
    """What goes by a number, made where it is new; what was not asked for the longest goes."""
    if number not in known:
        known[number] = make()
        if len(known) > most:
            known.popitem(last=False)
    known.move_to_end(number)
    return known[number]


def _advice(task: Task[Any]) -> str:
    """What to do about the error of an item that has stopped its run."""
    return cast("RunStopped", task.submission.run.error()).advice


def problem_with(error: BaseException) -> str:
    """What is told of a worker that cannot be had; it is printed where it came up, too."""
    sys.stderr.write(redact("".join(traceback.format_exception(error))))
    return redact(f"{type(error).__name__}: {error}")


def named(name: str) -> Callable[[], object]:
    """The function "module:function".

    Raises:
        OptionError: It is no such name, or there is none by it.
    """
    module, _, path = name.partition(":")
    try:
        return cast("Callable[[], object]", attrgetter(path)(import_module(module)))
    except (ImportError, AttributeError, ValueError) as error:
        raise OptionError(
            f"init={name!r}: {error}. Give a function that can be imported, as module:function"
        ) from error
