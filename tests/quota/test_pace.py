import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.quota.support import a_permit
from threadllm.quota.meter import at_once
from threadllm.quota.pace import Pace


def take(pace, number, *, first=0.0, every=0.1, waited=True):
    """Let so many through, one after another; the moment of the last."""
    at = first
    for position in range(number):
        at = first + position * every
        pace.take(at, waited=waited)
    return at


def rate_of(pace):
    return pace.meter.rate


def test_at_first_there_is_none():
    """Nobody waits for a pace before the first refusal."""
    pace = Pace()
    take(pace, 1000, every=0)
    assert [pace.meter, pace.wait(0)] == [None, 0]


@pytest.mark.parametrize(("rate", "units"), [(0.5, 1), (5, 1), (100, 20)])
def test_a_moments_worth_may_go_at_once(rate, units):
    """What comes in a fifth of a second, and never less than one."""
    assert at_once(rate) == units


def test_the_first_refusal_shows_what_was_too_fast():
    """The pace falls well below that at which it went wrong, as little is known of the limit."""
    pace = Pace()
    take(pace, 41, every=0.1)
    assert pace.refuse(a_permit(41, at=4.0), 4.1) is True
    assert rate_of(pace) == pytest.approx(40 / 4.0 * 0.7)
    assert pace.wait(4.1) == pytest.approx(1 / 7.0)


def test_a_burst_is_taken_to_last_a_second():
    """Many that start at once say little of a rate."""
    pace = Pace()
    take(pace, 21, every=0)
    assert pace.refuse(a_permit(21), 0.1) is True
    assert rate_of(pace) == pytest.approx(20 * 0.7)


def test_the_first_of_many_to_be_refused_does_not_count_the_others_out():
    """Those beside it may all have been let in."""
    pace = Pace()
    take(pace, 32, every=0)
    assert pace.refuse(a_permit(3, beside=31), 0.1) is True
    assert rate_of(pace) == pytest.approx(31 * 0.7)


def test_a_guess_does_not_rest_on_what_was_let_in_since_an_excused_refusal():
    """If that is little, all that was let in from the beginning counts."""
    pace = Pace()
    take(pace, 41, every=0.1)
    pace.excuse(a_permit(38, at=3.7))
    pace.refuse(a_permit(42, at=4.0), 4.1)
    assert rate_of(pace) == pytest.approx(40 / 4.0 * 0.7)


def test_who_was_sent_before_it_fell_is_an_echo():
    """However many come back refused, the pace falls once."""
    pace = Pace()
    take(pace, 50, every=0)
    fell = [pace.refuse(a_permit(number), 0.1) for number in range(21, 51)]
    assert fell == [True] + [False] * 29
    assert pace.refused_at == 0.1


def test_a_refusal_after_none_was_let_in_teaches_nothing():
    """Neither of the very first, nor of one after another."""
    pace = Pace()
    pace.take(0, waited=False)
    assert pace.refuse(a_permit(1), 0.1) is False
    assert pace.meter is None
    take(pace, 9, first=1.0, every=0)
    assert pace.refuse(a_permit(10, at=1.0), 1.1) is True
    before = rate_of(pace)
    pace.take(2.0, waited=False)
    assert pace.refuse(a_permit(11, at=2.0), 2.1) is False
    assert rate_of(pace) == before


def refused_at(pace, number, at):
    pace.refuse(a_permit(number, at=at), at)
    return rate_of(pace)


def test_what_was_let_in_between_two_refusals_is_the_rate():
    """Whatever the burst was: at both moments the provider's bucket was empty."""
    pace = Pace()
    take(pace, 101, every=0)
    refused_at(pace, 101, 0.0)
    pace.begin_at(50.0)
    take(pace, 60, first=0.2, every=0.2)
    # 159 were let in until then, 59 of them since.
    assert refused_at(pace, 161, 11.8) == pytest.approx(59 / 11.8 * 0.97)


def test_what_is_found_is_less_than_what_was_refused():
    """A pace at which a request was refused is too fast, whatever is reckoned."""
    pace = Pace()
    take(pace, 21, every=0)
    refused_at(pace, 21, 0.0)
    pace.begin_at(2.0)
    take(pace, 20, first=0.05, every=0.05, waited=False)
    assert refused_at(pace, 42, 1.0) == pytest.approx(2.0 * 0.97)


def test_a_bucket_that_has_run_over_tells_no_rate():
    """What flowed in while the pace was below the limit was lost: it falls from where it is."""
    pace = Pace()
    take(pace, 21, every=0)
    refused_at(pace, 21, 0.0)
    pace.meter.set_rate(40.0, 8, 0.0)  # from 14, as by probing
    take(pace, 200, first=0.1, every=0.05, waited=False)
    assert refused_at(pace, 221, 10.1) == pytest.approx(40 * 0.7)
    # The next is refused at a pace that was never below what is let in.
    take(pace, 101, first=10.2, every=0.05, waited=False)
    assert refused_at(pace, 322, 15.2) == pytest.approx((319 - 219) / 5.1 * 0.97, rel=0.02)


def test_what_was_let_in_within_a_moment_tells_no_rate():
    """Requests take different times to arrive."""
    pace = Pace()
    take(pace, 21, every=0)
    before = refused_at(pace, 21, 0.0)
    take(pace, 20, first=0.1, every=0.01, waited=False)
    assert refused_at(pace, 41, 0.3) == pytest.approx(before * 0.7)


def refused_by_chance(pace, times):
    """Refuse one of ten, each time at what was just found; the last one's number, and moment."""
    pace.begin_at(10.0)
    number, at = 0, 0.0
    for _ in range(times):
        at = take(pace, 10, first=at + 0.1, waited=False)
        number += 10
        assert pace.overlooks(a_permit(number, at=at)) is False
        pace.refuse(a_permit(number, at=at), at)
    return number, at


def test_where_going_slower_does_not_help_it_goes_back_up():
    """Refused again and again at what was just found, it is chance; as many pass from then on."""
    pace = Pace()
    refused_by_chance(pace, 3)
    slow, pace = rate_of(pace), Pace()
    number, at = refused_by_chance(pace, 4)
    assert rate_of(pace) > slow
    assert pace.overlooks(a_permit(number + 9, at=at + 0.8)) is True
    assert pace.refused_at == at


def test_what_is_refused_beyond_chance_makes_it_fall():
    """A limit may be there as well."""
    pace = Pace()
    number, at = refused_by_chance(pace, 4)
    up, passed = rate_of(pace), 0
    take(pace, 9, first=at + 0.1, waited=False)
    while pace.overlooks(a_permit(number + passed + 9, at=at + 0.9)):
        passed += 1
    assert 3 <= passed <= 30
    assert pace.refuse(a_permit(number + passed + 9, at=at + 0.9), at + 0.9) is True
    assert rate_of(pace) < up


def test_with_too_few_to_tell_it_falls_in_the_dark():
    """A handful let in between two refusals says little."""
    pace = Pace()
    take(pace, 21, every=0)
    before = refused_at(pace, 21, 0.0)
    take(pace, 7, first=1.0, waited=False)
    assert refused_at(pace, 29, 2.0) == pytest.approx(before * 0.7)


def test_refusals_of_one_moment_are_no_measure():
    """No time has passed between them."""
    pace = Pace()
    take(pace, 40, every=0)
    pace.excuse(a_permit(20))
    assert pace.refuse(a_permit(40), 0.1) is True
    assert pace._is_sure is False


def test_an_excused_refusal_begins_a_finding():
    """The bucket was empty then too, though the pace is not to blame."""
    pace = Pace()
    pace.begin_at(100.0)
    take(pace, 20, every=0.1)
    pace.excuse(a_permit(20, at=2.0))
    pace.excuse(a_permit(21, at=2.4))  # within half a second of it: the same moment
    take(pace, 40, first=2.5, every=0.1)
    # 58 were let in at last, and 19 before the first.
    assert refused_at(pace, 61, 6.5) == pytest.approx((58 - 19) / 4.5 * 0.97)
    assert [refusal.at for refusal in pace._refusals] == [2.0, 6.5]


def test_it_never_falls_to_nothing():
    """One request a minute always finds out whether more is allowed."""
    pace = Pace()
    pace.begin_at(1 / 50)
    take(pace, 2)
    assert refused_at(pace, 2, 1.0) == pytest.approx(1 / 60)


def test_a_rate_that_was_learnt_before_is_begun_with():
    """At once, and with a moment's worth in hand."""
    pace = Pace()
    pace.begin_at(10.0)
    assert [rate_of(pace), pace.meter.level(0)] == [10.0, 2.0]


def probe(pace, seconds):
    """Let requests through as fast as it allows; the rates at the end of each second."""
    now, rates = 0.0, []
    for second in range(1, seconds + 1):
        while (now := now + pace.wait(now)) < second:
            pace.take(now, waited=True)
        rates.append(rate_of(pace))
    return rates


def test_from_what_was_found_it_grows_the_faster_the_longer_nothing_is_refused():
    """It doubles in a minute, and is five times as fast after two."""
    pace = Pace()
    pace.begin_at(14.0)
    rates = probe(pace, 121)
    assert rates[60] == pytest.approx(2 * 14.0, rel=0.02)
    assert rates[120] == pytest.approx(5 * 14.0, rel=0.02)


def test_from_a_guess_it_doubles_every_few_seconds():
    """Little is known, and little is refused when it has grown too far."""
    pace = Pace()
    take(pace, 21, every=0)
    pace.refuse(a_permit(21), 0.0)
    rates = probe(pace, 12)
    assert rates[3::4] == [pytest.approx(14.0 * times, rel=0.05) for times in (2, 4, 8)]


def test_what_holds_nobody_back_is_no_probe():
    """A pace that nobody uses up is not shown to be too low."""
    pace = Pace()
    pace.begin_at(10.0)
    take(pace, 1000, every=0.2, waited=False)
    assert rate_of(pace) == 10.0


def test_a_pace_that_is_not_used_up_is_not_too_low():
    """Not even where requests wait, as they do for something else then."""
    pace = Pace()
    pace.begin_at(10.0)
    take(pace, 1000, every=0.5)
    assert rate_of(pace) == 10.0


def test_of_a_long_wait_no_more_than_a_second_counts():
    """At a slow pace it takes some requests until it is known to be too slow."""
    pace = Pace()
    pace.begin_at(0.1)
    pace.take(0.0, waited=True)
    pace.take(10.0, waited=True)
    assert rate_of(pace) == pytest.approx(0.1 * (1 + (1 / 60) ** 2))


steps = st.lists(st.tuples(st.floats(0, 20), st.booleans(), st.booleans()), max_size=200)


@given(steps)
def test_whatever_happens_the_pace_stays_a_pace(course):
    """It says whether a refusal has changed it, and never falls to nothing."""
    pace, now = Pace(), 0.0
    for number, (pause, waited, is_refused) in enumerate(course, 1):
        now += pause + pace.wait(now)
        pace.take(now, waited=waited)
        before, permit = pace.rate, a_permit(number, at=now)
        if is_refused and not (pace.overlooks(permit) or pace.refuse(permit, now)):
            assert pace.rate == before
        assert pace.rate >= 1 / 60
        assert math.isfinite(pace.wait(now))


@given(st.floats(0.5, 100), st.integers(1, 200))
def test_a_steady_provider_is_found(rate, burst):
    """Of a bucket that flows at a rate, the second refusal tells it, whatever its burst."""
    pace = Pace()
    for _ in range(burst):
        pace.take(0.0, waited=True)
    pace.take(0.0, waited=True)
    pace.refuse(a_permit(burst + 1), 0.0)
    pace.begin_at(1000.0)
    number = burst + 1
    for moment in range(1, 61):  # more than half a second's worth, whatever the rate
        at = moment / rate
        pace.take(at, waited=False)
        number += 1
    pace.take(at, waited=False)
    pace.refuse(a_permit(number + 1, at=at), at)
    assert rate_of(pace) == pytest.approx(rate * 0.97)
