"""Who says how long an item has: a block, the call that submits it, a shortcut."""

import threading

import pytest

import threadllm
from tests.dispatcher.support import PATIENCE
from tests.support import until
from threadllm import DeadlineExceeded, Dispatcher, Retry
from threadllm.testing import FakeClock

TEXT = "the call's deadline of 5 s has passed"


@pytest.mark.parametrize("way", ["submit", "map", "outcomes"])
def test_a_block_says_how_long_what_is_submitted_there_has(clock, held, way):
    """In place of the dispatcher's own deadline, and however late it is read."""
    runs = {
        "submit": lambda pool: pool.submit(held.wait, PATIENCE).exception,
        "map": lambda pool: pool.map(held.wait, [PATIENCE]).__next__,
        "outcomes": lambda pool: lambda: next(pool_outcomes).error,
    }
    with Dispatcher(1, deadline=5, clock=clock) as pool:
        with threadllm.deadline(70):
            pool_outcomes = pool.outcomes(held.wait, [PATIENCE])
            read = runs[way](pool)
        found = []

        def note():
            try:
                found.append(read())
            except DeadlineExceeded as error:
                found.append(error)

        reader = threading.Thread(target=note)
        reader.start()
        until(lambda: pool._staff.deadlines._watchdog._watched)
        clock.advance(69)
        clock.advance(1)
        reader.join(PATIENCE)

    assert [str(error) for error in found] == ["the call's deadline of 70 s has passed"]


def test_what_a_call_submits_ends_with_it(clock, held):
    """To whichever dispatcher: no longer than what is left of its own time."""
    texts = []

    def outer():
        clock.advance(2)
        texts.append(str(inner.submit(held.wait, PATIENCE).exception(PATIENCE)))
        held.wait(PATIENCE)  # or it might return before its own deadline is told

    with (
        Dispatcher(1, clock=clock) as inner,
        Dispatcher(1, deadline=5, clock=clock) as pool,
    ):
        future = pool.submit(outer)
        until(lambda: inner._staff.deadlines._watchdog._watched)
        clock.advance(3)
        assert str(future.exception(PATIENCE)) == TEXT
        until(lambda: texts)
        held.set()

    assert texts == ["the call's deadline of 3 s has passed"]
    assert (pool.totals.abandoned, inner.totals.abandoned) == (1, 1)


def test_clocks_that_differ_are_not_compared(clock):
    """A submitter by another clock has a deadline that means nothing here."""
    with (
        Dispatcher(1, clock=FakeClock(start=1e9)) as inner,
        Dispatcher(1, deadline=5, clock=clock) as pool,
    ):
        assert pool.submit(lambda: inner.submit(int).result()).result(PATIENCE) == 0
        assert inner._staff.deadlines._watchdog._thread is None


@pytest.mark.parametrize(("exceptions", "calls"), [((), 1), ((TimeoutError,), 3)])
def test_another_dispatchers_deadline_is_not_tried_again(exceptions, calls):
    """A function whose own items were late fails with that, unless the policy names it."""
    seen = []

    def call():
        seen.append(1)
        raise DeadlineExceeded("inner")

    retry = Retry(attempts=3, wait_initial=0, exceptions=exceptions)
    with Dispatcher(1, retry=retry) as pool:
        assert str(pool.submit(call).exception(PATIENCE)) == "inner"

    assert len(seen) == calls


def test_the_shortcuts_take_a_deadline(held):
    """As they take every option of the dispatcher."""

    @threadllm.concurrent(deadline=0.05)
    def wait_for(event):
        event.wait(PATIENCE)

    with pytest.raises(DeadlineExceeded):
        threadllm.map(held.wait, [PATIENCE], deadline=0.05)
    with pytest.raises(DeadlineExceeded):
        wait_for.map([held])
    with pytest.raises(DeadlineExceeded):
        wait_for.submit(held).result(PATIENCE)
    assert [type(one.error) for one in wait_for.outcomes([held])] == [DeadlineExceeded]
