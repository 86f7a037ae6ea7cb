import math

import pytest

from tests.simulator.support import chat, chat_body, connect, post
from tests.support import until
from threadllm.exceptions import OptionError
from threadllm.simulator import Fault, Limits, Simulator


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


def test_the_wait_of_one_that_never_may_is_not_told():
    """A request of more tokens than a minute has is refused without a time to come back."""
    with Simulator(limits=Limits(tokens_per_minute=5)) as sim:
        refused = chat(sim)
    assert (refused.status_code, refused.json()["error"]["type"]) == (429, "tokens")
    assert not [name for name in refused.headers if name.startswith("retry-after")]


def limit_headers(response):
    """The headers that tell limits, without the times that pass meanwhile."""
    return {
        name: value
        for name, value in response.headers.items()
        if "ratelimit" in name and "reset" not in name
    }


def test_headers_can_be_left_out():
    """A provider may be silent about its limits, and still say how long to wait."""
    with Simulator(limits=Limits(requests_per_minute=1, headers=False)) as sim:
        good, refused = chat(sim), chat(sim)
    assert (good.status_code, refused.status_code) == (200, 429)
    assert limit_headers(good) == limit_headers(refused) == {}
    assert refused.headers["retry-after"] == "60"


def test_a_limit_a_day_takes_the_place_of_the_minutes_in_openais_headers():
    """Where there is one a day, OpenAI's dialect tells that one; both are enforced."""
    limits = Limits(requests_per_day=8640, requests_per_minute=2)
    with Simulator(limits=limits) as sim:
        good, _, refused = chat(sim), chat(sim), chat(sim)
    assert limit_headers(good) == {
        "x-ratelimit-limit-requests": "8640",
        "x-ratelimit-remaining-requests": "8639",
    }
    assert good.headers["x-ratelimit-reset-requests"] == "10s"
    assert (refused.status_code, refused.headers["retry-after"]) == (429, "30")
    assert refused.json()["error"]["message"] == "Limit reached: requests."


def test_a_day_that_is_used_up():
    """Over the limit of the day the wait is as long as the day's refill takes."""
    with Simulator(limits=Limits(requests_per_day=2)) as sim:
        answers = [chat(sim) for _ in range(3)]
    assert [one.status_code for one in answers] == [200, 200, 429]
    assert answers[2].headers["retry-after"] == "43200"
    assert answers[2].headers["x-ratelimit-reset-requests"].startswith("23h59m")
    error = answers[2].json()["error"]
    assert (error["type"], error["message"]) == ("requests", "Limit reached: requests-per-day.")


@pytest.mark.parametrize("side", ["input", "output"])
def test_openai_enforces_input_and_output_apart_without_a_header(side):
    """In OpenAI's dialect tokens of one side are limited, and no header tells."""
    with Simulator(limits=Limits(**{f"{side}_tokens_per_minute": 11})) as sim:
        good, refused = chat(sim, "a" * 40, max_tokens=10), chat(sim, "b" * 40, max_tokens=10)
    assert (good.status_code, refused.status_code) == (200, 429)
    assert limit_headers(good) == limit_headers(refused) == {}
    error = refused.json()["error"]
    assert (error["type"], error["message"]) == ("tokens", f"Limit reached: {side}-tokens.")
    assert 45 <= int(refused.headers["retry-after"]) <= 50


def test_anthropic_tells_input_and_output_apart():
    """In Anthropic's dialect each side has its headers, and a day has none."""
    limits = Limits(
        input_tokens_per_minute=6000, output_tokens_per_minute=600, requests_per_day=100
    )
    with Simulator(limits=limits) as sim:
        good = post(sim, "/v1/messages", {**chat_body("a" * 40), "max_tokens": 5})
    assert limit_headers(good) == {
        "anthropic-ratelimit-input-tokens-limit": "6000",
        "anthropic-ratelimit-input-tokens-remaining": "5990",
        "anthropic-ratelimit-output-tokens-limit": "600",
        "anthropic-ratelimit-output-tokens-remaining": "595",
    }
    assert good.headers["anthropic-ratelimit-input-tokens-reset"].endswith("Z")


def test_a_fixed_window_through_http():
    """What comes too late in the minute is told to come back at its end."""
    with Simulator(limits=Limits(requests_per_minute=2, window="fixed")) as sim:
        answers = [chat(sim) for _ in range(3)]
    assert [one.status_code for one in answers] == [200, 200, 429]
    assert answers[2].headers["retry-after"] == "60"
    assert answers[0].headers["x-ratelimit-reset-requests"] == "1m0s"


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
        ({"burst": 5, "requests_per_day": 5}, "burst=5: give requests_per_minute with it"),
        ({"requests_per_day": -1}, "requests_per_day=-1: give a finite number above 0"),
        ({"input_tokens_per_minute": 0}, "input_tokens_per_minute=0: give a finite number above 0"),
        ({"output_tokens_per_minute": 0}, "output_tokens_per_minute=0: give a finite number above"),
        ({"refill": 0, "requests_per_minute": 1}, "refill=0: give a finite number above 0"),
        ({"refill": 61, "requests_per_minute": 1}, "refill=61: give 60 or less, and a rate with"),
        ({"refill": 5, "concurrency": 1}, "refill=5: give 60 or less, and a rate with it"),
        ({"moves": ((1, 2),)}, "moves=((1, 2),): give a limit that moves with it"),
        *(
            (
                {"moves": moves, "concurrency": 1},
                f"moves={moves!r}: give pairs of seconds and a factor above 0, in order of time: (",
            )
            for moves in (
                ((-1, 2),),
                ((math.inf, 2),),
                ((1, 0),),
                ((1, math.nan),),
                ((2, 1), (1, 2)),
                ((1, 1), (1, 2)),
            )
        ),
        ({"window": "sliding"}, "window='sliding': give one of bucket, fixed"),
        ({"window": "fixed", "concurrency": 1}, "window='fixed': give a rate with it"),
        (
            {"window": "fixed", "requests_per_minute": 10, "burst": 5},
            "window='fixed': it has no burst and no refill",
        ),
        (
            {"window": "fixed", "requests_per_minute": 10, "refill": 5},
            "window='fixed': it has no burst and no refill",
        ),
        (
            {"window": "fixed", "requests_per_minute": 0.5},
            "requests_per_minute=0.5: give a finite number of at least 1",
        ),
        (
            {"window": "fixed", "requests_per_day": 0.5},
            "requests_per_day=0.5: give a finite number of at least 1",
        ),
    ],
)
def test_limits_that_cannot_be(options, text):
    """A limit that makes no sense is refused, with what would do."""
    with pytest.raises(OptionError) as caught:
        Limits(**options)
    assert text in str(caught.value)
