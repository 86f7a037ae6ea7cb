import math

import pytest

from threadllm.exceptions import OptionError
from threadllm.quota import Breaker, Quota

NUMBER = "give a number above 0, or None for no limit"
SHARE = "give the retries that a request allows, such as 0.2, or None for no budget"
# Each row: what is stated, and what is said of it.
WRONG = [
    ({"concurrency": 0}, "concurrency=0: give a number of requests in flight, 1 or more"),
    ({"concurrency": -3}, "concurrency=-3: give a number of requests in flight, 1 or more"),
    ({"concurrency": 2.5}, "concurrency=2.5: give a number of requests in flight, 1 or more"),
    (
        {"concurrency": True},
        "concurrency=True: give a number of requests in flight, 1 or more",
    ),
    ({"requests_per_minute": 0}, f"requests_per_minute=0: {NUMBER}"),
    ({"requests_per_minute": "500"}, f"requests_per_minute='500': {NUMBER}"),
    ({"tokens_per_minute": -1.5}, f"tokens_per_minute=-1.5: {NUMBER}"),
    ({"input_tokens_per_minute": math.nan}, f"input_tokens_per_minute=nan: {NUMBER}"),
    ({"output_tokens_per_minute": math.inf}, f"output_tokens_per_minute=inf: {NUMBER}"),
    ({"requests_per_day": 0}, f"requests_per_day=0: {NUMBER}"),
    (
        {"requests_per_minute": 60, "burst": 0},
        "burst=0: give a whole number of requests, 1 or more",
    ),
    (
        {"requests_per_minute": 60, "burst": 1.5},
        "burst=1.5: give a whole number of requests, 1 or more",
    ),
    ({"burst": 5}, "burst=5: give requests_per_minute with it"),
    ({"breaker": True}, "breaker=True: give a Breaker(), or None for none"),
    ({"breaker_action": "stop"}, "breaker_action='stop': choose 'park' or 'fail'"),
    ({"retry_budget": -0.1}, f"retry_budget=-0.1: {SHARE}"),
    ({"retry_budget": math.nan}, f"retry_budget=nan: {SHARE}"),
    ({"retry_budget": "much"}, f"retry_budget='much': {SHARE}"),
]


@pytest.mark.parametrize(("stated", "text"), WRONG, ids=[str(stated) for stated, _ in WRONG])
def test_what_cannot_be_meant_is_refused(stated, text):
    """The error says which argument, what it was, and what to give."""
    with pytest.raises(OptionError) as caught:
        Quota(**stated)
    assert str(caught.value) == text


def limits_of(**stated):
    shared = Quota(**stated).line("https://a:443").origin
    return [(limit.kind, limit.period, limit.figure, limit.left(0)) for limit in shared.limits]


def test_nothing_stated_is_no_limit():
    """Whatever may be learnt later."""
    assert limits_of() == []


@pytest.mark.parametrize(
    ("stated", "limit"),
    [
        ({"requests_per_minute": 30}, ("requests", 60, 30, 1)),
        ({"requests_per_minute": 3000}, ("requests", 60, 3000, 10)),
        ({"requests_per_minute": 30, "burst": 20}, ("requests", 60, 30, 20)),
        ({"requests_per_day": 1000}, ("requests", 86_400, 1000, 1000)),
        ({"requests_per_day": 0.5}, ("requests", 86_400, 0.5, 1)),
        ({"tokens_per_minute": 6000}, ("tokens", 60, 6000, 6000)),
        ({"input_tokens_per_minute": 6000}, ("input_tokens", 60, 6000, 6000)),
        ({"output_tokens_per_minute": 6000}, ("output_tokens", 60, 6000, 6000)),
    ],
)
def test_each_limit_has_its_burst(stated, limit):
    """Requests are spread evenly unless a burst is stated; of all else all may come at once."""
    assert limits_of(**stated) == [limit]


def test_they_all_hold_together():
    """Each that is stated is one more."""
    stated = dict.fromkeys(
        (
            "requests_per_minute",
            "tokens_per_minute",
            "input_tokens_per_minute",
            "output_tokens_per_minute",
            "requests_per_day",
        ),
        60,
    )
    assert len(limits_of(**stated, burst=3)) == 5


def test_neither_breaker_nor_budget_need_be():
    """None is none."""
    without = Quota(breaker=None, retry_budget=None).line("https://a:443").origin
    assert without.circuit is None
    assert [without.wait(0, is_retry=True) for _ in range(200)] == [0] * 200
    given = Breaker(sliding_window=7)
    shared = Quota(breaker=given, retry_budget=0).line("https://a:443").origin
    assert shared.circuit.breaker is given
