"""Calls that are tried again as a whole: when, how often, and holding no thread meanwhile."""

import random
import threading
from concurrent.futures import wait
from types import SimpleNamespace

import pytest

from tests.dispatcher.support import PATIENCE, BusyError, Calls
from threadllm import CallCancelled, Dispatcher, Retry
from threadllm.call import Failure, current

EXACT = Retry(jitter="none")


def answer(after, **fields):
    headers = {} if after is None else {"Retry-After": after}
    return SimpleNamespace(headers=headers, **fields)


def on_itself(after):
    error = Exception("status_code on the error")
    error.status_code, error.response = 503, answer(after)
    return error


def on_response(after):
    error = Exception("status_code on the response")
    error.response = answer(after, status_code=529)
    return error


def on_urllib(after):
    error = Exception("status and headers on the error")
    error.status, error.headers = 500, answer(after).headers
    return error


def behind_another(after):
    error = ValueError("what the function made of it")
    error.__cause__ = on_itself(after)
    return error


@pytest.mark.parametrize("shape", [on_itself, on_response, on_urllib, behind_another])
def test_an_error_is_known_by_its_shape_and_its_wait_is_kept(clock, shape):
    """A call runs again when the provider said, or when the policy says: never earlier."""
    calls = Calls({"a": [shape("2"), shape("5"), shape(None)]}, clock)
    with Dispatcher(2, retry=EXACT, clock=clock) as pool:
        future = pool.submit(calls, "a")
        waits = [clock.advance_to_next() for _ in range(3)]

        assert future.result(PATIENCE) == "a"
    assert (waits, calls.seen) == ([2, 5, 2], [("a", when) for when in (1000, 1002, 1007, 1009)])


def test_a_retry_holds_no_thread(clock):
    """While 500 calls wait for their second try, 4 threads do everything else."""
    calls = Calls({n: [BusyError(after=2)] for n in range(0, 1000, 2)}, clock)
    with Dispatcher(4, clock=clock) as pool:
        outcomes = pool.outcomes(calls, range(1000), buffersize=1000)
        first = [next(outcomes) for _ in range(500)]
        clock.wait_for_sleepers(4)
        totals = pool.totals
        clock.advance(2)
        second = [*outcomes]

    for group, start, attempts in ((first, 1, 1), (second, 0, 2)):
        found = sorted((o.index, o.value, o.attempts) for o in group)
        assert found == [(n, n, attempts) for n in range(start, 1000, 2)]
    assert (totals.ok, totals.retrying, totals.retries) == (500, 500, 500)
    assert [pool.totals.ok, pool.totals.failed, pool.totals.retrying] == [1000, 0, 0]
    assert {when for _, when in calls.seen[-500:]} == {1002.0}


def test_a_due_retry_waits_for_no_long_call(clock):
    """A thread that left off watching for a retry, to run a call, is replaced by another."""
    begun, held = threading.Event(), threading.Event()
    calls = Calls({"again": [BusyError(after=2)]}, clock)
    with Dispatcher(2, clock=clock) as pool:
        again = pool.submit(calls, "again")
        clock.wait_for_sleepers()
        long = pool.submit(lambda: begun.set() or held.wait())
        begun.wait()
        clock.wait_for_sleepers()
        clock.advance(2)
        assert (again.result(PATIENCE), long.done()) == ("again", False)
        held.set()


def test_an_earlier_retry_is_not_behind_a_later_one(clock):
    """Whatever was put off first, what is due first runs first."""
    calls = Calls({"late": [BusyError(after=60)], "soon": [BusyError(after=1)]}, clock)
    with Dispatcher(1, clock=clock) as pool:
        futures = [pool.submit(calls, name) for name in ("late", "soon")]
        while sum(name == "soon" for name, _ in calls.seen) < 1:
            clock.wait_for_sleepers()
        waits = [clock.advance_to_next() for _ in range(2)]
        wait(futures, PATIENCE)

    assert (waits, calls.seen[2:]) == ([1, 59], [("soon", 1001.0), ("late", 1060.0)])


def test_when_attempts_are_used_up_the_last_error_is_the_items(clock):
    """As many calls as the policy allows, then the last one's error."""
    errors = [BusyError() for _ in range(3)]
    retry = Retry(attempts=3, jitter="none")
    with Dispatcher(1, retry=retry, clock=clock) as pool, clock.running():
        (outcome,) = pool.outcomes(Calls({"a": errors}), ["a"])

    assert (outcome.error, outcome.attempts, clock.monotonic()) == (errors[2], 3, 1001.5)


def test_a_429_holds_everyone_up_and_is_charged_to_nobody(clock):
    """No call begins before the gate opens, and the one that met it has used one attempt."""
    calls = Calls({"a": [BusyError(429, after=30)]}, clock)
    with Dispatcher(4, retry=Retry(attempts=1), clock=clock) as pool:
        first = pool.outcomes(calls, ["a"], buffersize=1)
        reader = threading.Thread(target=lambda: outcomes.extend(first))
        outcomes = []
        reader.start()
        clock.wait_for_sleepers()
        others = [pool.submit(calls, name) for name in "bcd"]
        while pool.totals.parked < 3:
            assert not any(future.done() for future in others)
        # Who watches for the retry, and the first in the line, who will wake the next.
        assert clock.wait_for_sleepers(2) == [30, 30]
        clock.advance(30)
        wait(others, PATIENCE)
        reader.join(PATIENCE)

    assert (calls.seen[0], pool.totals.throttled) == (("a", 1000.0), 1)
    assert sorted(calls.seen[1:]) == [(name, 1030.0) for name in "abcd"]
    assert [(o.value, o.attempts) for o in outcomes] == [("a", 1)]


def test_patience_with_429s_ends(clock):
    """A call that meets nothing else is given up when the policy says."""
    retry = Retry(jitter="none", give_up_after=10)
    calls = Calls({"a": [BusyError(429, after=4) for _ in range(9)]}, clock)
    with Dispatcher(1, retry=retry, clock=clock) as pool, clock.running():
        (outcome,) = pool.outcomes(calls, ["a"])

    assert ([when for _, when in calls.seen], outcome.attempts) == ([1000, 1004, 1008], 1)
    assert outcome.error.status_code == 429


def test_nobody_is_given_anothers_answer(eager_switching):
    """With many items that fail at random each still gets its own value."""
    luck = random.Random(7)
    failures = {n: [BusyError() for _ in range(luck.choice([0, 0, 1, 3]))] for n in range(2000)}
    expected = [(n, n, 1 + len(failures[n])) for n in range(2000)]
    with Dispatcher(8, retry=Retry(wait_initial=0)) as pool:
        outcomes = [*pool.outcomes(Calls(failures), range(2000), buffersize=100)]

    assert sorted((o.item, o.value, o.attempts) for o in outcomes) == expected


class MineError(Exception):
    pass


def test_errors_of_ones_own_are_tried_again_if_named(clock):
    """`Retry(exceptions=…)` adds to what is known to pass."""
    for retry, seen in ((EXACT, 1), (Retry(exceptions=(MineError,), jitter="none"), 2)):
        calls = Calls({"a": [MineError()]})
        with Dispatcher(1, retry=retry, clock=clock) as pool, clock.running():
            wait([pool.submit(calls, "a")], PATIENCE)
        assert calls.seen == ["a"] * seen


class StrangeError(Exception):
    @property
    def status_code(self):
        raise OSError("not to be told")


@pytest.mark.parametrize(
    "error",
    [
        CallCancelled("told to stop"),
        SystemExit(503),
        KeyboardInterrupt(),
        StrangeError(),
        BusyError(200),
        BusyError(401),
    ],
    ids=repr,
)
def test_what_no_retry_mends_is_not_tried_again(error):
    """The item fails at once, even where the policy names every error there is."""
    every = () if isinstance(error, BusyError) else (Exception,)
    retry = Retry(exceptions=() if isinstance(error, StrangeError) else every, wait_initial=0)
    calls = Calls({"a": [error]})
    with Dispatcher(1, retry=retry) as pool:
        assert pool.submit(calls, "a").exception(PATIENCE) is error
        assert pool.submit(calls, "b").result(PATIENCE) == "b"

    assert calls.seen == ["a", "b"]


@pytest.mark.parametrize("swallowed", [False, True])
@pytest.mark.parametrize(("owned", "tries"), [(True, 1), (False, 2)])
def test_each_retry_has_one_owner(owned, tries, swallowed):
    """What the transport has tried again is not tried again here, and what it could not is."""
    error, seen = BusyError(), []

    def call():
        seen.append(1)
        if owned or len(seen) == 1:
            current.get().fail("http://llm.test/", Failure(error, owned=owned))
            if not swallowed:
                raise error
        return "value"

    with Dispatcher(1, retry=Retry(attempts=2, wait_initial=0)) as pool:
        future = pool.submit(call)
        wait([future], PATIENCE)

    ended = (error, None) if owned else (None, "value")
    assert (future.exception(), None if owned else future.result()) == ended
    assert len(seen) == tries


class RudeError(Exception):
    @property
    def status_code(self):
        raise SystemExit("asked for its status")


def test_an_error_whose_properties_end_programs_ends_its_item_alone():
    """It has said nothing about itself, and is not tried again."""
    with Dispatcher(1) as pool:
        [outcome] = pool.outcomes(Calls({0: [RudeError("rude")]}), [0])

    assert (type(outcome.error), outcome.attempts) == (RudeError, 1)
