import pytest

from tests.quota.support import NOTHING
from threadllm.quota.limit import Limit, units_of
from threadllm.quota.permit import Need

NEED = Need(30, 12)


def a_limit(kind="tokens", figure=6000.0, burst=6000.0):
    return Limit(kind, 60.0, figure, burst, "stated")


@pytest.mark.parametrize(
    ("kind", "units"),
    [("requests", 1), ("tokens", 42), ("input_tokens", 30), ("output_tokens", 12)],
)
def test_each_kind_counts_its_own(kind, units):
    """A request is one request, and its tokens count together, or in and out apart."""
    assert units_of(kind, NEED) == units
    limit = a_limit(kind)
    limit.charge(NEED, 0)
    assert limit.left(0) == 6000 - units


def test_it_keeps_a_hundredth_off_its_rate():
    """Requests take different times to arrive, so that a rate kept to the letter is exceeded."""
    limit = a_limit("requests", figure=60, burst=1)
    limit.charge(NOTHING, 0)
    assert limit.wait(NOTHING, 0) == pytest.approx(1 / 0.99)


def test_a_charge_is_put_right():
    """What was reserved and not used is there again; what was used beyond it is owed."""
    limit = a_limit()
    limit.charge(NEED, 0)
    limit.settle(NEED, Need(30, 2), 0)
    assert limit.left(0) == 6000 - 32
    limit.settle(Need(0, 0), Need(9000, 0), 0)
    assert limit.left(0) == pytest.approx(-3032)
    assert limit.wait(NEED, 0) == pytest.approx((3032 + 42) / 99)


def test_a_charge_is_taken_back():
    """As if the request had never been."""
    limit = a_limit()
    limit.charge(NEED, 0)
    limit.take_back(NEED, 0)
    assert limit.left(0) == 6000


@pytest.mark.parametrize(
    ("taken", "need", "low"),
    [
        (5399, Need(10), False),
        (5400, Need(10), True),  # a tenth of what it holds is left
        (4000, Need(600), False),
        (4000, Need(700), True),  # fewer than three such requests are left
    ],
)
def test_it_is_low_when_it_may_explain_a_refusal(taken, need, low):
    """That is with little left, by what it holds or by what a request takes."""
    limit = a_limit()
    limit.charge(Need(taken), 0)
    assert limit.is_low(need, 0) is low


def test_it_is_emptied():
    """What seemed to be left is not; what is owed stays owed."""
    limit = a_limit()
    limit.charge(Need(5000), 0)
    limit.empty(0)
    assert limit.left(0) == 0
    limit.charge(Need(50), 0)
    limit.empty(0)
    assert limit.left(0) == -50


def test_another_figure_is_learnt():
    """What is left, and what may burst, stays as it was, where that is not told."""
    limit = a_limit("requests", figure=60, burst=20)
    limit.learn(120, None, 0)
    assert [limit.figure, limit.left(0)] == [120, 20]
    limit.charge(NOTHING, 0)
    assert limit.left(0.5) == pytest.approx(19 + 0.99)
    limit.learn(6, None, 1)
    assert [limit.figure, limit.left(1)] == [6, 6]


def test_what_is_left_is_learnt():
    """All of a period may be, where that is told, although only a moment's worth was held."""
    limit = a_limit("requests", figure=60, burst=1)
    limit.learn(60, 55, 0)
    assert limit.left(0) == 55
    limit.learn(60, -3, 0)
    assert limit.left(0) == -3
    limit.learn(60, None, 0)
    assert limit.left(0) == -3
