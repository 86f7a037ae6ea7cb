import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.simulator.support import chat, connect, until
from threadllm.exceptions import OptionError
from threadllm.simulator import Fault, Limits, Simulator
from threadllm.simulator.limits import Account, Level, Refusal, TokenBucket

arrivals = st.lists(
    st.tuples(st.floats(0, 30), st.floats(0.5, 20)), max_size=60
)  # seconds since the last, cost


@given(arrivals, st.floats(1, 6000), st.floats(1, 100))
def test_no_window_holds_more_than_rate_and_burst(arrivals, per_minute, size):
    """In no window does the bucket give more than its size and what flows in meanwhile."""
    bucket, now, taken = TokenBucket(per_minute, size), 1000.0, []
    for pause, cost in arrivals:
        now += pause
        if not bucket.wait(cost, now):
            bucket.take(cost, now)
            taken.append((now, cost))
    for first, (start, _) in enumerate(taken):
        total = 0.0
        for moment, cost in taken[first:]:
            total += cost
            assert total <= size + per_minute / 60 * (moment - start) + 1e-6


@given(st.floats(1, 6000), st.floats(1, 100), st.lists(st.floats(0.5, 1), max_size=60))
def test_a_wait_is_long_enough(per_minute, size, costs):
    """Whoever waits as long as the bucket says is let in."""
    bucket, now = TokenBucket(per_minute, size), 1000.0
    for cost in costs:
        now += bucket.wait(cost, now)
        assert bucket.wait(cost, now) == 0
        bucket.take(cost, now)


def test_a_bucket_refills_continuously():
    """A bucket of 60 a minute gains one a second and is never more than full."""
    bucket = TokenBucket(60, 10)
    for _ in range(10):
        bucket.take(1, 100.0)
    levels = [bucket.level(100.0 + seconds) for seconds in (0, 2.5, 1000)]
    assert levels == [Level(60, 0, 10.0), Level(60, 2, 7.5), Level(60, 10, 0.0)]


def test_an_account_charges_nothing_for_a_refusal():
    """A request is let in by all limits or charged to none."""
    account = Account(Limits(requests_per_minute=60, tokens_per_minute=60, burst=2))
    answers = [account.admit(tokens, 0.0) for tokens in (50, 20, 10, 0)]
    assert answers == [None, Refusal("tokens", 10.0), None, Refusal("requests", 1.0)]
    assert account.levels(0.0) == {"requests": Level(60, 0, 2.0), "tokens": Level(60, 0, 60.0)}


def test_concurrency_is_given_back():
    """A place in flight is free again when its request is over."""
    account = Account(Limits(concurrency=1))
    answers = [account.admit(1, 0.0), account.admit(1, 0.0)]
    account.leave()
    assert [*answers, account.admit(1, 0.0)] == [None, Refusal("concurrency", None), None]


def test_over_the_limit_with_openais_headers():
    """Over the rate comes a 429 with OpenAI's headers; before it, what remains."""
    with Simulator(limits=Limits(requests_per_minute=1, tokens_per_minute=6000)) as sim:
        good, refused = chat(sim), chat(sim)
    assert (good.status_code, refused.status_code) == (200, 429)
    assert good.headers["x-ratelimit-remaining-tokens"] == "5990"
    assert good.headers["x-ratelimit-reset-tokens"] == "100ms"
    assert good.headers["x-ratelimit-reset-requests"] == "1m0s"
    assert refused.headers["x-ratelimit-limit-requests"] == "1"
    assert refused.headers["x-ratelimit-remaining-requests"] == "0"
    assert refused.headers["retry-after"] == "60"
    assert 55_000 < int(refused.headers["retry-after-ms"]) <= 60_000
    assert refused.json()["error"] == {
        "message": "Limit reached: requests.",
        "type": "requests",
        "param": None,
        "code": "rate_limit_exceeded",
    }


def test_retry_after_can_be_left_out():
    """A provider may refuse without saying when to come back."""
    with Simulator(limits=Limits(requests_per_minute=1, retry_after=False)) as sim:
        chat(sim)
        refused = chat(sim)
    assert refused.status_code == 429
    assert not [name for name in refused.headers if name.startswith("retry-after")]


def test_each_key_has_its_own_limits():
    """What one key uses up another still has."""
    with Simulator(limits=Limits(requests_per_minute=1)) as sim:
        keys = ({"Authorization": "Bearer a"}, {"api-key": "b"}, {"x-api-key": "a"}, {})
        assert [chat(sim, headers=key).status_code for key in keys] == [200, 200, 429, 200]


def test_over_the_concurrency():
    """More in flight than allowed is a 429; when one is over, another may come."""
    hanging = Fault(kind="hang", rate=1)
    with Simulator(limits=Limits(concurrency=1), faults=[hanging]) as sim:
        with connect(sim), connect(sim) as second:
            until(lambda: sim.counts().by_status == {429: 1})
            assert second.recv(65536).startswith(b"HTTP/1.1 429")
        until(lambda: sim.counts().in_flight == 0)
        with connect(sim):
            until(lambda: sim.counts().in_flight == 1)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"concurrency": 0}, "concurrency=0: give a finite number of at least 1"),
        ({"requests_per_minute": 0}, "requests_per_minute=0: give a finite number above 0"),
        ({"tokens_per_minute": math.inf}, "tokens_per_minute=inf: give a finite number above 0"),
        ({"burst": 0, "requests_per_minute": 1}, "burst=0: give a finite number of at least 1"),
        ({"burst": 5}, "burst=5: give requests_per_minute with it"),
    ],
)
def test_limits_that_cannot_be(options, text):
    """A limit that makes no sense is refused, with what would do."""
    with pytest.raises(OptionError) as caught:
        Limits(**options)
    assert text in str(caught.value)
