"""Calls that nothing can end: their items are handed over, their threads are written off."""

import threading
import weakref
from concurrent.futures import wait
from queue import Queue

import pytest

import threadllm
from tests.dispatcher.support import PATIENCE, begun, no_threads
from tests.support import until
from threadllm import DeadlineExceeded, Dispatcher
from threadllm.call import current
from threadllm.dispatcher.workers import Workers

TEXT = "the call's deadline of 5 s has passed"


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


def test_a_thread_that_comes_back_just_then_stays(clock, held, monkeypatch):
    """It may be at its next item by the time that it would be written off."""
    later, written_off = threading.Event(), threading.Event()
    tell, write_off = Workers.tell, Workers.write_off

    def come_back_first(workers, teller):
        tell(workers, teller)
        held.set()
        assert here.wait(PATIENCE)

    def and_then(*given):
        write_off(*given)
        written_off.set()

    monkeypatch.setattr(Workers, "tell", come_back_first)
    monkeypatch.setattr(Workers, "write_off", and_then)
    with Dispatcher(1, deadline=5, clock=clock) as pool:
        late = begun(pool, held)
        here = threading.Event()
        pool.submit(lambda: here.set() or later.wait(PATIENCE))
        name = pool.submit(lambda: threading.current_thread().name)
        clock.advance(5)
        assert type(late.exception(PATIENCE)) is DeadlineExceeded
        assert written_off.wait(PATIENCE)
        later.set()
        assert name.result(PATIENCE) == "threadllm_0"


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


@pytest.fixture
def gone(clock, held):
    """What waits in the queue of a dispatcher that is gone: its future, and whether it has begun.

    Once what runs has been let go nothing is watched, and the watchdog ends before it begins.
    """
    before, begins, ends = {*threading.enumerate()}, threading.Event(), threading.Event()
    pool = Dispatcher(1, deadline=5, clock=clock)
    running = begun(pool, held)
    queued = pool.submit(lambda: (begins.set(), ends.wait(PATIENCE)))
    [watchdog] = [
        one for one in {*threading.enumerate()} - before if one.name == "threadllm-watchdog"
    ]
    running.add_done_callback(lambda _: watchdog.join(PATIENCE))
    del pool
    yield queued, begins
    ends.set()


def test_it_keeps_those_of_what_is_begun_later(gone, clock, held):
    """Its queue is worked off without it, and is watched again."""
    queued, begins = gone
    held.set()
    assert begins.wait(PATIENCE)
    clock.advance(5)

    assert type(queued.exception(PATIENCE)) is DeadlineExceeded


def test_where_it_has_no_thread_for_that_the_item_says_so(gone, held):
    """Nothing is begun that could not be ended in time."""
    queued, begins = gone
    with no_threads():
        held.set()
        assert str(queued.exception(PATIENCE)) == "can't start new thread"
    assert not begins.is_set()


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
    assert pool.quota.slots.in_use == 0


def test_where_no_thread_can_be_had_what_is_left_fails(pool, clock, held):
    """Nobody waits for a thread for ever; the item is told by the watchdog itself."""
    first, queued = begun(pool, held), pool.submit(int)
    with no_threads():
        clock.advance(5)
        assert type(first.exception(PATIENCE)) is DeadlineExceeded
        assert str(queued.exception(PATIENCE)) == "can't start new thread"
    assert pool.submit(int).result(PATIENCE) == 0


def test_where_other_threads_run_they_go_on_with_the_work(clock, held):
    """One that cannot be replaced is missing, and nothing is lost."""
    other = threading.Event()
    with Dispatcher(2, deadline=5, clock=clock) as pool:
        with threadllm.deadline(500):
            going_on = begun(pool, other)
        first, queued = begun(pool, held), pool.submit(int)
        with no_threads():
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


def test_every_item_ends_once_whatever_its_call_does(eager_switching, held):
    """In real time: calls that are quick, that end about when they must, and that never do."""
    seconds = [0.0, 0.002, 0.02, PATIENCE]

    def call(n):
        held.wait(seconds[n % 4])
        return n

    with Dispatcher(8, deadline=0.02) as pool:
        outcomes = list(pool.outcomes(call, range(200)))

    assert sorted(outcome.index for outcome in outcomes) == list(range(200))
    assert {type(o.error) for o in outcomes if o.index % 4 == 3} == {DeadlineExceeded}
    totals = pool.totals
    assert (totals.ok + totals.failed, totals.retrying) == (200, 0)
    assert totals.failed == sum(not outcome.ok for outcome in outcomes)
    assert pool.quota.slots.in_use == 0
