"""Deadlines of items: from when they are taken up to when they are handed over."""

import threading
import time
import weakref
from concurrent.futures import CancelledError, as_completed, wait
from queue import Queue

import pytest
import requests

import threadllm
from tests.dispatcher.support import PATIENCE, BusyError, python
from threadllm import DeadlineExceeded, Dispatcher, OptionError, Retry, ThreadLLMError
from threadllm.call import Call, current
from threadllm.exceptions import CallExpired
from threadllm.testing import FakeClock

TEXT = "the call's deadline of 5 s has passed"


@pytest.fixture
def held():
    event = threading.Event()
    yield event
    event.set()


@pytest.fixture
def pool(clock, held):
    """One thread, whose calls have five seconds; at the end those that are held are let go."""
    made = Dispatcher(1, deadline=5, clock=clock)
    yield made
    held.set()
    made.shutdown()


def until(condition):
    """Ask until it holds."""
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end


def begun(pool, held, *args):
    """The future of a call that has begun, and lasts until it is let go."""
    here = threading.Event()

    def call():
        here.set()
        held.wait(PATIENCE)
        return args

    future = pool.submit(call)
    assert here.wait(PATIENCE)
    return future


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


def test_a_call_that_goes_on_is_handed_over(pool, clock, held):
    """At its deadline, with the deadline's error; what it returns later is dropped."""
    future = begun(pool, held)
    clock.advance(4.9)
    assert not future.done()
    clock.advance(0.1)
    error = future.exception(PATIENCE)
    held.set()

    assert (type(error), str(error), error.__cause__) == (DeadlineExceeded, TEXT, None)
    pool.shutdown()
    totals = pool.totals
    assert (totals.ok, totals.failed, totals.abandoned) == (0, 1, 1)
    assert future.exception() is error


def test_another_thread_takes_the_place_of_one_that_is_abandoned(pool, clock, held):
    """As many calls run as there are workers, with the slots that they had."""
    for _ in range(3):
        future = begun(pool, held)
        clock.advance(5)
        assert type(future.exception(PATIENCE)) is DeadlineExceeded
    names = [pool.submit(lambda: threading.current_thread().name).result(PATIENCE)]
    held.set()

    assert (pool.totals.abandoned, pool.totals.ok) == (3, 1)
    assert names[0].startswith("threadllm-spare_")


def test_no_more_run_than_there_are_workers(clock, held):
    """Those that were abandoned and come back take nothing more."""
    running, most, lock = [0], [0], threading.Lock()

    def call():
        with lock:
            running[0] += 1
            most[0] = max(most[0], running[0])
        try:
            return 1
        finally:
            with lock:
                running[0] -= 1

    with Dispatcher(2, deadline=5, clock=clock) as pool:
        lost = [begun(pool, held) for _ in range(2)]
        clock.advance(5)
        assert wait(lost, PATIENCE).not_done == set()
        more = [pool.submit(call) for _ in range(50)]
        held.set()
        more += [pool.submit(call) for _ in range(50)]
        assert [future.result(PATIENCE) for future in more] == [1] * 100

    assert most[0] <= 2


def test_what_waits_in_the_backlog_runs_after_that(pool, clock, held):
    """Its time begins when it is taken up, so that none of it has passed."""
    first = begun(pool, held)
    queued = [pool.submit(int, n) for n in range(5)]
    clock.advance(5)

    assert type(first.exception(PATIENCE)) is DeadlineExceeded
    assert [future.result(PATIENCE) for future in queued] == [0, 1, 2, 3, 4]


def test_the_dispatcher_ends_without_those_that_were_abandoned(clock, held):
    """Also while it waits already; and the threads that were not abandoned are joined."""
    with Dispatcher(2, deadline=5, clock=clock) as pool:
        first = begun(pool, held)
        closing = threading.Thread(target=pool.shutdown)
        second = begun(pool, held)
        third = pool.submit(int)
        closing.start()
        clock.advance(5)
        closing.join(PATIENCE)
        assert not closing.is_alive()

    assert [type(one.exception(0)) for one in (first, second)] == [DeadlineExceeded] * 2
    assert third.result(0) == 0
    names = {thread.name for thread in threading.enumerate()}
    assert {"threadllm_0", "threadllm_1"} <= names
    assert "threadllm-watchdog" not in names


def test_a_dispatcher_that_is_gone_keeps_the_deadlines_of_what_runs(clock, held):
    """Whoever holds the future is told."""
    pool = Dispatcher(1, deadline=5, clock=clock)
    future = begun(pool, held)
    gone = weakref.ref(pool)
    del pool
    assert gone() is None
    clock.advance(5)

    assert type(future.exception(PATIENCE)) is DeadlineExceeded


def test_a_shutdown_that_does_not_wait_keeps_them_too(pool, clock, held):
    """What it has taken is still bounded, and what was queued still runs."""
    running, queued = begun(pool, held), pool.submit(int)
    pool.shutdown(wait=False)
    clock.advance(5)

    assert type(running.exception(PATIENCE)) is DeadlineExceeded
    assert queued.result(PATIENCE) == 0


def test_what_was_cancelled_is_not_run_by_a_spare(pool, clock, held):
    """After `cancel_futures` an abandoned thread is not replaced in vain."""
    running, queued = begun(pool, held), pool.submit(int)
    pool.shutdown(wait=False, cancel_futures=True)
    clock.advance(5)

    assert type(running.exception(PATIENCE)) is DeadlineExceeded
    assert queued.cancelled()


def test_callbacks_are_told_on_a_thread_of_the_pool(pool, clock, held):
    """One that takes its time keeps nobody else from being told."""
    told, slow = Queue(), threading.Event()

    def tell(_):
        told.put(threading.current_thread().name)
        slow.wait(PATIENCE)

    first = begun(pool, held)
    first.add_done_callback(tell)
    clock.advance(5)
    assert told.get(timeout=PATIENCE).startswith("threadllm-spare_")
    second = begun(pool, held)
    clock.advance(5)
    assert type(second.exception(PATIENCE)) is DeadlineExceeded
    slow.set()


def test_a_callback_that_would_end_its_thread_is_logged(pool, clock, held, caplog):
    """As the standard library logs it; the others go on."""

    def fail(_):
        raise SystemExit

    begun(pool, held).add_done_callback(fail)
    clock.advance(5)
    until(lambda: caplog.records)
    assert pool.submit(int).result(PATIENCE) == 0

    assert [(one.name, one.msg) for one in caplog.records] == [
        ("concurrent.futures", "Exception in worker")
    ]


def test_a_callback_cannot_wait_for_its_own_thread(pool, clock, held, caplog):
    """A shutdown from there is refused as from any thread of the pool."""
    future = begun(pool, held)
    future.add_done_callback(lambda _: pool.shutdown(wait=True))
    clock.advance(5)
    until(lambda: caplog.records)

    assert str(caplog.records[0].exc_info[1]) == "cannot join current thread"


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
        until(lambda: second.running() or len(pool.quota.slots._changed._waiters) == 1)
        clock.advance(5)
        error = second.exception(PATIENCE)
        held.set()

    assert (str(error), first.result(), pool.totals.abandoned) == (TEXT, (), 0)


def test_waiting_before_a_gate_counts(clock):
    """The gate of calls that name no origin."""
    with Dispatcher(1, deadline=5, clock=clock) as pool:
        pool.quota.gate("").shut(2000, now=1000, sent=1000, asked=True)
        future = pool.submit(int)
        assert clock.wait_for_sleepers() == [5]
        clock.advance(5)

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
    watchdog = pool._deadlines._watchdog

    def call():
        ((_, _, watch),) = watchdog._moments
        assert watchdog.release(watch)
        raise BusyError

    future = pool.submit(call)
    pool.shutdown()

    assert (future.done(), pool.totals.retrying, pool.totals.failed) == (False, 0, 0)


def test_a_call_that_ended_in_the_last_moment_is_looked_at_again(pool, clock, held, monkeypatch):
    """Its item waits for the next call by then, and holds no thread that could be written off."""
    watchdog = pool._deadlines._watchdog

    def expire(call):
        watchdog.resume(watch, None)
        return 0.0

    future = begun(pool, held)
    ((_, _, watch),) = watchdog._moments
    monkeypatch.setattr(Call, "expire", expire)
    clock.advance(5)

    assert type(future.exception(PATIENCE)) is DeadlineExceeded
    assert pool.totals.abandoned == 0


def test_a_call_is_counted_once_whoever_ends_it(pool, clock, held):
    """Its thread had just done so when the deadline came."""

    def call():
        me = current.get()
        me.end()
        me.under_way = True
        clock.advance(5)
        held.wait(PATIENCE)

    error = pool.submit(call).exception(PATIENCE)

    assert (type(error), pool.totals.busy) == (DeadlineExceeded, 0)
    assert pool.quota.slots._permits._value == 1


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
        quota.gate("").shut(1003, now=1000, sent=1000, asked=True)
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
        until(lambda: pool._deadlines._watchdog._watched)
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
        until(lambda: inner._deadlines._watchdog._watched)
        clock.advance(3)
        assert str(future.exception(PATIENCE)) == TEXT
        until(lambda: texts)

    assert texts == ["the call's deadline of 3 s has passed"]
    assert (pool.totals.abandoned, inner.totals.abandoned) == (1, 1)


def test_clocks_that_differ_are_not_compared(clock):
    """A submitter by another clock has a deadline that means nothing here."""
    with (
        Dispatcher(1, clock=FakeClock(start=1e9)) as inner,
        Dispatcher(1, deadline=5, clock=clock) as pool,
    ):
        assert pool.submit(lambda: inner.submit(int).result()).result(PATIENCE) == 0
        assert inner._deadlines._watchdog._thread is None


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


def test_where_no_thread_can_be_had_what_is_left_fails(pool, clock, held, monkeypatch):
    """Nobody waits for a thread for ever; the item is told by the watchdog itself."""
    first, queued = begun(pool, held), pool.submit(int)

    def refuse(thread):
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        clock.advance(5)
        assert type(first.exception(PATIENCE)) is DeadlineExceeded
        assert str(queued.exception(PATIENCE)) == "can't start new thread"
    assert pool.submit(int).result(PATIENCE) == 0


def test_where_other_threads_run_they_go_on_with_the_work(clock, held, monkeypatch):
    """One that cannot be replaced is missing, and nothing is lost."""
    other = threading.Event()
    with Dispatcher(2, deadline=5, clock=clock) as pool:
        with threadllm.deadline(500):
            going_on = begun(pool, other)
        first, queued = begun(pool, held), pool.submit(int)

        def refuse(thread):
            raise RuntimeError("can't start new thread")

        with monkeypatch.context() as patch:
            patch.setattr(threading.Thread, "start", refuse)
            clock.advance(5)
            assert type(first.exception(PATIENCE)) is DeadlineExceeded
            until(lambda: pool.totals.abandoned == 1)
            other.set()
            assert (going_on.result(PATIENCE), queued.result(PATIENCE)) == ((), 0)
        held.set()


def test_a_spare_whose_initializer_fails_breaks_the_pool(clock, held, caplog):
    """As any of its threads would; the item that was to be told is told."""
    times = []

    def initializer():
        times.append(1)
        if len(times) > 1:
            raise ValueError

    with Dispatcher(1, "", initializer, deadline=5, clock=clock) as pool:
        first, queued = begun(pool, held), pool.submit(int)
        clock.advance(5)
        assert type(first.exception(PATIENCE)) is DeadlineExceeded
        assert "initializer failed" in str(queued.exception(PATIENCE))
        held.set()

    assert {record.msg for record in caplog.records} == {"Exception in initializer:"}


def test_where_the_watchdog_has_no_thread_the_submitter_is_told(monkeypatch):
    """Nothing is begun that could not be ended in time."""
    with Dispatcher(1, deadline=5) as pool, monkeypatch.context() as patch:

        def refuse(thread):
            raise RuntimeError("can't start new thread")

        patch.setattr(threading.Thread, "start", refuse)
        with pytest.raises(RuntimeError, match="can't start new thread"):
            pool.submit(int)
        patch.undo()
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


def test_many_items_end_at_their_moments_whatever_else_happens(eager_switching):
    """In real time, with calls that are quick, slow and in between: each ends once."""
    seconds = [0.0, 0.002, 0.02, 0.2]

    def call(n):
        time.sleep(seconds[n % 4])
        return n

    with Dispatcher(8, deadline=0.02, retry=Retry(attempts=2)) as pool:
        outcomes = list(pool.outcomes(call, range(200)))

    assert sorted(outcome.index for outcome in outcomes) == list(range(200))
    assert {type(o.error) for o in outcomes if o.index % 4 == 3} == {DeadlineExceeded}
    totals = pool.totals
    assert (totals.ok + totals.failed, totals.retrying) == (200, 0)
    assert totals.failed == sum(not outcome.ok for outcome in outcomes)
    assert pool.quota.slots._permits._value == 8
