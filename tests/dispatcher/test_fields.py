"""What an outcome tells, and the context in which calls run."""

import threading
import traceback
from contextvars import ContextVar

import pytest
import requests
import responses

from tests.dispatcher.support import PATIENCE, BusyError, Calls
from threadllm import Dispatcher, Outcome, RequestRecord, Retry, Usage
from threadllm.call import current

URL = "http://llm.test/v1/chat"
EXACT = Retry(jitter="none")


@pytest.fixture
def web():
    with responses.RequestsMock() as mock:
        yield mock


def test_an_outcome_tells_all_that_became_of_an_item(clock, web):
    """Index, name, item, value, tries, time, tokens and requests; queue and waits take no time."""
    body = '{"usage": {"prompt_tokens": 3, "completion_tokens": 4}}'

    def answer(_):
        clock.advance(1.5)
        return 200, {}, body

    web.add_callback(responses.POST, URL, answer)
    tries = []

    def call(item):
        clock.advance(0.25)
        tries.append(item)
        if len(tries) == 1:
            raise BusyError(after=60)
        return requests.post(f"{URL}?key=secret").json()["usage"]["prompt_tokens"]

    with Dispatcher(1, retry=EXACT, clock=clock) as pool:
        stream = pool.outcomes(call, ["x"], key=ord)
        reader = threading.Thread(target=lambda: outcomes.extend(stream))
        outcomes = []
        reader.start()
        assert clock.advance_to_next() == 60
        reader.join(PATIENCE)

    assert outcomes == [
        Outcome(
            index=0,
            key=120,
            item="x",
            value=3,
            error=None,
            attempts=2,
            elapsed=2.0,
            usage=Usage(3, 4),
            requests=(RequestRecord("POST", URL, 200, 1.5, 0, len(body)),),
        )
    ]
    assert pool.totals.busy == 2.0


def test_time_in_the_queue_is_nobodys(clock):
    """A call that waits for a thread, for a slot or parked has not yet begun or stands still."""
    parked = []

    def call(item):
        clock.advance(1)
        if item == "parks":
            call = current.get()
            until = clock.monotonic() + 50
            parked.append(1)
            call.park(lambda: until)
        clock.advance(2)

    with Dispatcher(1, clock=clock) as pool, clock.running():
        outcomes = [*pool.outcomes(call, ["first", "parks", "last"], ordered=True)]

    assert [(o.item, o.elapsed) for o in outcomes] == [("first", 3), ("parks", 3), ("last", 3)]
    assert (parked, clock.monotonic()) == ([1], 1059)


def test_a_failed_outcome_tells_its_error(clock):
    """Attempts count what was charged, and the value is None."""
    error = ValueError("mine")
    with Dispatcher(1, clock=clock) as pool:
        (outcome,) = pool.outcomes(Calls({"x": [error]}), ["x"])

    assert outcome == Outcome(0, 0, "x", None, error, 1, 0.0, Usage(), ())
    assert not outcome.ok


def fails_on_a_line_of_its_own(item):
    """What a user wrote."""
    assert item
    raise ValueError(item)  # the user's own line


def test_unwrapping_shows_the_users_line():
    """The error is raised with the traceback that it had in its thread."""
    with Dispatcher(1) as pool:
        (outcome,) = pool.outcomes(fails_on_a_line_of_its_own, ["x"])
        with pytest.raises(ValueError, match="x") as raised:
            outcome.unwrap()
        with pytest.raises(ValueError, match="y") as mapped:
            [*pool.map(fails_on_a_line_of_its_own, ["y"])]
        with pytest.raises(ValueError, match="z") as submitted:
            pool.submit(fails_on_a_line_of_its_own, "z").result()

    for error in (raised.value, mapped.value, submitted.value):
        shown = "".join(traceback.format_exception(type(error), error, error.__traceback__))
        assert "raise ValueError(item)  # the user's own line" in shown


def test_unwrapping_gives_the_value():
    """A value comes out as it is."""
    with Dispatcher(1) as pool:
        assert [o.unwrap() for o in pool.outcomes(lambda item: item, [None])] == [None]


trace = ContextVar("trace", default="none")


def test_each_call_runs_in_its_submitters_context(clock):
    """What a call sets is seen by no other call, and not by its own next try."""
    seen = []

    def call(item):
        seen.append((item, trace.get()))
        trace.set(f"left by {item}")
        if seen.count((item, "one")) == 1:
            raise BusyError(after=1)

    with Dispatcher(1, retry=EXACT, clock=clock) as pool, clock.running():
        assert pool.submit(call, "a").result(PATIENCE) is None
        token = trace.set("one")
        futures = [pool.submit(call, "b"), pool.submit(call, "c")]
        trace.set("two")
        outcomes = [*pool.outcomes(call, ["d"])]
        trace.reset(token)
        assert [future.result(PATIENCE) for future in futures] == [None, None]

    once = [("a", "none"), ("b", "one"), ("b", "one"), ("c", "one"), ("c", "one"), ("d", "two")]
    assert (sorted(seen), [o.ok for o in outcomes], trace.get()) == (once, [True], "none")
