"""A call whose deadline passes: its waits end, its exchanges are cut, and nothing begins."""

import contextvars
import math

import pytest

from tests.call.conftest import (
    ORIGIN,
    SOON,
    TEXT,
    begun,
    free,
    in_thread,
    opened,
    pause_calls,
    until_waiting_for_slot,
)
from threadllm import deadline
from threadllm.call import NO_LIMIT, Call, Limit, seconds_here
from threadllm.exceptions import CallExpired, OptionError


@pytest.fixture
def call(terms):
    """A call that has begun, with 30 seconds to go."""
    return begun(terms, SOON)


@pytest.mark.parametrize("seconds", [0, -1, math.nan, math.inf, "30", None])
def test_seconds_that_cannot_be_meant_are_refused(seconds):
    """At once, and not when the block begins."""
    with pytest.raises(OptionError) as refused:
        deadline(seconds)

    assert str(refused.value) == f"deadline={seconds!r}: give seconds, more than 0"


def test_the_shorter_deadline_counts_within_another():
    """And the outer one again after it."""
    seen = [seconds_here.get()]
    with deadline(30):
        for seconds in (10, 60):
            with deadline(seconds):
                seen.append(seconds_here.get())
        seen.append(seconds_here.get())
    seen.append(seconds_here.get())

    assert seen == [None, 10, 30, 30, None]


def test_a_block_that_fails_has_no_deadline_afterwards():
    """Its error goes on."""
    with pytest.raises(KeyError), deadline(30):
        raise KeyError

    assert seconds_here.get() is None
    assert contextvars.copy_context().get(seconds_here) is None


def test_a_park_ends_with_the_deadline(clock, terms, call):
    """Not sooner, though it is known to be in vain."""
    parked = in_thread(lambda: call.park(lambda: 500))
    assert clock.wait_for_sleepers() == [30]
    clock.advance(30)

    assert str(parked()) == TEXT
    assert terms.tally.totals().parked == 0


def test_a_gate_is_not_waited_for_beyond_the_deadline(clock, terms, call):
    """Neither by a request nor by a call that is to begin."""
    pause_calls(terms.quota, 400)
    terms.quota.line(ORIGIN).gate.shut(500, now=100, sent=100, asked=True)
    request = in_thread(lambda: opened(call))
    other = Call(terms, SOON)
    beginning = in_thread(other.begin)
    assert clock.wait_for_sleepers(2) == [30, 30]
    clock.advance(30)

    assert [type(request()), type(beginning())] == [CallExpired, CallExpired]
    assert free(terms) == 2


@pytest.mark.parametrize("begins", [True, False])
def test_a_wait_for_a_slot_ends_when_it_is_told(clock, terms, begins):
    """Slots know no time: whoever watches the clock tells."""
    call = Call(terms, SOON)
    if not begins:
        call.begin()
        call.under_way = True
        opened(call).finish()
    for _ in range(2):
        Call(terms).begin()
    waiting = in_thread(call.begin if begins else lambda: opened(call))
    until_waiting_for_slot(terms.quota)
    clock.advance(30)
    grace = call.expire()

    assert str(waiting()) == TEXT
    assert (free(terms), grace) == (0, 1.0)


def test_a_call_does_not_begin_after_its_deadline(clock, terms):
    """The slot that it got by then goes back."""
    clock.advance(30)

    with pytest.raises(CallExpired):
        Call(terms, SOON).begin()
    assert free(terms) == 2


def test_no_exchange_begins_after_the_deadline(clock, terms, call):
    """Whether or not anybody has told the call."""
    clock.advance(30)
    assert call.late
    assert not call.expired
    for _ in range(2):
        with pytest.raises(CallExpired):
            opened(call)
        call.expire()

    assert (call.expired, call.in_flight, free(terms)) == (True, [], 2)


def test_what_rides_along_has_no_slot_to_give_back(clock, terms, call):
    """It comes too late like any other."""
    opened(call), opened(call)
    clock.advance(30)

    with pytest.raises(CallExpired):
        opened(call)
    assert free(terms) == 0


def test_a_call_that_does_something_else_is_not_expected_to_end(call):
    """There is nothing that could be broken off."""
    assert call.expire() == 0.0


def test_a_call_that_was_told_already_is_expected_to_end(clock, call):
    """It was told the moment before, and is raised the deadline's error."""
    clock.advance(30)
    with pytest.raises(CallExpired):
        opened(call)

    assert call.must_end()
    assert call.expire() == 1.0


def test_a_call_ends_once(terms, call):
    """Its thread and its deadline may both end it; what it took is counted once."""
    opened(call)

    assert [call.end(), call.end()] == [True, False]
    assert (free(terms), len(call.records), call.under_way) == (2, 1, False)
    assert terms.tally.totals().requests == 1


def test_what_a_call_leaves_running_has_no_deadline(clock, terms, call):
    """Its threads may go on asking; those of a call that its deadline has ended may not."""
    call.end()
    clock.advance(30)
    assert opened(call).expired is False
    assert call.limit is NO_LIMIT

    other = Call(terms, Limit(140, 10))
    other.begin()
    other.expire()
    other.end()
    with pytest.raises(CallExpired):
        opened(other)
