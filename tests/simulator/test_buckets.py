"""The laws of buckets and windows, in numbers alone."""

import math

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from threadllm.simulator.buckets import FixedWindow, Level, TokenBucket
from threadllm.simulator.rates import MINUTE, Course, Rate

START = 1000.0
DUST = 1e-3  # what a millionth of a second and float arithmetic may let through

arrivals = st.lists(
    st.tuples(st.floats(0, 30), st.floats(0.5, 20)), max_size=60
)  # seconds since the last, cost
courses = st.lists(
    st.tuples(st.floats(0, 300), st.floats(0.1, 4)), max_size=4, unique_by=lambda move: move[0]
).map(sorted)
lumps = st.none() | st.floats(0.5, 60)


def bucket_of(per_minute, size, moves=(), refill=None):
    return TokenBucket(Rate(per_minute, MINUTE, size), Course(moves, START), START, refill)


def window_of(per_minute, moves=()):
    return FixedWindow(Rate(per_minute, MINUTE), Course(moves, START), START)


def taken_by(meter, arrivals):
    """What is let in of those that arrive: moment and cost."""
    now, taken = START, []
    for pause, cost in arrivals:
        now += pause
        if meter.ready(cost, now) == now:
            meter.take(cost, now)
            taken.append((now, cost))
    return taken


def flown(per_minute, moves, since, until):
    """What flows in between two moments."""
    course, total = Course(moves, START), 0.0
    while since < until:
        end = min(until, course.next(since))
        total += per_minute / MINUTE * course.factor(since) * (end - since)
        since = end
    return total


@given(arrivals, st.floats(1, 6000), st.none() | st.floats(1, 100), courses, lumps)
def test_no_window_holds_more_than_rate_and_capacity(arrivals, per_minute, burst, moves, refill):
    """In no window does a bucket give more than its size, what flows in, and one lump.

    Limits that move and lumps included; a lump of a window is what flowed in before it began.
    """
    taken = taken_by(bucket_of(per_minute, burst, moves, refill), arrivals)
    course = Course(moves, START)
    for first, (start, _) in enumerate(taken):
        total = 0.0
        size = burst or per_minute * course.factor(start)
        for moment, cost in taken[first:]:
            total += cost
            since = max(START, start - (refill or 0))
            assert total <= size + flown(per_minute, moves, since, moment) + DUST


@given(arrivals, st.floats(1, 6000), courses)
def test_no_fixed_window_holds_more_than_its_limit(arrivals, per_minute, moves):
    """In no minute from the first request on is more let in than the most that held in it."""
    taken = taken_by(window_of(per_minute, moves), arrivals)
    course = Course(moves, START)
    sums, most = {}, {}
    for moment, cost in taken:
        number = math.floor((moment - START + 1e-6) / MINUTE)
        sums[number] = sums.get(number, 0.0) + cost
        most[number] = max(most.get(number, 0.0), per_minute * course.factor(moment))
    for number, total in sums.items():
        assert total <= most[number] + DUST


A_HAIR = 1.0000000004  # what is given to ten digits and more is kept to nine


@given(st.floats(1, 6000), st.none() | st.floats(1, 100), courses, lumps, arrivals)
@example(A_HAIR, None, [], None, [(0, 1.0), (0, A_HAIR)])
def test_nobody_waits_in_vain_for_a_bucket(per_minute, burst, moves, refill, arrivals):
    """Whoever comes at the moment that was told is let in; who is told none never is."""
    check_waits(bucket_of(per_minute, burst, moves, refill), arrivals)


@given(st.floats(1, 6000), courses, arrivals)
def test_nobody_waits_in_vain_for_a_window(per_minute, moves, arrivals):
    """Whoever comes at the moment that was told is let in; who is told none never is."""
    check_waits(window_of(per_minute, moves), arrivals)


def check_waits(meter, arrivals):
    now = START
    for pause, cost in arrivals:
        now += pause
        moment = meter.ready(cost, now)
        if moment == math.inf:
            assert meter.ready(cost, now + 1e6) == math.inf
            continue
        told = round(moment - now, 6)
        assert told >= 0
        now += told
        assert meter.ready(cost, now) == now
        meter.take(cost, now)


@given(st.floats(10, 6000), st.floats(21, 100), st.integers(1, 20), courses, lumps)
def test_a_wait_is_no_longer_than_it_must_be(per_minute, size, cost, moves, refill):
    """Just before the moment that was told nobody is let in."""
    bucket = bucket_of(per_minute, size, moves, refill)
    while bucket.ready(cost, START) == START:
        bucket.take(cost, START)
    moment = bucket.ready(cost, START)
    assert bucket.ready(cost, moment - 1e-4) > moment - 1e-4


def test_a_bucket_refills_continuously():
    """A bucket of 60 a minute gains one a second and is never more than full."""
    bucket = bucket_of(60, 10)
    for _ in range(10):
        bucket.take(1, START)
    levels = [bucket.level(START + seconds) for seconds in (0, 2.5, 1000)]
    assert levels == [Level(60, 0, 10.0), Level(60, 2, 7.5), Level(60, 10, 0.0)]


def test_a_bucket_refills_in_lumps():
    """With a lump every 10 s nothing comes between two of them, and 10 s' worth with each."""
    bucket = bucket_of(60, None, refill=10.0)
    bucket.take(55, START + 3)
    levels = [bucket.level(START + seconds) for seconds in (3, 9.9, 10, 19, 20, 60)]
    assert levels == [
        Level(60, 5, 57.0),
        Level(60, 5, 50.1),
        Level(60, 15, 50.0),
        Level(60, 15, 41.0),
        Level(60, 25, 40.0),
        Level(60, 60, 0.0),
    ]
    assert [bucket.ready(cost, START + 3) - START for cost in (5, 6, 15, 16)] == [3, 10, 10, 20]


def test_what_of_a_lump_does_not_fit_is_lost():
    """A bucket smaller than its lump is full after it, no more."""
    bucket = bucket_of(600, 5, refill=10.0)
    bucket.take(5, START)
    assert [bucket.level(START + seconds).remaining for seconds in (9, 10, 20)] == [0, 5, 5]


def test_a_bucket_that_shrinks_loses_what_does_not_fit():
    """Half the rate is half the size; what the bucket held beyond that is gone."""
    bucket = bucket_of(60, None, moves=[(10.0, 0.5), (20.0, 2.0)])
    levels = [bucket.level(START + seconds) for seconds in (0, 10, 20, 35, 100)]
    assert levels == [
        Level(60, 60, 0.0),
        Level(30, 30, 0.0),
        Level(120, 30, 45.0),
        Level(120, 60, 30.0),
        Level(120, 120, 0.0),
    ]


def test_a_bucket_keeps_what_it_holds():
    """What fits is neither lost nor added to when the rate changes, only the flow changes."""
    bucket = bucket_of(60, None, moves=[(10.0, 0.5)])
    bucket.take(50, START)
    levels = [bucket.level(START + seconds).remaining for seconds in (0, 9, 10, 12, 14)]
    assert levels == [10, 19, 20, 21, 22]


def test_a_bucket_that_shrinks_between_two_lumps():
    """It loses at once what does not fit, and gains nothing before the next lump."""
    bucket = bucket_of(60, None, moves=[(12.0, 0.5)], refill=10.0)
    bucket.take(20, START)
    assert [bucket.level(START + seconds).remaining for seconds in (11, 12, 19)] == [50, 30, 30]
    bucket.take(30, START + 13)
    assert [bucket.level(START + seconds).remaining for seconds in (19, 20, 30)] == [0, 6, 11]


def test_a_burst_that_was_given_does_not_move():
    """The flow halves; what may come at once stays."""
    bucket = bucket_of(60, 10, moves=[(0.0, 0.5)])
    bucket.take(10, START)
    assert bucket.level(START) == Level(30, 0, 20.0)


@pytest.mark.parametrize(
    ("cost", "moment"), [(30, START), (31, START + 31.5), (120, START + 76), (121, math.inf)]
)
def test_a_bucket_knows_what_is_to_come(cost, moment):
    """A wait takes into account how the rate will have moved."""
    bucket = bucket_of(60, None, moves=[(1.0, 0.5), (31.0, 2.0)])
    bucket.take(30, START)
    assert bucket.ready(cost, START) == pytest.approx(moment)


def test_a_window_begins_anew_at_its_end():
    """Nothing comes back before the minute is over, and all of it then."""
    window = window_of(10)
    window.take(8, START + 5)
    levels = [window.level(START + seconds) for seconds in (5, 59, 60, 200)]
    assert levels == [
        Level(10, 2, 55.0),
        Level(10, 2, 1.0),
        Level(10, 10, 60.0),
        Level(10, 10, 40.0),
    ]
    assert [window.ready(cost, START + 5) for cost in (2, 3, 11)] == [
        START + 5,
        START + 60,
        math.inf,
    ]
    window.take(4, START + 61)
    assert window.level(START + 62) == Level(10, 6, 58.0)


def test_a_window_that_moves_counts_on():
    """What was used before a move is used after it, of the new limit."""
    window = window_of(10, moves=[(20.0, 0.5), (40.0, 2.0)])
    window.take(8, START)
    assert [window.level(START + seconds).remaining for seconds in (19, 20, 40)] == [2, 0, 12]
    assert [window.ready(cost, START) - START for cost in (2, 3, 12, 13, 20)] == [0, 40, 40, 60, 60]
    assert window.ready(21, START) == math.inf
