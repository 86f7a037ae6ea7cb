import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.quota.support import most_in_any_window
from threadllm.quota.meter import Meter

rates = st.floats(0.01, 1000)
capacities = st.floats(1, 500)
pauses = st.one_of(st.just(0.0), st.floats(0, 100))


def test_a_new_meter_is_full():
    """After a quiet time all that it holds may be used at once."""
    meter = Meter(2, 10)
    assert [meter.level(0), meter.wait(10, 0)] == [10, 0]


def test_what_was_taken_flows_in_again():
    """As many a second as the rate says, and never more than it holds."""
    meter = Meter(2, 10)
    meter.charge(10, 100)
    assert [meter.level(at) for at in (100, 101, 104.5, 105, 1000)] == [0, 2, 9, 10, 10]
    assert [meter.wait(cost, 101) for cost in (2, 3, 10)] == [0, 0.5, 4]


def test_what_is_more_than_all_waits_until_it_is_full():
    """Else it would wait for ever; what it takes beyond that is owed."""
    meter = Meter(2, 10)
    meter.charge(1, 0)
    assert meter.wait(50, 0) == 0.5
    meter.charge(50, 0.5)
    assert meter.level(0.5) == -40
    assert meter.wait(1, 0.5) == 20.5


def test_what_is_given_back_is_there_again():
    """But no more than it holds."""
    meter = Meter(2, 10)
    meter.charge(8, 0)
    meter.charge(-5, 0)
    assert meter.level(0) == 7
    meter.charge(-100, 0)
    assert meter.level(0) == 10
    meter.charge(10, 0)
    assert meter.level(0) == 0


def test_a_level_is_set():
    """As far as it fits in; it may be owed."""
    meter = Meter(2, 10)
    levels = []
    for level in (4, -6, 400):
        meter.set_level(level, 7)
        levels.append(meter.level(7))
    assert levels == [4, -6, 10]


def test_another_rate_holds_from_now_on():
    """What is there stays, and so does what is owed, as far as it fits in."""
    meter = Meter(2, 10)
    meter.charge(7, 0)
    meter.set_rate(4, 20, 1)
    assert [meter.level(at) for at in (1, 2, 10)] == [5, 9, 20]
    meter.set_rate(1, 6, 10)
    assert meter.level(10) == 6


@st.composite
def courses(draw):
    """What is taken of a meter: pauses, costs that it can hold, and shares that are given back."""
    rate, capacity = draw(rates), draw(capacities)
    costs = st.floats(0, capacity)
    steps = draw(st.lists(st.tuples(pauses, costs, st.floats(0, 1)), min_size=1, max_size=60))
    return rate, capacity, steps


@given(courses())
def test_no_window_has_more_than_flows_in_and_the_burst(course):
    """Whatever is taken and given back, in no time span of any length is more used than stated."""
    rate, capacity, steps = course
    meter, now = Meter(rate, capacity), 0.0
    used, low, worst = 0.0, 0.0, -math.inf
    for pause, cost, share in steps:
        now += pause
        now += meter.wait(cost, now)
        low = min(low, used - rate * now)
        meter.charge(cost, now)
        used += cost
        worst = max(worst, used - rate * now - low)
        back = cost * share
        low = min(low, used - rate * now)
        meter.charge(-back, now)
        used -= back
    assert worst <= capacity * (1 + 1e-6) + rate * now * 1e-9 + 1e-6


@given(rates, capacities, st.lists(pauses, min_size=1, max_size=60))
def test_as_many_start_as_stated_and_no_more(rate, capacity, arrivals):
    """Of requests that come whenever they like, no window has more than its share and the burst."""
    meter, now, starts = Meter(rate, capacity), 0.0, []
    for pause in arrivals:
        now += pause
        now += meter.wait(1, now)
        meter.charge(1, now)
        starts.append(now)
    assert most_in_any_window(starts, rate) <= capacity + 1e-6 * max(1, rate * now)


@given(courses(), st.floats(0, 1000))
def test_nobody_waits_in_vain(course, wanted):
    """When the wait that was told has passed, and nobody else came, it may go; and not before."""
    rate, capacity, steps = course
    meter, now = Meter(rate, capacity), 0.0
    for pause, cost, _ in steps:
        now += pause
        meter.charge(cost, now)
    told = meter.wait(wanted, now)
    assert meter.wait(wanted, now + told) == pytest.approx(0, abs=1e-6)
    if told > 1e-3:
        assert meter.wait(wanted, now + 0.9 * told) > 0
