import math
from datetime import datetime, timezone
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from threadllm.providers import Reply, seconds_to_wait

NOW = 1_700_000_000.0  # Tue, 14 Nov 2023 22:13:20 GMT
LATER = "Tue, 14 Nov 2023 22:14:05 GMT"  # 45 s after it
SERVER = "Tue, 14 Nov 2023 22:14:00 GMT"  # 5 s before that


def asked(headers=None, body=None, status=429):
    return seconds_to_wait(Reply(status, headers or {}, body), now=NOW)


def retry_info(delay):
    """Gemini's error, as its OpenAI-compatible endpoint words it."""
    return {
        "error": {
            "code": 429,
            "status": "RESOURCE_EXHAUSTED",
            "details": [
                {"@type": "type.googleapis.com/google.rpc.QuotaFailure", "retryDelay": "1s"},
                "no detail",
                {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": delay},
            ],
        }
    }


@pytest.mark.parametrize(
    ("headers", "body", "seconds"),
    [
        ({"retry-after": "7"}, None, 7),
        ({"retry-after": " 7 "}, None, 7),
        ({"retry-after": "0.25"}, None, 0.25),
        ({"retry-after": "3600"}, None, 3600),
        ({"retry-after": "1e9"}, None, 1e9),
        ({"retry-after-ms": "1500"}, None, 1.5),
        ({"retry-after-ms": "0.5"}, None, 0.0005),
        ({"retry-after": LATER}, None, 45),
        ({"retry-after": LATER, "date": SERVER}, None, 5),
        ({"retry-after": LATER, "date": "yesterday"}, None, 45),
        ({"retry-after": "Tuesday, 14-Nov-23 22:14:05 GMT"}, None, 45),
        ({"retry-after": "Tue, 14 Nov 2023 23:14:05 +0100"}, None, 45),
        ({"retry-after": "Tue, 14 Nov 2023 22:14:05 -0000"}, None, 45),
        ({}, retry_info("47s"), 47),
        ({}, retry_info("3.5s"), 3.5),
        ({}, [retry_info("47s")], 47),
        # Precedence: what the SDKs read first, then the body; what makes no sense is passed over.
        ({"retry-after-ms": "1500", "retry-after": "7"}, retry_info("47s"), 1.5),
        ({"retry-after": "7"}, retry_info("47s"), 7),
        ({"retry-after": LATER}, retry_info("47s"), 45),
        ({"retry-after-ms": "soon", "retry-after": "7"}, None, 7),
        ({"retry-after-ms": "0", "retry-after": "7"}, None, 7),
        ({"retry-after": "soon"}, retry_info("47s"), 47),
        ({"retry-after": "0"}, retry_info("47s"), 47),
    ],
)
def test_what_the_provider_asks_for_is_read(headers, body, seconds):
    """Every spelling is known, and the first that can be used counts."""
    assert asked(headers, body) == seconds


@pytest.mark.parametrize(
    "value",
    [
        "", " ", "nan", "inf", "-inf", "infinity", "-5", "-0.1", "1e400", "0", "0.0", "-0",
        "soon", "5 seconds", "0x10", "1,5", "9" * 400, "9" * 5000,
        "Tue, 14 Nov 2023 22:13:20 GMT", "Tue, 14 Nov 2023 22:13:19 GMT",
        "Mon, 01 Jan 0001 00:00:00 GMT", "Tue, 14 Nov 2023 22:14:05 +9999",
        "Tue, 99 Nov 2023 22:14:05 GMT", "Tue, 14 Nov 99999 22:14:05 GMT",
    ],
)  # fmt: skip
@pytest.mark.parametrize("name", ["retry-after", "retry-after-ms"])
def test_what_makes_no_sense_is_not_waited_for(name, value):
    """No number, no time at all, times that are over, what no clock can tell: as if not said."""
    assert asked({name: value}) is None


@pytest.mark.parametrize(
    "body",
    [
        None,
        [],
        "text",
        {"error": "text"},
        {"error": {"details": None}},
        {"error": {"details": {"@type": "x.RetryInfo", "retryDelay": "47s"}}},
        {"error": {"details": [{"@type": "x.ErrorInfo", "retryDelay": "47s"}]}},
        {"error": {"details": [{"retryDelay": "47s"}]}},
        *(retry_info(d) for d in ("", "s", "47", "47m", "-1s", "1.2.3s", "0s", None, 47, "9" * 31)),
    ],
)
def test_a_body_that_names_no_wait_is_passed_over(body):
    """RetryInfo is found by its type, and its duration must be one."""
    assert asked(body=body) is None


def test_a_very_late_date_is_a_number():
    """The end of the calendar is finite: whoever waits caps it."""
    end = datetime(9999, 12, 31, 23, 59, 59, tzinfo=timezone.utc)

    assert asked({"retry-after": format_datetime(end, usegmt=True)}) == end.timestamp() - NOW


dates = st.one_of(
    st.datetimes(timezones=st.timezones()).map(format_datetime),
    st.builds(
        "{}, {} {} {} {}:{}:{} {}".format,
        st.sampled_from(["Mon", "Sunday", ""]),
        *[st.integers(-5, 100)],
        st.sampled_from(["Jan", "Feb", "Foo"]),
        st.integers(-1, 10**6),
        *[st.integers(-1, 70)] * 3,
        st.sampled_from(["GMT", "+2400", "-9999", "+000٣", "-0000", ""]),
    ),
)
numbers = st.one_of(st.floats(), st.integers(), st.decimals()).map(str)
digits = st.text(st.characters(categories=["Nd", "Nl", "No"]))
texts = st.one_of(st.text(), numbers, digits, dates)


@given(
    headers=st.dictionaries(st.sampled_from(["retry-after", "retry-after-ms", "date"]), texts),
    delay=texts,
    now=st.floats(0, 1e11),
)
def test_whatever_is_said_the_wait_is_a_number_or_none(headers, delay, now):
    """No text raises, and nothing but a finite positive number is waited for."""
    seconds = seconds_to_wait(Reply(429, headers, retry_info(delay)), now=now)

    assert seconds is None or (math.isfinite(seconds) and seconds > 0)
