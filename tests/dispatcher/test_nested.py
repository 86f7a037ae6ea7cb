"""Calls that submit to their own dispatcher, and wait: they never wait for ever."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests

import threadllm
from tests.dispatcher.support import PATIENCE, BusyError, Calls
from tests.support import until
from threadllm import Dispatcher, Retry
from threadllm.simulator import Simulator
from threadllm.testing import FakeClock


@pytest.mark.parametrize("workers", [1, 2, 5])
@pytest.mark.parametrize("way", ["submit", "map", "outcomes"])
def test_fault_30_a_full_pool_runs_what_its_calls_wait_for(workers, way):
    """However many of them wait at once."""

    def inner(n):
        return n + 1

    def outer(n):
        if way == "submit":
            return sum(future.result() for future in [pool.submit(inner, n) for _ in range(3)])
        if way == "map":
            return sum(pool.map(inner, [n] * 3))
        return sum(outcome.unwrap() for outcome in pool.outcomes(inner, [n] * 3))

    with Dispatcher(workers) as pool:
        assert list(pool.map(outer, range(40))) == [3 * (n + 1) for n in range(40)]
    assert pool.totals.ok == 160
    assert pool.quota.slots.in_use == 0


def test_what_has_a_thread_of_its_own_runs_there():
    """Side by side with the call that waits for it."""
    with Dispatcher(2) as pool:
        both = threading.Barrier(2)

        def outer():
            future = pool.submit(both.wait, PATIENCE)
            both.wait(PATIENCE)
            return future.result() in (0, 1)

        assert pool.submit(outer).result()


def test_calls_may_go_several_deep():
    """Each level waits for the next."""
    with Dispatcher(2) as pool:

        def down(depth):
            return depth and 1 + pool.submit(down, depth - 1).result()

        assert pool.submit(down, 12).result(PATIENCE) == 12


def test_fault_30_calls_that_go_on_for_ever_are_told():
    """Before the stack ends; the dispatcher is as well as before."""
    with Dispatcher(1) as pool:

        def down():
            return pool.submit(down).result()

        error = pool.submit(down).exception(PATIENCE)
        assert str(error).startswith("calls that wait for calls, more than 16 deep")
        assert pool.submit(int).result(PATIENCE) == 0
    assert pool.quota.slots.in_use == 0


def test_it_is_tried_again_where_it_runs():
    """With the waits that it has anywhere."""
    clock = FakeClock()
    calls = Calls({"item": [BusyError(503)] * 2}, clock)
    with (
        Dispatcher(1, clock=clock, retry=Retry(jitter="none", wait_initial=8)) as pool,
        clock.running(),
    ):
        outer = pool.submit(lambda: pool.submit(calls, "item").result())
        assert outer.result(PATIENCE) == "item"
    began = calls.seen[0][1]
    assert [moment - began for _, moment in calls.seen] == [0, 8, 24]
    assert (pool.totals.ok, pool.totals.retries) == (2, 2)


def test_a_wait_of_it_ends_with_the_dispatcher():
    """As any other wait does."""
    clock = FakeClock()

    def fails():
        raise BusyError(503, after=200)

    pool = Dispatcher(1, clock=clock)
    outer = pool.submit(lambda: pool.submit(fails).result())
    clock.wait_for_sleepers()
    pool.shutdown(wait=False, cancel_futures=True)
    assert isinstance(outer.exception(PATIENCE), BusyError)
    pool.shutdown()


def test_its_deadline_ends_it_where_it_runs(held):
    """The call that waits for it goes on."""
    with Dispatcher(1) as pool:

        def outer():
            with threadllm.deadline(0.05):
                inner = pool.submit(held.wait, 0.5)
            return inner.exception(PATIENCE)

        assert isinstance(pool.submit(outer).result(PATIENCE), TimeoutError)


def test_two_dispatchers_may_call_each_other():
    """A call of the one waits for a call of the other, which waits for one of the first."""
    with Dispatcher(1) as one, Dispatcher(1) as other:

        def outer(n):
            return other.submit(lambda: one.submit(str, n).result()).result()

        assert list(one.map(outer, range(9))) == [*"012345678"]


def test_a_thread_that_the_function_started_waits_neither():
    """With its context it is within the call, wherever it runs."""
    import contextvars

    with Dispatcher(1) as pool:

        def outer():
            with ThreadPoolExecutor(1) as threads:
                context = contextvars.copy_context()
                return threads.submit(context.run, lambda: pool.submit(int).result()).result()

        assert pool.submit(outer).result(PATIENCE) == 0


@pytest.mark.parametrize("workers", [1, 3])
def test_a_call_that_reads_a_stream_may_wait_for_another(workers):
    """The one slot is its own until the stream ends; what it waits for rides along."""
    with Simulator() as sim, Dispatcher(workers, concurrency=1) as pool:
        body = {"model": "m", "messages": [{"role": "user", "content": "p"}], "stream": True}

        def ask(**options):
            url = sim.base_url + "/chat/completions"
            return requests.post(url, json=body | options, timeout=PATIENCE)

        def inner():
            return ask(stream=False).status_code

        def outer():
            url = sim.base_url + "/chat/completions"
            with requests.post(url, json=body, stream=True, timeout=PATIENCE) as response:
                lines = response.iter_lines()
                next(lines)
                status = pool.submit(inner).result(PATIENCE)
                return status, sum(1 for _ in lines) > 0

        assert pool.submit(outer).result(PATIENCE) == (200, True)
        assert pool.submit(inner).result(PATIENCE) == 200
        until(lambda: pool.quota.slots.in_use == 0)


def test_many_calls_within_calls_lose_nothing(eager_switching):
    """With threads taking turns as often as they can, three deep."""
    with Dispatcher(4) as pool:

        def call(depth, n):
            if depth == 0:
                return n
            time.sleep(0)
            return sum(pool.map(call, [depth - 1] * 2, [n] * 2))

        assert list(pool.map(call, [3] * 40, range(40))) == [8 * n for n in range(40)]
    assert pool.quota.slots.in_use == 0
