"""Threads and slots: who may run, and what happens where a thread cannot."""

import gc
import threading
import weakref
from concurrent.futures import wait
from concurrent.futures.thread import BrokenThreadPool
from contextlib import nullcontext

import pytest
import requests

from tests.dispatcher.support import PATIENCE, BusyError, Calls, Gauge, no_threads, python
from tests.support import until
from threadllm import Dispatcher, Quota, Retry

FORK = """
import os, threading, warnings
warnings.simplefilter("ignore", DeprecationWarning)
from threadllm import Dispatcher
unused, used = Dispatcher(1), Dispatcher(1)
used.submit(int).result()
if os.fork():
    os.wait()
else:
    print(unused.submit(int).result())
    try:
        used.submit(int)
    except RuntimeError as error:
        print(str(error).replace(str(os.getppid()), "PARENT"))
    used.shutdown()
"""


def test_no_more_calls_run_than_there_are_slots():
    """Functions that make no request are bounded as a whole."""
    inside, three = Gauge(), threading.Barrier(3)

    def call(_):
        with inside:
            three.wait(PATIENCE)  # three at a time do meet…
            three.wait(PATIENCE)

    with Dispatcher(16, concurrency=3) as pool:
        wait([pool.submit(call, n) for n in range(30)], PATIENCE)
        wait([*map(pool.submit, [call] * 30, range(30))], PATIENCE)

    assert (inside.peak, pool.totals.ok) == (3, 60)  # …and never four


def test_a_quota_is_shared():
    """Two dispatchers on one quota have its slots between them, not each."""
    inside, two = Gauge(), threading.Barrier(2)

    def call(_):
        with inside:
            two.wait(PATIENCE)
            two.wait(PATIENCE)

    quota = Quota(2)
    with Dispatcher(8, quota=quota) as one, Dispatcher(8, quota=quota) as other:
        wait([pool.submit(call, n) for n in range(10) for pool in (one, other)], PATIENCE)

    assert (inside.peak, one.quota, other.quota) == (2, quota, quota)


def test_as_many_calls_run_as_there_are_threads():
    """Everything that is submitted together runs together, as far as threads go."""
    together = threading.Barrier(8)
    with Dispatcher(8) as pool:
        futures = [pool.submit(together.wait, PATIENCE) for _ in range(16)]

        assert sorted(future.result() for future in futures) == sorted([*range(8)] * 2)


def test_where_no_thread_can_be_started_the_submitter_is_told():
    """The task is taken back, and the dispatcher works once threads can be had again."""
    ran = []
    with Dispatcher(1) as pool:
        with no_threads(), pytest.raises(RuntimeError, match="can't start new thread"):
            pool.submit(ran.append, "refused")
        assert pool.submit(ran.append, "taken").result(PATIENCE) is None

    assert ran == ["taken"]


def test_a_task_that_was_drained_meanwhile_is_not_taken_back(monkeypatch):
    """Whoever drained it has ended it, though no thread could be had."""
    ran, pool = [], Dispatcher(2)

    def refuse(*_):
        (task,) = pool._staff.workers.drain()
        task.cancel()
        raise RuntimeError("refused")

    monkeypatch.setattr(pool._staff.threads.pool, "submit", refuse)
    future = pool.submit(ran.append, 1)
    pool.shutdown()

    assert (ran, future.cancelled()) == ([], True)


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_a_task_that_another_thread_has_taken_is_not_refused(monkeypatch, held, error):
    """It is run, and paid for: so its future is handed back. Ctrl-C is heard all the same."""
    ran, pool = [], Dispatcher(2)
    first = pool.submit(held.wait, PATIENCE)

    def refuse(*_):
        held.set()
        until(lambda: ran)
        raise error

    monkeypatch.setattr(pool._staff.threads.pool, "submit", refuse)
    with pytest.raises(error) if error is KeyboardInterrupt else nullcontext():
        assert pool.submit(ran.append, 1).result(PATIENCE) is None
    pool.shutdown()

    assert (first.result(), ran, pool.totals.ok) == (True, [1], 2)


def test_a_fork_is_told_that_it_has_no_threads():
    """What has run in the parent cannot in the child, and what has not can."""
    printed = python(FORK)

    assert printed == (
        "0\nthis dispatcher's threads are in process PARENT, of which this one is a fork: make a "
        "dispatcher in the process that uses it\n"
    )


@pytest.mark.parametrize("kind", [SystemExit, KeyboardInterrupt, GeneratorExit])
def test_a_callback_that_would_end_its_thread_does_not(kind, caplog):
    """It is logged as the standard library logs it, and everything else is run."""

    def fail(_):
        raise kind

    with Dispatcher(1) as pool:
        held = threading.Event()
        first = pool.submit(held.wait)
        first.add_done_callback(fail)
        rest = [pool.submit(int, n) for n in range(3)]
        held.set()
        assert [future.result(PATIENCE) for future in rest] == [0, 1, 2]

    assert [(record.name, record.msg) for record in caplog.records] == [
        ("concurrent.futures", "Exception in worker")
    ]


def test_an_initializer_that_fails_in_one_thread_spares_the_others(clock, caplog):
    """What runs is finished; what waits for a retry ends with its own error."""
    begun, failing = [], threading.Event()

    def initializer():
        begun.append(1)
        if len(begun) == 2:
            failing.wait()
            raise ValueError

    busy, held = BusyError(), threading.Event()

    def call():
        held.wait()
        raise busy

    pool = Dispatcher(2, "", initializer, clock=clock)
    running = pool.submit(call)
    while not running.running():
        pass
    queued = pool.submit(int)
    failing.set()
    assert type(queued.exception(PATIENCE)) is BrokenThreadPool
    held.set()
    assert running.exception(PATIENCE) is busy
    pool.shutdown()

    assert (pool.totals.failed, len(caplog.records)) == (2, 1)


def test_what_was_cancelled_stays_so_in_a_pool_that_breaks(caplog):
    """The initializer's failure is told to those that still wait."""
    failing = threading.Event()

    def initializer():
        failing.wait()
        raise ValueError

    with Dispatcher(1, "", initializer) as pool:
        cancelled, pending = pool.submit(int), pool.submit(int)
        cancelled.cancel()
        failing.set()
        assert type(pending.exception(PATIENCE)) is BrokenThreadPool

    assert (cancelled.cancelled(), pool.totals.failed) == (True, 1)


def test_a_call_that_is_cancelled_before_its_turn_does_not_begin(clock):
    """Though a thread has taken it, and waits with it for the gate."""
    with Dispatcher(1, clock=clock) as pool:
        pool.quota.line("").gate.shut(1005.0, now=1000.0, sent=1000.0, asked=True)
        cancelled = pool.submit(int)
        clock.wait_for_sleepers()
        assert cancelled.cancel()
        clock.advance(5)
        assert wait([cancelled], PATIENCE).not_done == set()

    assert pool.totals.done == 0


class OwnError(Exception):
    pass


@pytest.mark.parametrize("error", [OwnError, BusyError])
def test_errors_are_gone_with_their_last_reader(error):
    """Nothing of a failed call is left for the collector, however it was read."""
    left = []

    def call(_):
        raise error

    def keep(one):
        left.append(weakref.ref(one))

    gc.collect()
    gc.disable()
    try:
        with Dispatcher(2, retry=Retry(attempts=2, wait_initial=0)) as pool:
            for ordered in (False, True):
                for outcome in pool.outcomes(call, range(5), ordered=ordered):
                    keep(outcome.error)
            del outcome
            keep(pool.submit(call, 0).exception())
            try:
                next(pool.map(call, range(5)))
            except error as raised:
                keep(raised)
            pool.submit(Calls({0: [error()]}), 0).exception()
        assert ([ref() for ref in left], len(left)) == ([None] * 12, 12)
    finally:
        gc.enable()


def test_the_input_and_its_error_are_gone_too():
    """An input that broke keeps nobody alive."""

    def broken():
        yield 1
        raise OwnError

    gc.collect()
    gc.disable()
    try:
        pool = Dispatcher(1)
        try:
            [*pool.outcomes(str, broken())]
        except OwnError as raised:
            left = weakref.ref(raised)
        assert left() is None
        left = weakref.ref(pool)
        pool.shutdown()
        del pool
        assert left() is None
    finally:
        gc.enable()


def test_requests_of_its_own_can_be_left_alone():
    """With `patch_requests=False` nothing of requests is changed while calls run."""
    found = {}
    for patched in (True, False):
        with Dispatcher(1, patch_requests=patched) as pool:
            found[patched] = pool.submit(lambda: requests.Session.get_adapter).result()

    plain = requests.Session.get_adapter
    assert (found[True] is plain, found[False] is plain) == (False, True)
