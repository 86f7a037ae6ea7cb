import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from threadllm.quota.chance import Chance


def refuse(chance, let_in, *, is_safe=True):
    """Whether the refusal is let pass, and if not, whether chance explains it."""
    chance.look(let_in, is_safe=is_safe)
    if chance.lets_pass(at_safe_pace=is_safe):
        return "passes"
    return chance.explains(at_safe_pace=is_safe)


def known(every=10):
    """What has seen three refusals at a safe pace, and as many let in before each."""
    chance = Chance()
    chance.start(is_safe=True)
    assert [refuse(chance, number * every) for number in (1, 2, 3)] == [False, False, True]
    return chance


def test_a_few_refusals_at_safe_paces_are_no_accident():
    """Their share is known from then on, with what such a number may be off by."""
    chance = known(every=97)
    assert chance.share == pytest.approx((3 + 2 * 3**0.5) / (3 * 97 + 3))


def test_what_is_refused_at_other_paces_shows_nothing():
    """A limit may be the reason, however often."""
    chance = Chance()
    chance.start(is_safe=True)
    assert [refuse(chance, n * 10, is_safe=False) for n in range(1, 50)] == [False] * 49
    assert chance.share == 0


def test_refusals_with_hardly_any_let_in_show_nothing():
    """They come from one moment."""
    chance = Chance()
    chance.start(is_safe=True)
    assert [refuse(chance, number) for number in range(1, 9)] == [False] * 7 + [True]


def passing(chance, let_in):
    """How many pass one after another."""
    passed = 0
    while refuse(chance, let_in, is_safe=False) == "passes":
        passed += 1
    return passed


def test_as_many_as_were_to_be_expected_pass():
    """At any pace, and the more the more was let in meanwhile; then one makes itself felt."""
    chance = known()
    share = chance.share
    assert passing(chance, 30) == passing(chance, 30) == int(3 + 50 * share)
    chance.lets_pass(at_safe_pace=False)
    fewer = passing(chance, 30)
    assert fewer == int(3 + 50 * share) - 1


def test_what_passes_at_a_safe_pace_counts():
    """So the share is known the better the longer it goes on."""
    chance, rng = known(every=5), random.Random(1)
    let_in = 15
    for _ in range(3000):
        if rng.random() < 0.1:
            refuse(chance, let_in)
        else:
            let_in += 1
    assert 0.1 < chance.share < 0.15


def test_a_share_that_is_not_there_any_more_is_forgotten():
    """Nothing was refused for so long that it would be a wonder; the next is a first one."""
    chance = known()
    assert chance.share > 0.1
    chance.look(30 + 300, is_safe=True)
    assert chance.share == 0
    chance.start(is_safe=True)
    assert [refuse(chance, n * 100) for n in (4, 5, 6)] == [False, False, True]


def test_a_share_that_was_an_accident_is_forgotten():
    """At safe paces nothing was refused since, and what was seen is long ago."""
    chance = known()
    for number in range(1, 40):
        chance.start(is_safe=True)
        chance.look(30 + number * 90, is_safe=False)
    assert chance.share == 0


def test_half_of_all_at_most_is_chance():
    """Where more are refused something must be wrong with the pace."""
    chance = known(every=3)
    for _ in range(100):
        refuse(chance, 9)
    assert chance.share == 0.5


@given(st.lists(st.tuples(st.integers(-5, 50), st.booleans(), st.booleans()), max_size=300))
def test_whatever_happens_no_more_passes_than_is_let_in_and_some(course):
    """Of requests that are answered in any order."""
    chance, let_in, passed = Chance(), 0, 0
    for step, is_safe, starts in course:
        if starts:
            chance.start(is_safe=is_safe)
        let_in = max(0, let_in + step)
        outcome = refuse(chance, let_in, is_safe=is_safe)
        passed = passed + 1 if outcome == "passes" else 0
        assert 0 <= chance.share <= 0.5
        assert passed <= 3 + 50 * 0.5 + sum(max(0, one[0]) for one in course)
