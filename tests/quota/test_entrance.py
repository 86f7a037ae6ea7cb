import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.quota.support import (
    NOTHING,
    Guest,
    Hours,
    a_line,
    leave,
    let_in,
    most_in_any_window,
)
from threadllm.exceptions import BreakerOpen, CallCancelled
from threadllm.quota import Breaker, Ended, Need, Quota

SLOW = {"requests_per_minute": 60}  # one a second, less a hundredth


# By one thread: to wait is to let the time pass.

arrivals = st.lists(st.one_of(st.just(0.0), st.floats(0, 30)), min_size=1, max_size=80)


@given(st.floats(1, 10_000), st.integers(1, 50), arrivals)
def test_no_window_has_more_starts_than_the_rate_and_the_burst(rate, burst, pauses):
    """Of requests that come whenever they like, in no time span of any length start too many."""
    quota, clock = Quota(500, requests_per_minute=rate, burst=burst), Hours()
    line, starts, arrived = a_line(quota), [], 0.0
    for pause in pauses:
        arrived += pause
        clock.now = max(clock.now, arrived)
        permit = line.entrance.pass_by(NOTHING, clock.now)
        if permit is None:
            permit = line.entrance.enter(Guest(quota, clock), NOTHING)
        starts.append(permit.at)
        leave(line, permit, permit.at)
    assert most_in_any_window(starts, rate / 60) <= burst + 1e-5 * max(1.0, starts[-1])


@given(st.integers(1, 50), arrivals)
def test_nobody_waits_in_vain(burst, pauses):
    """When the wait that was told has passed, and nobody else has come, the visitor may go."""
    settings = {"requests_per_minute": 60, "tokens_per_minute": 600, "burst": burst}
    quota, clock = Quota(500, **settings), Hours()
    line = a_line(quota)
    for pause in pauses:
        clock.now += pause
        guest = Guest(quota, clock)
        permit = line.entrance.enter(guest, Need(100))
        assert len(guest.told) <= 1
        leave(line, permit, clock.now)
        guest.give_slot_back()


def test_who_has_a_slot_passes_by():
    """Where nobody waits and nothing is to be waited for."""
    line = a_line(concurrency=2, **SLOW, burst=1)
    assert [line.entrance.pass_by(NOTHING, 0.0).number, line.entrance.pass_by(NOTHING, 0.0)] == [
        1,
        None,
    ]


def test_nobody_passes_by_where_there_is_no_room():
    """The origin may have fewer slots than the quota has."""
    line = a_line(concurrency=2)
    line.origin.concurrency.shrink(1)
    first = line.entrance.pass_by(NOTHING, 0.0)
    assert line.entrance.pass_by(NOTHING, 0.0) is None
    leave(line, first)
    assert line.entrance.pass_by(NOTHING, 0.0).number == 2


def test_what_goes_by_itself_comes_with_a_slot():
    """And counts as parked no longer."""
    quota, clock = Quota(2, **SLOW), Hours()
    line, guest = a_line(quota), Guest(quota, clock)
    let_in(line)
    permit = line.entrance.enter(guest, NOTHING)
    assert [permit.at, guest.told] == [pytest.approx(1 / 0.99), [pytest.approx(1 / 0.99)]]
    assert [guest.holds_slot, guest.is_parked, quota.slots.in_use] == [True, False, 1]
    assert line.entrance.waiting == 0


def test_room_that_opens_with_time_is_waited_for():
    """Without being parked: it is a slot that is waited for."""
    quota, clock = Quota(64), Hours()
    line, guest = a_line(quota), Guest(quota, clock)
    for _ in range(32):
        line.entrance.pass_by(NOTHING, 0.0)
    parks = []
    guest.park = lambda *, parked: parks.append(parked)
    line.entrance.enter(guest, NOTHING)
    assert guest.told == [pytest.approx(math.log(33 / 32, 4))]
    assert not any(parks)


def test_retries_wait_for_their_budget():
    """First requests do not."""
    quota, clock = Quota(500, retry_budget=0.2), Hours()
    line = a_line(quota)
    line.origin.concurrency.acquit()
    for _ in range(100):
        line.entrance.pass_by(NOTHING, 0.0, is_retry=True)
    assert line.entrance.pass_by(NOTHING, 0.0, is_retry=True) is None
    assert line.entrance.pass_by(NOTHING, 0.0) is not None
    guest = Guest(quota, clock)
    line.entrance.enter(guest, NOTHING, is_retry=True)
    assert guest.told == [pytest.approx(0.08)]


def test_who_does_not_wait_for_the_breaker_fails():
    """It leaves the line, and has no slot."""
    quota = Quota(2, breaker=Breaker(sliding_window=1, failure_rate=1), breaker_action="fail")
    line, guest = a_line(quota), Guest(quota, Hours())
    leave(line, let_in(line), ended=Ended.ANSWERED_BADLY)
    with pytest.raises(BreakerOpen):
        line.entrance.enter(guest, NOTHING)
    assert [line.entrance.waiting, quota.slots.in_use] == [0, 0]


def test_who_is_called_off_between_two_waits_has_no_slot():
    """What it took meanwhile is free again."""
    quota = Quota(2)
    line, guest = a_line(quota), Guest(quota, Hours())
    take = guest.take_slot

    def take_slot():
        take()
        guest.called_off = True

    guest.take_slot = take_slot
    with pytest.raises(CallCancelled):
        line.entrance.enter(guest, NOTHING)
    assert [guest.holds_slot, quota.slots.in_use, line.entrance.waiting] == [False, 0, 0]


def test_whether_to_wait_on_is_asked_under_the_lock():
    """Else who is called off between that and its wait would not hear of it."""
    quota, held = Quota(2), []
    line, guest = a_line(quota), Guest(quota, Hours())
    guest.check = lambda: held.append(line.lock._is_owned())
    line.entrance.enter(guest, NOTHING)
    assert held == [True, True]
