"""`Dispatcher.cancel`: what is done is kept, what is in flight has its time, the rest is let go."""

import threading
from concurrent.futures import CancelledError

import pytest

from tests.dispatcher.support import PATIENCE, BusyError, begun, no_threads
from tests.support import until
from threadllm import Dispatcher, OptionError, Retry, RunStopped

CANCELLED = "the run was cancelled. Done: {}; the rest was not run."


def test_each_future_ends_as_its_state_has_it(held):
    """What runs and ends is handed over; what waits is cancelled; nothing more is taken."""
    pool = Dispatcher(1)
    running = begun(pool, held, "done")
    queued = [pool.submit(print) for _ in range(3)]
    pool.cancel()
    assert [future.cancelled() for future in queued] == [True] * 3
    held.set()

    assert running.result(PATIENCE) == ("done",)
    with pytest.raises(RuntimeError, match="after shutdown"):
        pool.submit(print)
    pool.shutdown()


def test_what_is_in_flight_is_broken_off_after_its_time(held):
    """Its future says so; its slot is free, and nobody waits for its thread."""
    pool = Dispatcher(1)
    running = begun(pool, held)
    pool.cancel(grace=0.05)

    with pytest.raises(RunStopped) as stopped:
        running.result(PATIENCE)
    pool.shutdown()
    assert str(stopped.value) == CANCELLED.format("0 ok, 0 failed")
    assert (pool.totals.done, pool.totals.abandoned, pool.quota.slots.in_use) == (0, 1, 0)


def test_the_time_can_be_shortened_and_not_lengthened(clock, held):
    """Whoever is in more of a hurry has it."""
    pool = Dispatcher(1, clock=clock, grace=100)
    running = begun(pool, held)
    pool.cancel()
    pool.cancel(grace=1)
    pool.cancel(grace=1000)
    clock.advance(1)
    assert isinstance(running.exception(PATIENCE), RunStopped)
    pool.shutdown()


def test_what_is_in_flight_has_its_deadline_all_the_same(clock, held):
    """Where that comes first it ends there; its item is undone either way, to be run again."""
    pool = Dispatcher(1, clock=clock, deadline=5, grace=100)
    running = begun(pool, held)
    pool.cancel()
    clock.advance(5)
    assert isinstance(running.exception(PATIENCE), RunStopped)
    pool.shutdown()


@pytest.mark.parametrize("ordered", [True, False])
def test_a_run_hands_back_what_it_finished(held, ordered):
    """Then it says that it was cancelled, as its input was not at its end."""
    seen, full = [], threading.Event()

    def call(item):
        full.set()
        return item if item == 0 else held.wait(PATIENCE)

    with Dispatcher(2) as pool:
        outcomes = pool.outcomes(call, iter(int, 1), ordered=ordered)
        seen.append(next(outcomes))
        pool.cancel(grace=0)
        with pytest.raises(RunStopped, match="the run was cancelled"):
            seen.extend(outcomes)

    assert {one.error for one in seen} == {None}
    assert len(seen) == pool.totals.ok


def test_map_raises_for_the_first_value_that_it_lacks(held):
    """A value that was not made is none."""
    with Dispatcher(1) as pool:
        values = pool.map(lambda item: item and held.wait(PATIENCE), range(5))
        assert next(values) == 0
        pool.cancel(grace=0)
        with pytest.raises((RunStopped, CancelledError)):
            list(values)


def test_what_waits_to_be_tried_again_is_undone(clock):
    """It holds no thread, and is neither ok nor failed."""

    def call():
        raise BusyError(after=600)

    pool = Dispatcher(1, clock=clock)
    future = pool.submit(call)
    until(lambda: pool.totals.retrying)
    pool.cancel()
    assert isinstance(future.exception(PATIENCE), RunStopped)
    pool.shutdown()
    assert (pool.totals.done, pool.totals.retrying) == (0, 0)


@pytest.mark.parametrize(
    ("error", "kept"),
    [(BusyError(503), False), (BusyError(400), True), (SystemExit(1), True)],
    ids=["would be tried again", "failed for good", "ends programs"],
)
def test_an_error_in_the_time_of_grace_counts_if_it_is_the_last_word(held, error, kept):
    """One that would be retried leaves the item undone."""
    here = threading.Event()

    def call():
        here.set()
        held.wait(PATIENCE)
        raise error

    pool = Dispatcher(1, retry=Retry(attempts=3))
    future = pool.submit(call)
    assert here.wait(PATIENCE)
    pool.cancel()
    held.set()
    assert (future.exception(PATIENCE) is error) is kept
    pool.shutdown()
    assert pool.totals.failed == kept


def test_where_no_thread_is_to_be_had_it_is_broken_off_at_once(held):
    """Nobody could do it later; what cannot be broken off is waited for."""
    pool = Dispatcher(1)
    running = begun(pool, held, "done")
    with no_threads():
        pool.cancel()
    held.set()
    assert isinstance(running.exception(PATIENCE), (RunStopped, type(None)))
    pool.shutdown()


def test_a_grace_that_is_none_is_refused():
    """It is a number of seconds."""
    with Dispatcher(1) as pool:
        for grace in (-1, float("nan"), float("inf"), "long"):
            with pytest.raises(OptionError, match="give seconds, 0 or more"):
                pool.cancel(grace=grace)


def test_cancelling_while_calls_end_loses_none(eager_switching):
    """Each future ends one way or another, whenever the cancelling strikes."""
    for round_ in range(200):
        pool = Dispatcher(4)
        futures = [pool.submit(str, n) for n in range(12)]
        for _ in range(round_ % 12):
            futures[0].done()
        pool.cancel(grace=PATIENCE * (round_ % 2))
        pool.shutdown()
        ended = [future.cancelled() or future.exception() is None for future in futures]
        assert [future.done() for future in futures] == [True] * 12
        assert all(ended) or round_ % 2 == 0


def test_whose_deadline_comes_as_it_ends_is_ended_once(clock, held):
    """Whoever has claimed it ends it."""
    pool = Dispatcher(1, deadline=5, clock=clock)
    future = begun(pool, held)
    (runner,) = pool._staff.workers._runners
    assert runner.task.claim()
    clock.advance(5)
    until(lambda: not pool._staff.deadlines._watchdog._watched)
    assert not future.done()
    held.set()
    pool.shutdown()


def test_a_copy_in_a_fork_cancels_nothing(held, monkeypatch):
    """What is in flight is its parent's."""
    pool = Dispatcher(1)
    running = begun(pool, held, "parent")
    with monkeypatch.context() as patch:
        patch.setattr(pool._staff.threads, "_process", 0)
        pool.cancel(grace=0)
        pool.shutdown(cancel_futures=True)
    held.set()
    assert running.result(PATIENCE) == ("parent",)
    pool.shutdown()
