"""What a call and its requests are charged, and whose quota they go by. All in virtual time."""

from dataclasses import replace
from unittest import mock

import pytest

from tests.call.conftest import (
    ORIGIN,
    SOON,
    URL,
    free,
    has_slot,
    in_thread,
    opened,
    pause_calls,
    until_in_line,
    until_waiting_for_slot,
)
from threadllm.call import Call
from threadllm.exceptions import CallCancelled, CallExpired
from threadllm.outcome import Usage
from threadllm.providers import asked_by
from threadllm.quota import Ended, Need, Quota, Quotas, Refusal

OTHER = "http://b:80"
NOWHERE = ""  # the origin of calls whose requests nobody knows of


@pytest.fixture
def going_by(terms):
    """Calls that have begun, by a quota with those options and other quotas, if there are any."""

    def start(others=None, /, **options):
        quota = Quota(**{"concurrency": 8, **options})
        quota.timed_by(terms.sleeper.clock)
        call = Call(replace(terms, quota=quota, quotas=Quotas(others or {})))
        call.begin()
        return call

    return start


def another(call, limit=None):
    """A call by the same terms, which has not begun."""
    return Call(call.terms) if limit is None else Call(call.terms, limit)


def row(call, origin, model=""):
    """How a line stands."""
    lines = call.terms.quota.snapshot().lines
    return next(line for line in lines if (line.origin, line.model) == (origin, model))


def left(call, origin):
    """What is left of an origin's limit."""
    [limit] = row(call, origin).limits
    return round(limit.left, 6)


def asking(call, body):
    """An exchange for a request with that body."""
    return call.open("POST", URL, ORIGIN, retry=0, asked=asked_by(body))


# Charged once


def test_requests_are_charged_once_each_and_their_call_no_more(clock, going_by):
    """The first takes the charge over that the call began with; the next wait for theirs."""
    call = going_by(requests_per_minute=60, burst=2)
    begun_with = left(call, NOWHERE)
    opened(call).finish()
    after_one = left(call, NOWHERE), left(call, ORIGIN)
    opened(call).finish()
    after_two = left(call, NOWHERE), left(call, ORIGIN)
    call.end()

    assert (begun_with, after_one, after_two) == (1, (2, 1), (2, 0))
    assert left(call, NOWHERE) == 2
    third = in_thread(lambda: opened(call))
    assert clock.wait_for_sleepers() == [pytest.approx(1, rel=0.02)]
    clock.advance_to_next()
    assert third().sent == clock.monotonic()


def test_a_call_without_requests_is_charged_as_one(clock, going_by):
    """It is all that is known of what it sends."""
    call = going_by(requests_per_minute=60, burst=1)
    call.end()
    assert left(call, NOWHERE) == 0
    next_one = in_thread(another(call).begin)

    assert clock.wait_for_sleepers() == [pytest.approx(1, rel=0.02)]
    clock.advance_to_next()
    next_one()


def test_a_call_that_waits_for_a_request_stays_charged(clock, going_by):
    """Else many would begin meanwhile; but it has no slot, nor a place among those in flight."""
    call = going_by(requests_per_minute=60, burst=2)
    opened(another(call)), opened(another(call))
    waiting = in_thread(lambda: opened(call))
    assert clock.wait_for_sleepers() == [pytest.approx(1, rel=0.02)]

    assert (left(call, NOWHERE), row(call, NOWHERE).slots_in_use) == (1, 0)
    assert (row(call, ORIGIN).parked, call.terms.quota.slots.in_use) == (1, 2)
    clock.advance_to_next()
    waiting()
    assert left(call, NOWHERE) == 2


def test_what_the_function_leaves_running_is_charged_for_itself(going_by):
    """A request after the end of its call takes nothing over."""
    call = going_by(requests_per_minute=60, burst=2)
    call.end()
    opened(call).finish()

    assert (left(call, NOWHERE), left(call, ORIGIN)) == (1, 1)


# Beginning


def test_waiting_to_begin_is_no_part_of_the_time_it_ran(clock, terms):
    """A call runs from when it has its turn."""
    call = Call(terms)
    pause_calls(terms.quota, 10)
    beginning = in_thread(call.begin)
    clock.wait_for_sleepers()
    clock.advance(10)
    beginning()
    clock.advance(5)
    call.end()

    assert (call.began, call.elapsed, terms.tally.totals().busy) == (110, 5, 5)


@pytest.mark.parametrize("why", ["stopped", "late"])
def test_a_call_that_does_not_begin_takes_no_time(clock, terms, why):
    """It is told why, and leaves nothing behind."""
    call = Call(terms, SOON)
    if why == "stopped":
        terms.stop()
    else:
        clock.advance(30)

    with pytest.raises(CallCancelled if why == "stopped" else CallExpired):
        call.begin()
    assert (call.elapsed, terms.tally.totals().busy) == (0, 0)
    assert (terms.quota.slots.in_use, terms.quota.snapshot().parked) == (0, 0)


# Several quotas


def test_an_origins_own_quota_stands_in_place_of_the_calls(going_by):
    """Its slots are taken, and that with which the call began goes back: others may begin."""
    own = Quota(1)
    call = going_by({"http://a": own}, concurrency=1)
    exchange = opened(call)

    assert (call.terms.quota.slots.in_use, own.slots.in_use) == (0, 1)
    other = another(call)
    other.begin()
    elsewhere = opened(other, "http://b/", OTHER)
    assert (call.terms.quota.slots.in_use, own.slots.in_use) == (1, 1)
    for one in (exchange, elsewhere):
        one.finish()
    assert (call.terms.quota.slots.in_use, own.slots.in_use) == (0, 0)


def test_each_quota_paces_its_own_requests_alone(clock, going_by):
    """The one that is used up holds nobody back at the other."""
    own = Quota(8, requests_per_minute=60, burst=1)
    call = going_by({"http://a": own}, requests_per_minute=60, burst=3)
    opened(call).finish()
    waiting = in_thread(lambda: opened(call))
    assert clock.wait_for_sleepers() == [pytest.approx(1, rel=0.02)]
    for _ in range(3):
        opened(call, "http://b/", OTHER).finish()

    assert (left(call, OTHER), own.slots.in_use) == (0, 0)
    clock.advance_to_next()
    assert waiting().sent == clock.monotonic()


@pytest.mark.parametrize("stated", [{}, {"requests_per_minute": 600, "burst": 9}])
def test_who_waits_for_an_origins_own_quota_holds_no_slot_of_the_calls(going_by, stated):
    """Whether or not its call began with a permit: others may begin meanwhile."""
    own = Quota(1)
    call = going_by({"http://a": own}, concurrency=1, **stated)
    first = opened(call)
    other, third = another(call), another(call)
    other.begin()
    waiting = in_thread(lambda: opened(other))
    until_in_line(own.line(ORIGIN))
    third.begin()

    assert (call.terms.quota.slots.in_use, own.slots.in_use) == (1, 1)
    first.finish()
    waiting().finish()
    third.end()
    assert (call.terms.quota.slots.in_use, own.slots.in_use) == (0, 0)


@pytest.mark.parametrize("for_what", ["a place", "a slot"])
def test_who_waits_for_an_origins_own_quota_can_be_cancelled(going_by, for_what):
    """Whatever it waits for there, and holds no slot of any."""
    own = Quota(1)
    call = going_by({"http://a": own, "http://b": own})
    first = opened(call)
    there = (URL, ORIGIN) if for_what == "a place" else ("http://b/", OTHER)
    waiting = in_thread(lambda: opened(another(call), *there))
    if for_what == "a place":
        until_in_line(own.line(ORIGIN))
    else:
        until_waiting_for_slot(own)
    call.terms.stop()

    assert isinstance(waiting(), CallCancelled)
    first.finish()
    assert (call.terms.quota.slots.in_use, own.slots.in_use) == (0, 0)


def test_what_holds_requests_back_is_told_of_all_quotas(going_by):
    """In a few words, each said once; nothing where nothing does."""
    own, other = Quota(), Quota()
    call = going_by({"http://a": own, "http://b": other})
    before = call.terms.note()
    for quota in (own, other):
        quota.timed_by(call.terms.sleeper.clock)
        quota.line(ORIGIN).gate.shut(130, now=100, sent=100, asked=True)
    both = call.terms.note()
    call.terms.quota.line(OTHER).gate.shut(160, now=100, sent=100, asked=True)

    assert (before, both, call.terms.note()) == ("", "paused=30s", "paused=60s paused=30s")


# What a request becomes, and what that means for others


def test_a_model_has_a_line_of_its_own(clock, going_by):
    """Requests for the other go on while one is paused, and share the origin's slots."""
    call = going_by()
    refused = asking(call, b'{"model": "m"}')
    refused.permit.refusal = Refusal(30.0, lambda _: 1.0)
    refused.finish()
    again = in_thread(lambda: asking(call, b'{"model": "m"}'))
    assert clock.wait_for_sleepers() == [30]

    assert asking(call, b'{"model": "n"}').sent == 100
    assert [row(call, ORIGIN, model).slots_in_use for model in "mn"] == [1, 1]
    clock.advance(30)
    assert again().sent == 130


def test_a_429_beside_others_leaves_room_for_so_many(clock, going_by):
    """It names no wait, and more were in flight than ever before: nobody pauses."""
    call = going_by(concurrency=3)
    for exchange in (opened(call), opened(call)):
        exchange.permit.ended = Ended.ACCEPTED
        exchange.finish()
    beside = [opened(call), opened(call)]
    refused = opened(call)
    refused.permit.refusal = Refusal(None, lambda _: 10.0)
    refused.finish()
    waiting = in_thread(lambda: opened(another(call)))
    until_in_line(call.terms.quota.line(ORIGIN))

    assert (row(call, ORIGIN).slots, row(call, ORIGIN).paused) == (2, 0)
    beside[0].finish()
    assert waiting().sent == clock.monotonic() == 100


def test_tokens_are_reserved_and_then_settled(going_by):
    """By the size of the body and what it allows for the answer; then by what was used."""
    call = going_by(tokens_per_minute=6000)
    exchange = asking(call, b'{"max_tokens": 100, "prompt": "' + b"x" * 367 + b'"}')
    reserved = left(call, ORIGIN)
    exchange.permit.ended, exchange.usage = Ended.ACCEPTED, Usage(50, 30)
    exchange.finish()

    assert (reserved, left(call, ORIGIN)) == (pytest.approx(5800), pytest.approx(5920))


def test_tokens_that_somebody_has_said_are_reserved_as_said(going_by):
    """Whatever the body looks like."""
    call = going_by(input_tokens_per_minute=6000)
    call.need = Need(1500.0, 10.0)
    asking(call, b'{"max_tokens": 100}')

    assert left(call, ORIGIN) == pytest.approx(4500)


@pytest.mark.parametrize("went_well", [True, False])
def test_a_call_without_requests_answers_for_its_provider(clock, going_by, went_well):
    """Where one came back between two 429s, pauses begin anew; else they grow."""
    refusal = Refusal(None, lambda paused: 10.0 * (paused + 1))
    first = going_by(adaptive=False)
    first.end()
    first.refuse(refusal)
    assert row(first, NOWHERE).paused == 10
    clock.advance(10)
    second, third = another(first), another(first)
    second.begin()
    second.went_well = went_well
    second.end()
    third.begin()
    third.end()
    third.refuse(refusal)

    assert row(first, NOWHERE).paused == (10 if went_well else 20)


def test_a_429_from_nowhere_holds_all_calls_back(clock, going_by):
    """As nobody knows of what origin it is."""
    call = going_by()
    call.end()
    call.refuse(Refusal(20.0, lambda _: 1.0))
    beginning = in_thread(another(call).begin)

    assert clock.wait_for_sleepers() == [20]
    assert opened(call).sent == 100
    clock.advance(20)
    beginning()


def test_what_comes_too_late_gives_everything_back(clock, terms):
    """It has waited for its turn to the very moment of the deadline."""
    call = Call(terms, SOON)
    call.begin()
    opened(call).finish()
    terms.quota.line(ORIGIN).gate.shut(130, now=100, sent=100, asked=True)
    waiting = in_thread(lambda: opened(call))
    assert clock.wait_for_sleepers() == [30]
    clock.advance(30)

    assert isinstance(waiting(), CallExpired)
    assert (terms.quota.slots.in_use, terms.tally.totals().parked) == (0, 0)
    assert [line.slots_in_use for line in terms.quota.snapshot().lines] == [0]


def test_a_rider_is_charged_like_any_other(going_by):
    """It has no slot, but it is a request."""
    call = going_by(concurrency=1, requests_per_minute=60, burst=2)
    stream, rider = opened(call), opened(call)

    assert [has_slot(one) for one in (stream, rider)] == [True, False]
    assert left(call, ORIGIN) == 0
    assert row(call, ORIGIN).slots_in_use == 2
    call.end()
    assert (row(call, ORIGIN).slots_in_use, call.terms.quota.slots.in_use) == (0, 0)


def test_no_error_in_the_counting_costs_a_slot(call, terms, monkeypatch):
    """Whatever goes wrong in the line."""
    exchange = opened(call)
    monkeypatch.setattr(exchange.line, "leave", mock.Mock(side_effect=OverflowError))
    with pytest.raises(OverflowError):
        exchange.finish()
    assert free(terms) == 2
