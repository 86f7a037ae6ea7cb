import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.quota.support import a_permit
from threadllm.quota.concurrency import ConcurrencyLimit


def accept(limit, times, together, *, takes=0.0):
    """Take in so many that came with as many in flight; how often the limit changed."""
    return sum(limit.accept(a_permit(beside=together - 1), takes) for _ in range(times))


def a_limited(size, most=100):
    """One that was at its most, and then shrank."""
    limit = ConcurrencyLimit(most, starting=False)
    accept(limit, 1, size)
    limit.shrink(size)
    return limit


@pytest.mark.parametrize(("most", "starting", "size"), [(32, True, 32), (64, False, 64)])
def test_few_may_all_be_in_flight(most, starting, size):
    """It begins with some only where more are allowed, and where that is wanted."""
    limit = ConcurrencyLimit(most, starting=starting)
    limit.open_until(0)
    assert [limit.size, limit.is_found, limit.seconds_to_open(size, 0)] == [size, False, None]


def test_it_opens_with_time():
    """Fourfold with each second in which nothing is refused."""
    limit = ConcurrencyLimit(120, starting=True)
    sizes = []
    for now in (100, 100.25, 100.5, 100, 101, 102):
        limit.open_until(now)
        sizes.append(limit.size)
    assert sizes == [32, pytest.approx(32 * 2**0.5), 64, 64, 120, 120]


@pytest.mark.parametrize(("most", "first"), [(32, 32), (33, 32), (128, 32), (132, 33), (1000, 250)])
def test_it_begins_with_32_or_a_quarter(most, first):
    """Whoever allows a thousand expects hundreds."""
    limit = ConcurrencyLimit(most, starting=True)
    limit.open_until(100)
    assert limit.size == first


@pytest.mark.parametrize(("most", "number", "first"), [(256, 2, 32), (64, 8, 4), (64, 64, 1)])
def test_processes_begin_with_a_part_of_that(most, number, first):
    """So that all of them together begin as one would."""
    limit = ConcurrencyLimit(most, starting=True, share=1 / number)
    limit.open_until(100)
    assert limit.size == first


def test_it_says_when_it_opens():
    """So that who waits for room is not woken by others alone."""
    limit = ConcurrencyLimit(120, starting=True)
    limit.open_until(100)
    told = limit.seconds_to_open(32, 100)
    assert told == pytest.approx(math.log(33 / 32, 4))
    limit.open_until(100 + told + 1e-9)
    assert limit.allowed == 33
    assert limit.seconds_to_open(64, 100.25) == pytest.approx(math.log(65 / 32, 4) - 0.25)


@pytest.mark.parametrize("began", [0.0, 100.0, 1e6])
def test_who_waits_as_long_as_it_says_gets_on(began):
    """Be the figures off by a trifle, time passes, and it is let in in the end."""
    limit, now, waits = ConcurrencyLimit(2000, starting=True), began, 0
    limit.open_until(now)
    for in_flight in range(2000):
        while in_flight >= limit.allowed:
            now += limit.seconds_to_open(in_flight, now)
            limit.open_until(now)
            waits += 1
    assert waits < 2500
    assert now - began == pytest.approx(math.log(2000 / 500, 4), abs=0.1)


def test_it_opens_with_answers():
    """Fourfold with each round of them."""
    limit = ConcurrencyLimit(128, starting=True)
    assert accept(limit, 16, 16) == 0
    assert [limit.size, limit.is_found] == [80, False]
    accept(limit, 200, 80)
    assert [limit.size, limit.seconds_to_open(128, 0)] == [128, None]


def test_it_shrinks_to_what_is_in_flight():
    """To one at least, and never above what it was."""
    limit = ConcurrencyLimit(100, starting=True)
    sizes = []
    for others in (20, 25, 3, 0):
        limit.shrink(others)
        sizes.append(limit.size)
    assert sizes == [20, 20, 3, 1]
    assert [limit.is_found, limit.seconds_to_open(1, 0)] == [True, None]


def test_it_is_probed_after_three_rounds():
    """By one more at first, then by two, four, and so on, up to what the user allows."""
    limit = a_limited(20, most=30)
    assert [accept(limit, 59, 20), limit.size] == [0, 20]
    assert [accept(limit, 1, 20), limit.size] == [1, 21]
    assert [accept(limit, 63, 21), limit.size] == [1, 23]
    assert [accept(limit, 69, 23), limit.size] == [1, 27]
    assert [accept(limit, 81, 27), limit.size, limit.is_found] == [1, 30, False]
    assert accept(limit, 1000, 30) == 0


def test_after_it_shrank_it_is_probed_by_one_again():
    """A limit that has just been met is not left far behind."""
    limit = a_limited(20)
    accept(limit, 60 + 63, 21)
    limit.shrink(20)
    assert [accept(limit, 59, 20), accept(limit, 1, 20), limit.size] == [0, 1, 21]


def test_who_came_with_fewer_probes_nothing():
    """Only with as many in flight as may be does an answer tell anything of the limit."""
    limit = a_limited(20)
    assert accept(limit, 1000, 19) == 0


@pytest.mark.parametrize(
    ("others", "explained"), [(0, False), (17, False), (18, True), (20, True), (40, True)]
)
def test_many_in_flight_may_be_why_one_is_refused(others, explained):
    """As many as were let in at once before, or nearly."""
    limit = ConcurrencyLimit(100, starting=False)
    accept(limit, 1, 20)
    assert limit.explains(others, strictly=False) is explained


def test_before_any_was_let_in_any_number_may_be_why():
    """All of the first may have come at once. But one alone is not too many."""
    limit = ConcurrencyLimit(100, starting=True)
    assert [limit.explains(others, strictly=False) for others in (0, 1, 30)] == [False, True, True]


def test_what_may_mean_other_things_must_come_in_a_row():
    """Four of them, with none let in meanwhile beside as many as may be."""
    limit = a_limited(20)
    limit.note(20, 0)
    assert [limit.explains(20, strictly=True) for _ in range(5)] == [False] * 3 + [True] * 2
    accept(limit, 1, 19)
    assert limit.explains(20, strictly=True) is True
    accept(limit, 1, 20)
    assert [limit.explains(20, strictly=True) for _ in range(4)] == [False] * 3 + [True]
    assert limit.explains(5, strictly=True) is False


def test_before_any_was_let_in_it_may_be_an_outage():
    """What may mean other things explains nothing then."""
    limit = ConcurrencyLimit(100, starting=True)
    assert [limit.explains(30, strictly=True) for _ in range(9)] == [False] * 9


def test_acquitted_it_opens():
    """Where a rate explains refusals, their number was not to blame."""
    limit = ConcurrencyLimit(100, starting=True)
    accept(limit, 1, 20)
    limit.shrink(20)
    limit.acquit()
    assert [limit.size, limit.is_found, limit.seconds_to_open(100, 0)] == [100, False, None]


def test_a_limit_that_has_held_is_not_forgotten():
    """Acquitted, it has room to probe, and no more."""
    limit = a_limited(20)
    accept(limit, 60, 20)
    limit.acquit()
    assert [limit.size, limit.is_found] == [25, True]
    limit.acquit()
    assert limit.size == 25


def test_a_limit_that_was_learnt_before_is_begun_with():
    """As far as the user allows so many; and it counts as one that has held."""
    limit = ConcurrencyLimit(100, starting=True)
    limit.begin_at(20)
    limit.open_until(50)
    assert [limit.size, limit.is_found] == [20, True]
    accept(limit, 1, 20)
    limit.acquit()
    assert limit.size == 25
    small = ConcurrencyLimit(10, starting=True)
    small.begin_at(20)
    assert [small.size, small.is_found] == [10, False]


def test_what_a_limit_lets_through_comes_spread():
    """By half the time that would lie between two, were they evenly spread."""
    limit = a_limited(20)
    assert limit.seconds_to_next(0) == 0
    accept(limit, 1, 20, takes=4.0)
    limit.note(20, 100.0)
    assert limit.seconds_to_next(100.0) == pytest.approx(0.5 * 4.0 / 20)
    assert limit.seconds_to_next(100.05) == pytest.approx(0.05)
    assert [limit.seconds_to_next(at) for at in (100.1 - 1e-10, 100.1, 200)] == [0, 0, 0]


def test_how_long_requests_take_is_a_running_mean():
    """One that takes long changes little."""
    limit = a_limited(1)
    for takes in (4.0, 14.0):
        accept(limit, 1, 1, takes=takes)
    limit.note(1, 0.0)
    assert limit.seconds_to_next(0.0) == pytest.approx(0.5 * (4.0 + 0.1 * 10.0))


@pytest.mark.parametrize("starting", [True, False])
def test_without_a_limit_they_come_as_they_like(starting):
    """Neither where it opens nor where it is open."""
    limit = ConcurrencyLimit(100, starting=starting)
    accept(limit, 1, 20, takes=4.0)
    limit.note(20, 100.0)
    assert limit.seconds_to_next(100.0) == 0


happenings = st.sampled_from(["accept", "shrink", "acquit", "open"])
courses = st.lists(st.tuples(happenings, st.integers(0, 300)))


@given(st.integers(1, 200), st.booleans(), courses)
def test_it_allows_one_at_least_and_no_more_than_the_user(most, starting, course):
    """Whatever happens in whatever order."""
    limit = ConcurrencyLimit(most, starting=starting)
    for now, (what, number) in enumerate(course):
        if what == "accept":
            accept(limit, 1, number + 1)
        elif what == "shrink":
            limit.shrink(number)
        elif what == "acquit":
            limit.acquit()
        else:
            limit.open_until(now)
        assert 1 <= limit.size <= most
