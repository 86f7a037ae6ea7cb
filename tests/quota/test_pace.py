import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.quota.support import a_permit
from threadllm.quota.pace import Pace, _Refusal, _Trial, at_once


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


def test_who_was_sent_before_it_fell_is_an_echo():
    """However many come back refused, the pace falls once."""
    pace = Pace()
    take(pace, 50, every=0)
    fell = [pace.refuse(a_permit(number), 0.1) for number in range(21, 51)]
    assert fell == [True] + [False] * 29
    assert pace.fell_at == 0.1


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


@pytest.mark.parametrize(("sure", "doubles_in"), [(True, 60), (False, 15)])
def test_it_grows_the_faster_the_longer_nothing_is_refused(sure, doubles_in):
    """From what was found it doubles in a minute; from a guess in a quarter of that."""
    pace = Pace()
    take(pace, 21, every=0)
    pace.refuse(a_permit(21), 0.0)
    if sure:
        pace.begin_at(14.0)
    rates = []
    for second in range(1, 121):
        pace.take(float(second), waited=True)
        rates.append(rate_of(pace))
    assert rates[doubles_in - 1] == pytest.approx(2 * 14.0)
    assert rates[2 * doubles_in - 1] == pytest.approx(5 * 14.0)


def test_what_holds_nobody_back_is_no_probe():
    """A pace that nobody uses up is not shown to be too low."""
    pace = Pace()
    pace.begin_at(10.0)
    take(pace, 1000, every=0.2, waited=False)
    assert rate_of(pace) == 10.0


def test_an_idle_hour_is_no_probe():
    """Of a pause before a request no more than some seconds count."""
    pace = Pace()
    pace.begin_at(10.0)
    pace.take(0.0, waited=True)
    first = rate_of(pace)
    pace.take(3600.0, waited=True)
    assert rate_of(pace) == pytest.approx(10.0 * (1 + (10 / 60) ** 2))
    assert first == pytest.approx(10.0 * (1 + (5 / 60) ** 2))  # its own first, likewise


steps = st.lists(st.tuples(st.floats(0, 20), st.booleans(), st.booleans()), max_size=200)


@given(steps)
def test_it_falls_on_refusals_and_grows_on_nothing_else_but_time(course):
    """Whatever happens in whatever order, the pace stays a pace."""
    pace, now = Pace(), 0.0
    for number, (pause, waited, is_refused) in enumerate(course, 1):
        now += pause + pace.wait(now)
        pace.take(now, waited=waited)
        before = math.inf if pace.meter is None else rate_of(pace)
        if is_refused:
            fell = pace.refuse(a_permit(number, at=now), now)
            after = math.inf if pace.meter is None else rate_of(pace)
            assert after < before if fell and before > 1 / 60 else after <= max(before, 1 / 60)
        if pace.meter is not None:
            assert rate_of(pace) >= 1 / 60


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
    for moment in range(1, 21):
        at = moment / rate
        pace.take(at, waited=False)
        number += 1
    pace.take(at, waited=False)
    pace.refuse(a_permit(number + 1, at=at), at)
    assert rate_of(pace) == pytest.approx(rate * 0.97)


def test_a_trial_without_a_pace_that_goes_well_ends_after_its_time():
    """And the next lasts longer. Until then refusals are not heeded."""
    pace = Pace()
    pace._trial = _Trial(_Refusal(0.0, 0), 0)
    assert [pace.refuse(a_permit(100, at=at), at) for at in (30.0, 61.0)] == [False, True]
    assert (pace._trial, pace._trial_lasts) == (None, 120.0)


def test_a_trial_in_which_much_is_refused_fails():
    """A pace is needed after all."""
    pace = Pace()
    pace._trial = _Trial(_Refusal(0.0, 0), 0)
    goes_on = []
    for number in range(1, 10):
        pace.refuse(a_permit(number, at=float(number)), float(number))
        goes_on.append(pace._trial is not None)
    assert goes_on == [True] * 7 + [False] * 2
