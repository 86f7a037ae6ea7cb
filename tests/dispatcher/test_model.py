"""The dispatcher against a simple model of it: whatever is done to it, in whatever order."""

import threading
from collections import Counter
from concurrent.futures import CancelledError
from queue import SimpleQueue

import hypothesis
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from tests.dispatcher.support import PATIENCE, BusyError, Gauge
from tests.support import until
from threadllm import Dispatcher, Quota, Retry, RunStopped
from threadllm.quota import forget

ATTEMPTS = 3
WAITS = [10.0, 20.0]  # seconds before the second try, and before the third
GRACE = 5.0
ENDED = {"ok", "failed", "cancelled", "undone"}


class RestlessClock:
    """A clock of the test's, on which every wait ends early, for no reason."""

    def __init__(self):
        self.now = 1000.0

    def monotonic(self):
        return self.now

    time = monotonic

    def wait(self, condition, timeout):
        condition.wait(timeout if timeout is None else 0.001)


class Item:
    """One that was submitted, as the model has it, and what its call is told to do.

    It is waiting, running, parked (until it is due), or has ended.
    """

    def __init__(self, gauge):
        self.state = "waiting"
        self.tries = 0  # those that are charged
        self.due = 0.0
        self.limit = None  # for what is in flight when its run is cancelled
        self.future = None
        self.in_call = False
        self._gauge = gauge
        self._orders = SimpleQueue()

    def call(self):
        """What the pool runs."""
        with self._gauge:
            self.in_call = True
            try:
                error = self._orders.get(timeout=PATIENCE)
                if error is not None:
                    raise error
            finally:
                self.in_call = False
        return self

    def answer(self, error=None):
        """Let the call come to its end."""
        self._orders.put(error)
        until(lambda: not self.in_call)

    @property
    def fate(self):
        """What its future says."""
        if not self.future.done():
            return None
        try:
            error = self.future.exception()
        except CancelledError:
            return "cancelled"
        if error is None:
            return "ok"
        return "undone" if isinstance(error, RunStopped) else "failed"


class Model(RuleBasedStateMachine):
    """Each rule does to the pool what it does to the model, and waits until both agree."""

    @initialize(workers=st.integers(1, 3))
    def begin(self, workers):
        forget()
        self.before = {*threading.enumerate()}
        self.workers, self.clock, self.gauge = workers, RestlessClock(), Gauge()
        self.items, self.abandoned = [], 0
        self.opens = 0.0  # when those that a 429 holds up may begin
        self.is_closed = self.is_drained = self.is_cancelled = False
        self.pool = Dispatcher(
            workers,
            quota=Quota(workers, adaptive=False),
            retry=Retry(attempts=ATTEMPTS, wait_initial=WAITS[0], jitter="none"),
            grace=GRACE,
            clock=self.clock,
        )

    @rule(number=st.integers(1, 4))
    def submit(self, number):
        for _ in range(number):
            item = Item(self.gauge)
            try:
                item.future = self.pool.submit(item.call)
            except RuntimeError:
                assert self.is_closed
            else:
                assert not self.is_closed
                self.items.append(item)

    @precondition(lambda self: self.items)
    @rule(data=st.data())
    def cancel_one(self, data):
        item = data.draw(st.sampled_from(self.items))
        can_be = item.state == "cancelled" or (item.state == "waiting" and not item.tries)
        assert item.future.cancel() is can_be
        if can_be:
            item.state = "cancelled"

    @precondition(lambda self: self.running())
    @rule(data=st.data())
    def succeed(self, data):
        self.answered(data).state = "ok"

    @precondition(lambda self: self.running())
    @rule(data=st.data())
    def fail(self, data):
        self.answered(data, ValueError("no")).state = "failed"

    @precondition(lambda self: self.running())
    @rule(data=st.data())
    def fail_for_now(self, data):
        item = self.answered(data, BusyError())
        if self.is_cancelled:
            item.state = "undone"
        elif item.tries == ATTEMPTS or self.is_drained:
            item.state = "failed"
        else:
            item.state, item.due = "parked", self.clock.now + WAITS[item.tries - 1]

    @precondition(lambda self: self.running())
    @rule(data=st.data(), seconds=st.sampled_from([1.0, 15.0]))
    def refuse(self, data, seconds):
        item = self.answered(data, BusyError(429, after=seconds))
        if self.is_cancelled:
            item.state = "undone"
        elif self.is_drained:
            item.state = "failed"
        else:
            item.state, item.due = "parked", self.clock.now + seconds
            item.tries -= 1  # it is charged to nobody
            self.opens = max(self.opens, item.due)

    @rule(seconds=st.sampled_from([0.5, 4.0, 10.0, 60.0]))
    def pass_time(self, seconds):
        self.clock.now += seconds
        for item in self.running():
            if item.limit is not None and item.limit <= self.clock.now:
                self.end_over_its_head(item)

    @rule(cancels=st.booleans())
    def shut_down(self, cancels):
        self.pool.shutdown(wait=False, cancel_futures=cancels)
        self.is_closed = True
        if cancels:
            self.is_drained = True
            self.end_what_waits(parked="failed")

    @rule(grace=st.sampled_from([None, 0.0, 1.0, 30.0]))
    def cancel_all(self, grace):
        self.pool.cancel(grace=grace)
        self.is_closed = self.is_cancelled = True
        self.end_what_waits(parked="undone")
        for item in self.running():
            limit = self.clock.now + (GRACE if grace is None else grace)
            item.limit = limit if item.limit is None else min(item.limit, limit)
            if item.limit <= self.clock.now:
                self.end_over_its_head(item)

    @invariant()
    def agree(self):
        """Those that may be in progress are, as many as there are threads; the rest is as it is."""
        if not self.items:
            return
        until(self.is_settled)
        for item in self.items:
            if item.in_call and item.state in {"waiting", "parked"}:
                assert self.may_begin(item)
                item.state = "running"
                item.tries += 1
        until(self.is_counted)
        assert self.gauge.peak <= self.workers + self.abandoned

    def teardown(self):
        """All that was taken has an end, and no thread and no slot is left."""
        for item in self.items:
            item.answer()
        self.pool.shutdown(wait=False)
        until(self.all_have_ended)
        self.pool.shutdown()
        assert [item.state for item in self.items if item.state in ENDED - {item.fate}] == []
        assert self.pool.quota.slots.in_use == 0
        until(lambda: {*threading.enumerate()} <= self.before)

    def all_have_ended(self):
        self.clock.now += 10.0
        return all(item.future.done() for item in self.items)

    def running(self):
        return [item for item in self.items if item.state == "running"]

    def may_begin(self, item):
        is_due = item.state == "waiting" or (item.state == "parked" and item.due <= self.clock.now)
        return is_due and self.opens <= self.clock.now

    def is_settled(self):
        begun = sum(item.in_call for item in self.items)
        taken_up = sum(len(run._taken_up) for run in self.pool._staff.submitter.runs)
        wanted = len(self.running()) + sum(map(self.may_begin, self.items))
        return begun == taken_up == min(self.workers, wanted) and all(
            item.fate == (item.state if item.state in ENDED else None) for item in self.items
        )

    def is_counted(self):
        totals, states = self.pool.totals, Counter(item.state for item in self.items)
        ended = (totals.ok, totals.failed) == (states["ok"], states["failed"])
        # Those that are due may be waiting for the end of a pause.
        return ended and (totals.retrying == states["parked"] or self.opens > self.clock.now)

    def answered(self, data, error=None):
        item = data.draw(st.sampled_from(self.running()))
        item.answer(error)
        return item

    def end_what_waits(self, parked):
        for item in self.items:
            if item.state in {"waiting", "parked"}:
                item.state = "cancelled" if item.state == "waiting" and not item.tries else parked

    def end_over_its_head(self, item):
        """A call that cannot be broken off: its item has ended, its thread goes on."""
        until(item.future.done)
        item.state = "undone"
        item.answer()
        self.abandoned += 1


def test_it_does_as_its_model(eager_switching):
    """Submitted, cancelled, failed, refused, parked, repeated, shut down: in any order."""
    much = hypothesis.settings(max_examples=60, stateful_step_count=30)
    run_state_machine_as_test(Model, settings=much)
