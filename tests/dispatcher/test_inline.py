"""Calls that run in the thread that submits them."""

import threading

import pytest
import requests

import threadllm
from tests.dispatcher.support import BusyError, Calls, python
from threadllm import Dispatcher, RunStopped
from threadllm.simulator import Simulator
from threadllm.testing import inline


def here(*_):
    return threading.get_ident()


def test_calls_run_in_the_thread_that_submits_them():
    """However they are submitted, one after the other, and not before or after the block."""
    me = threading.get_ident()
    with Dispatcher(2) as pool:
        with inline():
            futures = [pool.submit(here), *map(pool.submit, [here] * 2)]
            assert all(future.done() for future in futures)
            seen = [future.result() for future in futures]
            seen += [*pool.map(here, range(3)), *threadllm.map(here, range(3))]
            seen += [one.value for one in pool.outcomes(here, range(5), ordered=True)]
        assert me not in {pool.submit(here).result(), *pool.map(here, range(3))}
        assert seen == [me] * len(seen)
        assert pool.totals.ok == 3 + 3 + 5 + 4


def test_another_thread_submits_as_ever():
    """The block is its thread's."""
    with Dispatcher(1) as pool, inline():
        seen = []
        thread = threading.Thread(target=lambda: seen.append((here(), pool.submit(here).result())))
        thread.start()
        thread.join()

    assert seen[0][0] != seen[0][1]


def test_an_input_is_pulled_an_item_at_a_time():
    """Each outcome is handed back before the next item is pulled."""
    order = []

    def items():
        for n in range(3):
            order.append(f"pulled {n}")
            yield n

    with inline(), Dispatcher(4) as pool:
        order.extend(f"done {outcome.value}" for outcome in pool.outcomes(str, items()))

    assert order == [f"{what} {n}" for n in range(3) for what in ("pulled", "done")]


def test_what_fails_is_tried_again(clock):
    """Its waits are waited out here."""
    calls = Calls({1: [BusyError(), BusyError(429, after=7)], 2: [ValueError("no")]}, clock)
    with clock.running(), inline(), Dispatcher(1, clock=clock) as pool:
        seen = list(pool.outcomes(calls, range(3)))

    assert [(one.value, type(one.error)) for one in seen] == [
        (0, type(None)),
        (1, type(None)),
        (None, ValueError),
    ]
    assert len(calls.seen) == 5


def test_requests_are_paced_and_recorded():
    """As in any call."""
    with Simulator() as sim, inline(), Dispatcher(1) as pool:
        [outcome] = pool.outcomes(lambda _: requests.get(f"{sim.base_url}/models").ok, [1])

    assert (outcome.value, len(outcome.requests), pool.totals.requests) == (True, 1, 1)


def test_a_run_that_stops_stops():
    """Nothing further is begun."""
    asked = []

    def refuse(item):
        asked.append(item)
        raise BusyError(401)

    with inline(), Dispatcher(1) as pool, pytest.raises(RunStopped):
        list(pool.outcomes(refuse, range(9)))

    assert asked == [0]


def test_after_shutdown_nothing_is_run():
    """It is refused as it always is."""
    pool = Dispatcher(1)
    pool.shutdown()
    with inline(), pytest.raises(RuntimeError, match="after shutdown"):
        pool.submit(here)


@pytest.mark.parametrize("run", ["map", "outcomes"])
def test_what_is_begun_there_is_run_there(run):
    """To its end, though it is read outside; what is begun outside is not."""
    with Dispatcher(1) as pool:
        with inline():
            there = getattr(pool, run)(here, range(9))
        outside = getattr(pool, run)(here, range(9))
        values = [[getattr(one, "value", one) for one in each] for each in (there, outside)]

    assert {*values[0]} == {threading.get_ident()}
    assert threading.get_ident() not in values[1]


def test_no_thread_is_begun():
    """So that a debugger stays where it is."""
    code = """
import threading, threadllm
from threadllm.testing import inline
with inline(), threadllm.Dispatcher(8) as pool:
    print(pool.submit(threading.active_count).result(), [*pool.map(str, range(3))])
"""
    assert python(code) == "1 ['0', '1', '2']\n"
