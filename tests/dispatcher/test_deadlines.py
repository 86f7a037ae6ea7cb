"""Deadlines of items: from when they are taken up to when they are handed over."""

import threading
import weakref
from concurrent.futures import CancelledError, as_completed, wait

import pytest
import requests

import threadllm
from tests.dispatcher.support import PATIENCE, BusyError, begun, no_threads, python
from tests.support import until
from threadllm import DeadlineExceeded, Dispatcher, OptionError, Retry, ThreadLLMError
from threadllm.call import Call, current
from threadllm.exceptions import CallExpired

TEXT = "the call's deadline of 5 s has passed"


@pytest.mark.parametrize("seconds", [0, -1, float("nan"), float("inf"), "5"])
def test_a_deadline_that_cannot_be_meant_is_refused(seconds):
    """In the words in which `threadllm.deadline` refuses it."""
    with pytest.raises(OptionError) as refused:
        Dispatcher(1, deadline=seconds)

    assert str(refused.value) == f"deadline={seconds!r}: give seconds, more than 0"


def test_the_error_is_what_callers_expect():
    """Of this package, a timeout of Python, of requests, and of the rooms here."""
    error = DeadlineExceeded("text")

    for kind in (ThreadLLMError, TimeoutError, requests.Timeout, CallExpired):
        assert isinstance(error, kind)
    assert (str(error), error.request, error.response) == ("text", None, None)


def test_the_time_of_retries_counts(clock):
    """An item that waits for its next call holds no thread, and still ends at its deadline."""
    busy = BusyError()

    def fail():
        raise busy

    retry = Retry(wait_initial=3, wait_base=1, jitter="none")
    with Dispatcher(1, deadline=5, clock=clock, retry=retry) as pool:
        future = pool.submit(fail)
        assert clock.wait_for_sleepers() == [3]
        clock.advance(3)
        assert clock.wait_for_sleepers() == [2]
        assert pool.totals.retrying == 1
        clock.advance(2)
        error = future.exception(PATIENCE)

    assert (type(error), str(error), error.__cause__) == (DeadlineExceeded, TEXT, busy)
    assert (pool.totals.failed, pool.totals.retrying, pool.totals.abandoned) == (1, 0, 0)


def test_an_item_that_waits_ends_in_time_though_no_thread_is_free(clock, held):
    """Whoever has the only thread may keep it."""
    busy = BusyError(after=60)

    def fail():
        raise busy

    with Dispatcher(1, clock=clock) as pool:
        with threadllm.deadline(5):
            waiting = pool.submit(fail)
        clock.wait_for_sleepers()
        begun(pool, held)
        clock.advance(5)
        assert waiting.exception(PATIENCE).__cause__ is busy
        assert pool.totals.retrying == 1  # until a thread comes by
        held.set()

    assert (pool.totals.failed, pool.totals.ok, pool.totals.retrying) == (1, 1, 0)


def test_waiting_for_a_slot_counts(clock, held):
    """A call that never had its turn is no longer wanted after its deadline."""
    with Dispatcher(2, concurrency=1, clock=clock) as pool:
        first = begun(pool, held)
        with threadllm.deadline(5):
            second = pool.submit(int)
        until(lambda: second.running() or pool.quota.line("").entrance.waiting == 1)
        clock.advance(5)
        error = second.exception(PATIENCE)
        held.set()

    assert (str(error), first.result(), pool.totals.abandoned) == (TEXT, (), 0)


def test_waiting_before_a_gate_counts(clock):
    """The gate of calls that name no origin."""
    with Dispatcher(1, deadline=5, clock=clock) as pool:
        pool.quota.line("").gate.shut(2000, now=1000, sent=1000, asked=True)
        future = pool.submit(int)
        assert clock.wait_for_sleepers() == [5]
        clock.advance(5)

        assert str(future.exception(PATIENCE)) == TEXT


def test_an_estimate_counts(clock, held, monkeypatch):
    """It cannot be ended: its item is looked at again and again until it is through."""
    expired, here = [], threading.Event()

    def estimate():
        here.set()
        held.wait(PATIENCE)
        return 1

    def expire(call):
        expired.append(call)
        return expire_call(call)

    expire_call = Call.expire
    monkeypatch.setattr(Call, "expire", expire)
    with Dispatcher(1, deadline=5, estimate=estimate, clock=clock) as pool:
        future = pool.submit(int)
        assert here.wait(PATIENCE)
        for seconds in (5, 0.1):
            before = len(expired)
            clock.advance(seconds)
            until(lambda before=before: len(expired) > before)
        held.set()

        assert str(future.exception(PATIENCE)) == TEXT


def test_a_call_that_its_deadline_ended_is_not_repeated(pool, clock):
    """Whatever it makes of that."""

    def call():
        me = current.get()
        clock.advance(5)
        until(lambda: me.expired)
        me.park(lambda: 5000.0)

    def odd():
        try:
            call()
        except CallExpired:
            raise BusyError from None

    for function, kind in ((call, CallExpired), (odd, BusyError)):
        future = pool.submit(function)
        until(future.done)
        assert type(future.exception()) in {kind, DeadlineExceeded}
    assert pool.totals.retrying == 0


def test_an_item_that_was_just_handed_over_is_not_put_off(pool):
    """The deadline came between the end of its call and the decision to repeat it."""
    watchdog = pool._staff.deadlines._watchdog

    def call():
        ((_, _, watch),) = watchdog._moments
        assert watchdog.release(watch)
        raise BusyError

    future = pool.submit(call)
    pool.shutdown()

    assert (future.done(), pool.totals.retrying, pool.totals.failed) == (False, 0, 0)


def test_a_call_that_ended_in_the_last_moment_is_looked_at_again(pool, clock, held, monkeypatch):
    """Its item waits for the next call by then, and holds no thread that could be written off."""
    watchdog = pool._staff.deadlines._watchdog

    def expire(call):
        watchdog.resume(watch, None)
        return 0.0

    future = begun(pool, held)
    ((_, _, watch),) = watchdog._moments
    monkeypatch.setattr(Call, "expire", expire)
    clock.advance(5)

    assert type(future.exception(PATIENCE)) is DeadlineExceeded
    assert pool.totals.abandoned == 0


def test_who_is_done_in_time_is_not_abandoned(clock):
    """Though the deadline passes while others run."""
    with Dispatcher(4, deadline=5, clock=clock) as pool:
        for n in range(200):
            assert pool.submit(int, n).result(PATIENCE) == n
        clock.advance(50)
        assert pool.submit(int, 1).result(PATIENCE) == 1

    assert (pool.totals.ok, pool.totals.failed) == (201, 0)


def test_an_item_that_is_cancelled_is_watched_no_more(clock, held):
    """Nor one whose reader has left."""
    with Dispatcher(1, concurrency=1, deadline=5, clock=clock) as pool:
        quota = pool.quota
        quota.line("").gate.shut(1003, now=1000, sent=1000, asked=True)
        cancelled = pool.submit(int)
        clock.wait_for_sleepers()
        assert cancelled.cancel()
        clock.advance(3)
        assert wait([cancelled], PATIENCE).not_done == set()
        clock.advance(50)
        assert pool.submit(int).result(PATIENCE) == 0

    with pytest.raises(CancelledError):
        cancelled.result()
    assert pool.totals.failed == 0


def test_where_the_watchdog_has_no_thread_the_submitter_is_told():
    """Nothing is begun that could not be ended in time."""
    with Dispatcher(1, deadline=5) as pool:
        with no_threads(), pytest.raises(RuntimeError, match="can't start new thread"):
            pool.submit(int)
        assert pool.submit(int).result(PATIENCE) == 0


def test_without_a_deadline_there_is_no_watchdog():
    """A dispatcher costs no thread that it does not need."""
    with Dispatcher(1) as pool:
        pool.submit(int).result(PATIENCE)
        names = {thread.name for thread in threading.enumerate()}

    assert "threadllm-watchdog" not in names


def test_outcomes_are_handed_over_in_any_order(clock, held):
    """Late items are outcomes like any other, with what they took."""
    started, found = threading.Semaphore(0), []

    def call(n):
        started.release()
        return held.wait(PATIENCE) if n == 1 else n

    with Dispatcher(3, deadline=5, clock=clock) as pool:
        outcomes = pool.outcomes(call, range(3), ordered=True)
        reader = threading.Thread(target=lambda: found.extend(outcomes))
        reader.start()
        for _ in range(3):
            assert started.acquire(timeout=PATIENCE)
        clock.advance(5)
        reader.join(PATIENCE)
        held.set()

    assert [outcome.value for outcome in found] == [0, None, 2]
    assert (type(found[1].error), found[1].elapsed, found[1].attempts) == (DeadlineExceeded, 5, 1)


def test_futures_are_seen_by_those_who_wait_for_several(clock, held):
    """`as_completed` ends with items that were handed over."""
    with Dispatcher(4, deadline=5, clock=clock) as pool:
        futures = {begun(pool, held) for _ in range(4)}
        clock.advance(5)
        assert {*as_completed(futures, PATIENCE)} == futures
        held.set()


def test_requests_is_not_needed_until_there_is_a_deadline():
    """It is brought along by the first, and not by the first that passes."""
    printed = python(
        "import sys, threadllm\n"
        "with threadllm.Dispatcher(1, patch_requests=False) as pool:\n"
        "    pool.submit(int).result(); print('requests' in sys.modules)\n"
        "    with threadllm.deadline(5): pool.submit(int).result()\n"
        "    print('requests' in sys.modules)\n"
    )

    assert printed == "False\nTrue\n"


def test_items_that_ended_are_gone(clock):
    """No watch keeps what a call was given, or what it returned."""

    class Thing:
        pass

    with Dispatcher(1, deadline=5, clock=clock) as pool:
        thing = Thing()
        left = weakref.ref(thing)
        future = pool.submit(lambda _: Thing(), thing)
        left_too = weakref.ref(future.result(PATIENCE))
        del thing, future
        pool.submit(int).result(PATIENCE)

        until(lambda: (left(), left_too()) == (None, None))
