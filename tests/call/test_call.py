"""The call in progress: its slots, its time, what it remembers. All in virtual time."""

import pytest

from tests.call.conftest import (
    ORIGIN,
    free,
    has_slot,
    in_thread,
    opened,
    pause_calls,
    until_in_line,
    until_waiting_for_slot,
)
from threadllm.call import Call
from threadllm.exceptions import CallCancelled


def waits_for_slot(terms, call):
    """Two calls that have all the slots, and an exchange of a third that waits for one."""
    opened(call).finish()
    others = [Call(terms) for _ in range(2)]
    for other in others:
        other.begin()
    waiting = in_thread(lambda: opened(call))
    until_waiting_for_slot(terms.quota)
    return others, waiting


def test_a_call_begins_with_a_slot_and_ends_without(terms, call):
    """Whatever it made of it."""
    assert (free(terms), call.began) == (1, 100)

    call.end()

    assert free(terms) == 2


def test_the_first_request_uses_the_slot_that_the_call_has(terms, call):
    """And gives it back when it is over; the next takes one of its own."""
    first = opened(call)
    assert free(terms) == 1
    first.finish()
    assert free(terms) == 2
    second = opened(call)
    assert free(terms) == 1
    second.finish()
    call.end()
    assert free(terms) == 2


def test_an_exchange_is_finished_once(terms, call):
    """The second time nothing is given back, counted or put on record."""
    exchange = opened(call)
    exchange.finish()
    exchange.finish()

    assert (free(terms), len(call.records), terms.tally.totals().requests) == (2, 1, 1)


def test_the_end_gives_back_everything(terms, call):
    """Exchanges still open are finished then, and on record."""
    opened(call), opened(call)
    assert free(terms) == 0

    call.end()

    assert (free(terms), len(call.records)) == (2, 2)


def test_waits_are_not_part_of_the_time_it_ran(clock, terms, call):
    """Neither those for a retry nor those before a gate."""
    clock.advance(1)
    now = clock.monotonic()
    terms.quota.line(ORIGIN).gate.shut(now + 10, now=now, sent=now, asked=True)
    with clock.running():
        exchange = opened(call)
    assert clock.monotonic() == 111
    clock.advance(2)
    exchange.finish()
    with clock.running():
        call.park(lambda: 150)
    clock.advance(4)
    call.end()

    assert call.elapsed == 1 + 2 + 4
    assert terms.tally.totals().busy == 7


def test_waiting_for_a_slot_is_not_part_of_it_either(clock, terms, call):
    """Time that a request waits while others have all the slots."""
    others, waiting = waits_for_slot(terms, call)
    clock.advance(30)
    others[0].end()
    waiting().finish()
    clock.advance(1)
    call.end()
    others[1].end()

    assert (call.elapsed, free(terms)) == (1, 2)


def test_a_wait_for_a_slot_can_be_cancelled(terms, call):
    """Also where the slots are held by calls of a dispatcher that goes on."""
    _, waiting = waits_for_slot(terms, call)
    terms.stop()

    assert isinstance(waiting(), CallCancelled)
    assert free(terms) == 0


def test_who_parks_holds_no_slot(clock, terms, call):
    """The slot in hand goes back before the wait, and is counted as parked meanwhile."""
    waiting = in_thread(lambda: call.park(lambda: 150))
    assert clock.wait_for_sleepers() == [50]
    assert (free(terms), terms.tally.totals().parked) == (2, 1)
    clock.advance(50)
    waiting()
    assert (free(terms), terms.tally.totals().parked) == (2, 0)


def test_a_moment_that_has_come_is_not_waited_for(terms, call):
    """The call keeps the slot that it has."""
    call.park(lambda: 100)

    assert free(terms) == 1


def test_a_gate_that_shuts_while_a_slot_is_waited_for_is_waited_for(clock, terms, call):
    """The slot goes back at once, and is taken again when the gate is open."""
    others, waiting = waits_for_slot(terms, call)
    terms.quota.line(ORIGIN).gate.shut(130, now=100, sent=100, asked=True)
    others[0].end()
    assert clock.wait_for_sleepers() == [30]
    assert free(terms) == 1
    clock.advance(30)
    assert waiting().sent == 130
    assert free(terms) == 0


def test_a_rider_waits_for_the_gate_and_has_no_slot_to_give_back(clock, terms, call):
    """Beside its stream it needs no slot, but it is held back like everyone."""
    streams = opened(call), opened(call)
    for stream in streams:
        stream.handed_over = True
    terms.quota.line(ORIGIN).gate.shut(130, now=100, sent=100, asked=True)
    riding = in_thread(lambda: opened(call))
    assert clock.wait_for_sleepers() == [30]
    assert (free(terms), terms.tally.totals().parked) == (0, 1)
    clock.advance(30)
    rider = riding()

    assert [has_slot(one) for one in (*streams, rider)] == [True, True, False]
    assert (rider.sent, terms.tally.totals().parked) == (130, 0)
    call.end()
    assert free(terms) == 2


def test_a_request_beside_a_stream_rides_along_where_no_slot_is_free(terms, call):
    """To wait would be to wait for itself; where a slot is free, it is taken."""
    stream = opened(call)
    beside = opened(call)
    rider = opened(call)

    assert [has_slot(one) for one in (stream, beside, rider)] == [True, True, False]
    assert free(terms) == 0
    for exchange in (stream, beside, rider):
        exchange.finish()
    assert free(terms) == 2


def test_who_has_waited_beside_a_stream_takes_a_slot_if_one_is_free(clock, terms, call):
    """It goes without only where it would have to wait for itself."""
    stream, quota = opened(call), terms.quota
    stream.handed_over = True
    quota.line(ORIGIN).gate.shut(130, now=100, sent=100, asked=True)
    riding = in_thread(lambda: opened(call))
    assert clock.wait_for_sleepers() == [30]
    clock.advance(30)
    rider = riding()

    assert [has_slot(one) for one in (stream, rider)] == [True, True]
    call.end()
    assert free(terms) == 2


@pytest.mark.parametrize("handed_over", [True, False])
def test_another_thread_of_the_call_rides_along_with_streams_alone(terms, call, handed_over):
    """It may wait for requests that end by themselves, not for bodies that the function reads."""
    exchanges = [opened(call), opened(call)]
    for exchange in exchanges:
        exchange.handed_over = handed_over
    other = in_thread(lambda: opened(call))
    if not handed_over:
        until_in_line(terms.quota.line(ORIGIN))
        exchanges[0].finish()

    assert has_slot(other()) is not handed_over
    call.end()
    assert free(terms) == 2


def test_a_call_that_waits_to_begin_can_be_cancelled(clock, terms):
    """Before the gate it holds nothing; nothing is left behind."""
    pause_calls(terms.quota, 100)
    beginning = in_thread(Call(terms).begin)
    assert clock.wait_for_sleepers() == [100]
    terms.stop()

    assert str(beginning()) == "the dispatcher was told to stop while this call waited"
    assert free(terms) == 2


def test_a_call_does_not_begin_once_its_dispatcher_was_told_to_stop(terms):
    """The slot that it got by then goes back."""
    terms.stop()

    with pytest.raises(CallCancelled):
        Call(terms).begin()
    assert free(terms) == 2


def test_a_parked_call_can_be_cancelled(clock, terms, call):
    """What it waited counts as waiting."""
    parked = in_thread(lambda: call.park(lambda: 200))
    clock.wait_for_sleepers()
    clock.advance(10)
    clock.wait_for_sleepers()
    terms.stop()

    assert isinstance(parked(), CallCancelled)
    call.end()
    assert (call.elapsed, terms.tally.totals().parked, free(terms)) == (0, 0, 2)
