import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from threadllm.providers import Allowance, Reply, limits_of, mentions_limits
from threadllm.providers.limits import Kind

MINUTE, DAY = 60.0, 86400.0
NOW = 1_700_000_000.0  # Tue, 14 Nov 2023 22:13:20 GMT
SERVER = "Tue, 14 Nov 2023 22:14:00 GMT"  # 40 s after it


def told(headers, host="llm.example", body=None, status=200):
    return limits_of(Reply(status, headers, body), host, now=NOW)


def openai(of, limit, remaining, reset):
    return written(f"x-ratelimit-{{}}-{of}", limit, remaining, reset)


def anthropic(of, limit, remaining, reset):
    return written(f"anthropic-ratelimit-{of}-{{}}", limit, remaining, reset)


def written(headers, limit, remaining, reset):
    said = {"limit": limit, "remaining": remaining, "reset": reset}
    return {headers.format(name): text for name, text in said.items() if text is not None}


# Host, headers, what is allowed.
DIALECTS = {
    "OpenAI": (
        "api.openai.com",
        openai("requests", "5000", "4999", "12ms") | openai("tokens", "160000", "159976", "6ms"),
        [
            Allowance("requests", 5000, MINUTE, 4999, 0.012),
            Allowance("tokens", 160_000, MINUTE, 159_976, 0.006),
        ],
    ),
    "OpenAI, requests by the day": (
        "api.openai.com",
        openai("requests", "10000", "9999", "8.64s") | openai("tokens", "200000", "199978", "6ms"),
        [
            Allowance("requests", 10_000, DAY, 9999, 8.64),
            Allowance("tokens", 200_000, MINUTE, 199_978, 0.006),
        ],
    ),
    "OpenAI, nothing used": (
        "api.openai.com",
        openai("requests", "500", "500", "0s"),
        [Allowance("requests", 500, MINUTE, 500, 0)],
    ),
    "OpenAI, without resets": (
        "api.openai.com",
        openai("requests", "500", "499", None),
        [Allowance("requests", 500, MINUTE, 499, None)],
    ),
    "OpenAI, only what is left": (
        "api.openai.com",
        openai("requests", None, "499", "1s"),
        [Allowance("requests", None, MINUTE, 499, 1)],
    ),
    "OpenAI, only the limit": (
        "api.openai.com",
        openai("requests", "500", None, "1s"),
        [Allowance("requests", 500, MINUTE, None, 1)],
    ),
    "OpenAI, tokens that take minutes": (
        "api.openai.com",
        openai("tokens", "150000", "149984", "6m0s"),
        [Allowance("tokens", 150_000, MINUTE, 149_984, 360)],
    ),
    "Azure": (
        "planted.openai.azure.com",
        openai("requests", "60", "59", "1") | openai("tokens", "60000", "59000", "13"),
        [
            Allowance("requests", 60, MINUTE, 59, 1),
            Allowance("tokens", 60_000, MINUTE, 59_000, 13),
        ],
    ),
    "Azure, knowing nothing": (
        "planted.openai.azure.com",
        openai("requests", "-1", "-1", "0") | openai("tokens", "-1", "-1", "0"),
        [],
    ),
    "Groq": (
        "api.groq.com",
        openai("requests", "14400", "14370", "2m59.56s") | openai("tokens", "18000", "17997", "1s"),
        [
            Allowance("requests", 14_400, DAY, 14_370, 179.56),
            Allowance("tokens", 18_000, MINUTE, 17_997, 1),
        ],
    ),
    "Groq, soon reset": (
        "api.groq.com",
        openai("requests", "1000", "999", "1s"),
        [Allowance("requests", 1000, DAY, 999, 1)],
    ),
    "Together, by the second": (
        "api.together.xyz",
        written("x-ratelimit-{}", "10", "9", "1")
        | written("x-tokenlimit-{}", "3000", "2000", None),
        [
            Allowance("requests", 600, MINUTE, 9, 1),
            Allowance("tokens", 180_000, MINUTE, 2000, None),
        ],
    ),
    "Together, only what is left": (
        "api.together.ai",
        written("x-ratelimit-{}", None, "9", None),
        [Allowance("requests", None, MINUTE, 9, None)],
    ),
    "OpenRouter, milliseconds": (
        "openrouter.ai",
        written("x-ratelimit-{}", "20", "0", "1700000030000"),
        [Allowance("requests", 20, MINUTE, 0, 30)],
    ),
    "OpenRouter, by the day": (
        "openrouter.ai",
        written("x-ratelimit-{}", "50", "0", "1700006400000"),
        [Allowance("requests", 50, DAY, 0, 6400)],
    ),
    "Unix seconds": (
        "llm.example",
        written("x-ratelimit-{}", "100", "99", "1700000045"),
        [Allowance("requests", 100, MINUTE, 99, 45)],
    ),
    "Unix seconds, by the server's clock": (
        "llm.example",
        written("x-ratelimit-{}", "100", "99", "1700000045") | {"date": SERVER},
        [Allowance("requests", 100, MINUTE, 99, 5)],
    ),
    "a moment that is over": (
        "llm.example",
        written("x-ratelimit-{}", "100", "99", "1699999999"),
        [Allowance("requests", 100, MINUTE, 99, 0)],
    ),
    "seconds": (
        "llm.example",
        written("x-ratelimit-{}", "100", "99", "30.5"),
        [Allowance("requests", 100, MINUTE, 99, 30.5)],
    ),
    "Anthropic, told apart": (
        "api.anthropic.com",
        anthropic("requests", "50", "49", "2023-11-14T22:13:21Z")
        | anthropic("tokens", "30000", "29000", "2023-11-14T22:13:22Z")
        | anthropic("input-tokens", "30000", "29000", "2023-11-14T22:13:22Z")
        | anthropic("output-tokens", "8000", "7000", "2023-11-14T22:13:27.5Z"),
        [
            Allowance("requests", 50, MINUTE, 49, 1),
            Allowance("input_tokens", 30_000, MINUTE, 29_000, 2),
            Allowance("output_tokens", 8000, MINUTE, 7000, 7.5),
        ],
    ),
    "Anthropic, tokens alone": (
        "api.anthropic.com",
        anthropic("tokens", "30000", "0", "2023-11-14T22:14:03Z") | {"date": SERVER},
        [Allowance("tokens", 30_000, MINUTE, 0, 3)],
    ),
    "Anthropic, told apart without sense": (
        "api.anthropic.com",
        anthropic("tokens", "30000", "0", None) | anthropic("input-tokens", "-1", "nan", None),
        [Allowance("tokens", 30_000, MINUTE, 0, None)],
    ),
    "Mistral": (
        "api.mistral.ai",
        written("x-ratelimit-{}-tokens-minute", "500000", "499000", None)
        | written("x-ratelimit-{}-req-minute", "720", "717", None)
        | written("x-ratelimit-{}-tokens-month", "1000000000", "5", None)
        | {"x-ratelimit-tokens-query-cost": "52"},
        [
            Allowance("tokens", 500_000, MINUTE, 499_000, None),
            Allowance("requests", 720, MINUTE, 717, None),
        ],
    ),
    "Cerebras": (
        "api.cerebras.ai",
        written("x-ratelimit-{}-requests-day", "14400", "13693", "11726.28")
        | written("x-ratelimit-{}-tokens-minute", "60000", "60000", "26.25"),
        [
            Allowance("requests", 14_400, DAY, 13_693, 11_726.28),
            Allowance("tokens", 60_000, MINUTE, 60_000, 26.25),
        ],
    ),
    "no word of limits": ("llm.example", {"date": SERVER, "retry-after": "7"}, []),
}


@pytest.mark.parametrize(("host", "headers", "allowances"), DIALECTS.values(), ids=DIALECTS)
def test_limits_are_read_in_every_dialect(host, headers, allowances):
    """Whoever writes them however, they come out alike."""
    assert told(headers, host) == tuple(allowances)


@pytest.mark.parametrize(("host", "headers", "allowances"), DIALECTS.values(), ids=DIALECTS)
def test_what_tells_limits_is_worth_a_reading(host, headers, allowances):
    """No answer whose headers tell limits is passed over, and others are."""
    knowing_nothing = any("-1" in text for text in headers.values())

    assert mentions_limits(headers) is (bool(allowances) or knowing_nothing)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("20ms", 0.02), ("0.5ms", 0.0005), ("1s", 1), ("6m0s", 360), ("2m59.56s", 179.56),
        ("1h2m3s", 3723), ("1d2h", 93_600), ("1m", 60), ("1s500ms", 1.5), ("1.5h", 5400),
        ("0s", 0), ("0", 0), ("7", 7), ("0.25", 0.25), ("1e3", 1000),
        ("1700000007", 7), ("1700000007.5", 7.5), ("1700000007000", 7),
        ("2023-11-14T22:13:27Z", 7), ("2023-11-14t22:13:27z", 7), ("2023-11-14 22:13:27Z", 7),
        ("2023-11-14T22:13:27.25Z", 7.25), ("2023-11-14T22:13:27.2500000000Z", 7.25),
        ("2023-11-14T23:13:27+01:00", 7), ("2023-11-14T22:13:19Z", 0),
        # No time, or none that anybody waits for
        ("", None), ("soon", None), ("s", None), ("ms", None), ("5x", None), ("1s1m", None),
        ("1.2.3s", None), ("-5s", None), ("-5", None), ("nan", None), ("inf", None),
        ("33d", None), ("999999999999d", None), ("5000000", None), ("1e300", None),
        ("9" * 400, None), ("9" * 40 + "s", None), ("2023-99-14T22:13:27Z", None),
        ("2023-11-14T22:13:60Z", None), ("9999-12-31T23:59:59Z", None),
        ("2023-11-14T22:13:27", None), ("2023-11-14", None), ("٢s", None),
    ],
)  # fmt: skip
def test_a_reset_is_told_in_many_ways(text, seconds):
    """Durations, numbers of seconds, moments: and what makes no sense is not said."""
    (allowance,) = told(written("x-ratelimit-{}-tokens", "100", "99", text))

    assert allowance == Allowance(
        "tokens", 100, MINUTE, 99, seconds if seconds is None else pytest.approx(seconds)
    )


@pytest.mark.parametrize(
    "figure", ["", "-1", "nan", "inf", "-inf", "1e400", "1e13", "many", "1,000", "9" * 5000]
)
def test_a_bad_figure_is_not_said(figure):
    """One that makes no sense leaves the others; a limit of nothing at all is none."""
    headers = openai("tokens", figure, "5", "1s") | openai("requests", "5", figure, "1s")

    assert told(headers) == (
        Allowance("tokens", None, MINUTE, 5, 1),
        Allowance("requests", 5, MINUTE, None, 1),
    )
    assert told(openai("tokens", figure, figure, "1s")) == ()
    assert told(openai("tokens", "0", figure, "1s")) == ()


@pytest.mark.parametrize(
    ("headers", "period"),
    [
        (written("x-ratelimit-{}", "1500", "1499", "60"), MINUTE),
        (written("x-ratelimit-{}", "1500", "0", "61"), MINUTE),
        (written("x-ratelimit-{}", "1500", "0", "121"), DAY),
        (written("x-ratelimit-{}", "1500", "0", None), MINUTE),
        (openai("requests", "1500", "0", "3h"), DAY),
        (openai("tokens", "1500", "0", "3h"), MINUTE),
    ],
)
def test_a_period_is_no_shorter_than_the_time_to_its_end(headers, period):
    """Where requests are reset in more than a few minutes, they are counted by the day."""
    assert [allowance.period for allowance in told(headers)] == [period]


def quota_failure(*violations):
    """Gemini's error, as its OpenAI-compatible endpoint words it."""
    kind = "type.googleapis.com/google.rpc."
    details = [
        {"@type": kind + "Help", "violations": [violation()]},
        "no detail",
        {"@type": kind + "QuotaFailure", "violations": list(violations)},
        {"@type": kind + "RetryInfo", "retryDelay": "47s"},
    ]
    return [{"error": {"code": 429, "status": "RESOURCE_EXHAUSTED", "details": details}}]


def violation(
    metric="generate_content_free_tier_requests",
    quota="GenerateRequestsPerMinutePerProjectPerModel-FreeTier",
    value="50",
):
    fields = {"quotaMetric": metric, "quotaId": quota, "quotaValue": value}
    return {name: text for name, text in fields.items() if text is not None}


INPUT = "generativelanguage.googleapis.com/generate_content_free_tier_input_token_count"
BY_THE_DAY = "GenerateRequestsPerDayPerProjectPerModel-FreeTier"
VIOLATIONS = {
    "a minute's": ([violation()], [Allowance("requests", 50, MINUTE, 0, None)]),
    "a day's": ([violation(quota=BY_THE_DAY)], [Allowance("requests", 50, DAY, 0, None)]),
    "input": (
        [violation(INPUT, "GenerateContentInputTokensPerModelPerMinute-FreeTier", "250000")],
        [Allowance("input_tokens", 250_000, MINUTE, 0, None)],
    ),
    "output": (
        [violation("generate_content_output_token_count")],
        [Allowance("output_tokens", 50, MINUTE, 0, None)],
    ),
    "tokens": (
        [violation("generate_content_token_count")],
        [Allowance("tokens", 50, MINUTE, 0, None)],
    ),
    "each once": (
        [violation(), violation(quota=BY_THE_DAY), violation()],
        [Allowance("requests", 50, MINUTE, 0, None), Allowance("requests", 50, DAY, 0, None)],
    ),
    "a value of none": ([violation(value="0")], [Allowance("requests", None, MINUTE, 0, None)]),
    "no value": ([violation(value=None)], [Allowance("requests", None, MINUTE, 0, None)]),
    "a number": ([violation(value=50)], [Allowance("requests", None, MINUTE, 0, None)]),
    "an unknown metric": ([violation("batch_jobs")], []),
    "an unknown period": ([violation(quota="GenerateRequestsPerFortnight")], []),
    "odd fields": ([violation(None, None, None), violation([], {}, 1), "text", None], []),
}  # fmt: skip


@pytest.mark.parametrize(("violations", "allowances"), VIOLATIONS.values(), ids=VIOLATIONS)
def test_geminis_body_tells_what_was_exceeded(violations, allowances):
    """The quota's own name tells its period; nothing of it is left."""
    assert told({}, body=quota_failure(*violations), status=429) == tuple(allowances)


PER_MINUTE = {"X-RateLimit-Limit": "20", "X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "30"}


@pytest.mark.parametrize(
    ("status", "error", "allowances"),
    [
        (429, {"metadata": {"headers": PER_MINUTE}}, [Allowance("requests", 20, MINUTE, 0, 30)]),
        (200, {"metadata": {"headers": PER_MINUTE}}, [Allowance("requests", 20, MINUTE, 0, 30)]),
        (429, {"metadata": {"headers": {"X-RateLimit-Limit": 20, 7: "7"}}}, []),
        (429, {"metadata": {"headers": "text"}}, []),
        (429, {"metadata": "text"}, []),
        (429, {"message": "too fast"}, []),
    ],
)
def test_openrouter_puts_headers_into_the_body(status, error, allowances):
    """They are read there too, be the error one of the status or of the body alone."""
    assert told({}, body={"error": error}, status=status) == tuple(allowances)


def test_headers_stand_above_those_in_the_body():
    """The same limit is not told twice."""
    body = {"error": {"metadata": {"headers": PER_MINUTE}}}
    headers = written("x-ratelimit-{}", "20", "0", "31")

    assert told(headers, body=body, status=429) == (Allowance("requests", 20, MINUTE, 0, 31),)


@pytest.mark.parametrize(
    "body",
    [None, [], {}, "text", {"choices": []}, {"error": None}, {"error": {"details": "text"}},
     {"error": {"details": [{"@type": "QuotaFailure", "violations": "text"}]}},
     {"error": {"details": [{"@type": 7, "violations": [violation()]}]}}],
)  # fmt: skip
@pytest.mark.parametrize("status", [200, 429])
def test_a_body_without_limits_is_passed_over(status, body):
    """Whatever came, nothing is found in it."""
    assert told({}, body=body, status=status) == ()


numbers = st.one_of(st.floats(), st.integers(), st.decimals()).map(str)
moments = st.datetimes(timezones=st.timezones()).map(lambda moment: moment.isoformat())
durations = st.lists(
    st.tuples(numbers, st.sampled_from(["d", "h", "m", "s", "ms", "us", "Z", "٣"]))
).map(lambda parts: "".join(part for pair in parts for part in pair))
texts = st.one_of(st.text(), numbers, moments, durations)
names = st.sampled_from(
    sorted({name for _, headers, _ in DIALECTS.values() for name in headers} | {"date"})
)
headers = st.dictionaries(names, texts)
things = st.recursive(
    st.none() | st.booleans() | st.integers() | texts,
    lambda inner: (
        st.lists(inner)
        | st.dictionaries(st.sampled_from(["error", "details", "metadata", "headers"]), inner)
    ),
)
bodies = st.one_of(
    things,
    st.builds(violation, things, things, things).map(quota_failure),
    st.lists(things).map(lambda these: quota_failure(*these)),
    headers.map(lambda said: {"error": {"metadata": {"headers": said}}}),
)


@given(
    headers=headers,
    body=bodies,
    status=st.sampled_from([200, 429, 503]),
    host=st.sampled_from(sorted({host for host, _, _ in DIALECTS.values()})),
    now=st.floats(0, 1e11),
)
def test_whatever_is_said_the_figures_make_sense(headers, body, status, host, now):
    """No text raises, and each figure is one that can be reckoned with, or None."""
    for allowance in limits_of(Reply(status, headers, body), host, now=now):
        kind, limit, period, remaining, reset = allowance

        assert kind in Kind.__args__
        assert period in {MINUTE, DAY}
        assert (limit, remaining) != (None, None)
        assert limit is None or (math.isfinite(limit) and limit > 0)
        assert remaining is None or (math.isfinite(remaining) and remaining >= 0)
        assert reset is None or (math.isfinite(reset) and reset >= 0)
