"""What no item would fare better with ends its run: a key, a credit, a permission."""

import math
import threading
from concurrent.futures import wait
from unittest import mock

import pytest

import threadllm
from tests.dispatcher.support import PATIENCE, BusyError, Calls
from tests.support import until
from threadllm import Dispatcher, Retry, RunStopped
from threadllm.call import Call, current
from threadllm.testing import FakeClock

GO_ON = "the rest was not run. on_stop='continue' runs it all the same"
ADVICE = "The key was not accepted: set a valid one."


def failing(which, error):
    """A function that fails with an error for one item."""

    def call(item):
        if item == which:
            raise error
        return item

    return call


@pytest.mark.parametrize("ordered", [True, False])
def test_outcomes_end_with_it_once_all_that_is_done_is_handed_back(ordered):
    """The item that met it is an outcome like any other; the endless rest of the input is left."""
    error = BusyError(401)
    done = []
    with Dispatcher(1) as pool, pytest.raises(RunStopped) as stopped:
        done.extend(pool.outcomes(failing(3, error), iter(range(10**9)), ordered=ordered))

    assert [pool.totals.ok, pool.totals.failed] == [3, 1]
    assert stopped.value.__cause__ is error
    assert (stopped.value.reason, stopped.value.advice) == ("status 401", ADVICE)
    assert str(stopped.value) == f"status 401. {ADVICE} Done: 3 ok, 1 failed; {GO_ON}"


def test_what_is_done_is_handed_back_first():
    """In whatever order; what was pulled and not begun has no outcome."""
    error = BusyError(403)
    outcomes, seen = None, []
    with Dispatcher(1) as pool:
        outcomes = pool.outcomes(failing(3, error), range(10), buffersize=10)
        with pytest.raises(RunStopped):
            seen.extend(outcomes)

    assert [(one.item, one.error) for one in seen] == [(0, None), (1, None), (2, None), (3, error)]


def test_map_ends_with_it():
    """Values that come before it are given; then it stands in the place of the item's error."""
    values = []
    error = BusyError(402)
    with Dispatcher(1) as pool, pytest.raises(RunStopped) as stopped:
        values.extend(pool.map(failing(2, error), range(1000)))

    assert (values, stopped.value.__cause__) == ([0, 1], error)
    with pytest.raises(RunStopped):
        threadllm.map(failing(2, error), range(1000), max_workers=2)


def test_an_earlier_failure_of_its_own_is_raised_by_map():
    """The first item that failed says why, though another has stopped the run since."""
    first, held = BusyError(400), threading.Event()

    def call(item):
        if item == 0:
            held.wait(PATIENCE)
            raise first
        raise BusyError(401)

    with Dispatcher(2) as pool:
        values = pool.map(call, range(2))
        until(lambda: pool.totals.failed == 1)
        held.set()
        with pytest.raises(BusyError) as raised:
            next(values)

    assert raised.value is first


def test_what_was_submitted_before_it_is_not_begun():
    """Futures that wait end with it; what is submitted later is a new start."""
    error, held = BusyError(401), threading.Event()

    def call(item):
        held.wait(PATIENCE)
        if item == 0:
            raise error
        return item

    with Dispatcher(1) as pool:
        futures = [pool.submit(call, item) for item in range(5)]
        held.set()
        wait(futures, PATIENCE)
        assert pool.submit(call, 7).result(PATIENCE) == 7

    assert futures[0].exception() is error
    assert [type(future.exception()) for future in futures[1:]] == [RunStopped] * 4
    assert len({id(future.exception()) for future in futures[1:]}) == 4
    assert (pool.totals.ok, pool.totals.failed) == (1, 1)


def test_calls_that_wait_for_their_turn_or_a_retry_end_undone():
    """Neither ok nor failed: they are the rest that is left to be run."""
    clock, held = FakeClock(), threading.Event()
    calls = Calls({"again": [BusyError(503, after=60)]})

    def call(item):
        if item == "again":
            return calls(item)
        held.wait(PATIENCE)
        raise BusyError(401)

    with Dispatcher(2, clock=clock, retry=Retry(jitter="none")) as pool:
        again, bad = pool.submit(call, "again"), pool.submit(call, "bad")
        until(lambda: pool.totals.retrying == 1)
        pool.quota.line("").gate.shut(clock.monotonic() + 99, now=0, sent=0, asked=True)
        begins = pool.submit(call, "begins")
        until(lambda: pool.totals.parked == 1)
        held.set()
        wait([again, bad, begins], PATIENCE)

    assert [type(one.exception()) for one in (again, bad, begins)] == [
        RunStopped,
        BusyError,
        RunStopped,
    ]
    assert (pool.totals.failed, pool.totals.retrying, pool.totals.parked) == (1, 0, 0)


def test_another_run_of_the_same_dispatcher_goes_on():
    """A run is one `outcomes`, or one `map`: others may go by another key."""
    with Dispatcher(2) as pool:
        good = pool.outcomes(str, range(100), ordered=True)
        assert next(good).value == "0"
        with pytest.raises(RunStopped):
            list(pool.outcomes(failing(1, BusyError(401)), range(10)))
        assert [one.value for one in good] == [str(n) for n in range(1, 100)]


def test_it_may_be_told_to_continue():
    """Each item then fails by itself."""
    call = failing(3, BusyError(401))
    with Dispatcher(1, on_stop="continue") as pool:
        outcomes = list(pool.outcomes(call, range(6)))

    assert [one.ok for one in outcomes] == [True, True, True, False, True, True]


def test_a_choice_that_there_is_not_is_refused():
    """In words that say which there are."""
    with pytest.raises(threadllm.OptionError) as refused:
        Dispatcher(on_stop="stop")
    assert str(refused.value) == "on_stop='stop': choose 'raise' or 'continue'"


def test_errors_that_are_the_items_own_stop_nothing():
    """A 400, a 404 and a fault of the function's are its items'."""

    class StrangeError(Exception):
        @property
        def status_code(self):
            raise OSError("not to be told")

    errors = [BusyError(400), BusyError(404), ValueError("mine"), StrangeError()]

    def call(item):
        raise errors[item]

    with Dispatcher(1) as pool:
        outcomes = list(pool.outcomes(call, range(4), ordered=True))

    assert [one.error for one in outcomes] == errors


def test_the_error_says_what_it_knows():
    """Alone it is its reason."""
    assert str(RunStopped("no credit")) == "no credit."


def test_a_call_that_waits_within_ends_undone():
    """As one that is parked for a retry of a request: it was told to wait no longer."""
    held = threading.Event()

    def call(item):
        if item == "waits":
            current.get().park(lambda: math.inf)
        held.wait(PATIENCE)
        raise BusyError(401)

    with Dispatcher(2) as pool:
        waits, bad = pool.submit(call, "waits"), pool.submit(call, "bad")
        until(lambda: pool.totals.parked == 1)
        held.set()
        wait([waits, bad], PATIENCE)

    assert [type(one.exception()) for one in (waits, bad)] == [RunStopped, BusyError]
    assert (pool.totals.ok, pool.totals.failed) == (0, 1)


def test_what_was_cancelled_before_stays_cancelled():
    """A run that is stopped has nothing to say to it."""
    held = threading.Event()

    def call():
        held.wait(PATIENCE)
        raise BusyError(401)

    with Dispatcher(1) as pool:
        bad, cancelled = pool.submit(call), pool.submit(call)
        until(bad.running)
        assert cancelled.cancel()
        held.set()

    assert (type(bad.exception()), cancelled.cancelled()) == (BusyError, True)


def test_what_a_deadline_has_ended_is_not_left_undone():
    """It has failed, and is told so by whoever ended it."""
    held = threading.Event()

    def call():
        held.wait(PATIENCE)
        raise BusyError(401)

    with Dispatcher(1) as pool:
        bad, late = pool.submit(call), pool.submit(call)
        until(bad.running)
        with mock.patch.object(pool._staff.deadlines, "release", return_value=False):
            held.set()
            pool.shutdown()

    assert (bad.done(), late.done()) == (False, False)


@pytest.mark.parametrize("moment", ["before its slot", "after it"])
def test_an_item_that_was_about_to_begin_does_not(monkeypatch, moment):
    """Its thread was as far as that when another item stopped their run."""
    about_to_begin, ran, begin = threading.Event(), [], Call.begin

    def wait_for_the_other():
        about_to_begin.set()
        until(lambda: pool.totals.failed)

    def estimate(item):
        if item == 1 and moment == "before its slot":
            wait_for_the_other()
        return item

    def begin_slowly(call):
        begin(call)
        if call.need.input_tokens == 1 and moment == "after it":
            wait_for_the_other()

    def call(item):
        if item == 0:
            about_to_begin.wait(PATIENCE)
            raise BusyError(401)
        ran.append(item)

    monkeypatch.setattr(Call, "begin", begin_slowly)
    with Dispatcher(2, estimate=estimate) as pool, pytest.raises(RunStopped):
        list(pool.outcomes(call, range(2)))
    assert ran == []
    assert (pool.totals.ok, pool.totals.failed, pool.quota.slots.in_use) == (0, 1, 0)
