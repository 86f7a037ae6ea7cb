import pytest

from threadllm.providers import ERRORS, Reply, Verdict, advice, parse_body, verdict_on
from threadllm.providers.verdict import effective_status
from threadllm.retry import Retry

STATUSES = Retry().statuses
NO_CREDIT = "You exceeded your current quota, please check your plan and billing details."


def verdict(status, body=None, headers=None):
    return verdict_on(Reply(status, headers or {}, body), STATUSES)


def error(**fields):
    return {"error": fields}


@pytest.mark.parametrize("status", [100, 200, 201, 204, 301, 304, 399, 600])
def test_what_is_no_error_is_ok(status):
    """Statuses below 400 ask for nothing."""
    assert verdict(status) is Verdict.OK


@pytest.mark.parametrize("status", ERRORS)
def test_each_error_status_has_its_verdict(status):
    """Some are tried again, a 429 is a matter of pace, some stop the run, the rest an item."""
    expected = dict.fromkeys([408, 409, 425, 500, 502, 503, 504, 529], Verdict.RETRY)
    expected[429] = Verdict.PACE
    expected |= dict.fromkeys([401, 402, 403], Verdict.STOP)

    assert verdict(status) is expected.get(status, Verdict.FAIL)


FAIL, OK, PACE, RETRY = Verdict.FAIL, Verdict.OK, Verdict.PACE, Verdict.RETRY
STOP = Verdict.STOP
BODIES = {
    "OpenAI, no credit": (429, error(type="insufficient_quota", code="insufficient_quota"), STOP),
    "no credit, null code": (429, error(type="insufficient_quota", code=None), STOP),
    "no credit, null type": (429, error(type=None, code="insufficient_quota"), STOP),
    "no credit, only a code": (429, error(code="insufficient_quota"), STOP),
    "no credit, as the SDK unwraps it": (429, {"type": "insufficient_quota"}, STOP),
    "no credit, in an array": (429, [error(code="insufficient_quota")], STOP),
    "OpenAI, no account": (429, error(type="billing_not_active", code=None), STOP),
    "OpenAI, no account, only a code": (429, error(code="billing_not_active"), STOP),
    "no credit elsewhere": (429, error(param="insufficient_quota"), PACE),
    "OpenAI, too fast": (429, error(type="tokens", code="rate_limit_exceeded"), PACE),
    "Anthropic, contract's limit": (
        429,
        error(type="rate_limit_error", details={"error_code": "contract_spend_limit_reached"}),
        STOP,
    ),
    "Anthropic, enforced limit": (
        429,
        error(type="rate_limit_error", details={"error_code": "enforced_spend_limit_reached"}),
        STOP,
    ),
    "Anthropic, too fast": (
        429,
        error(type="rate_limit_error", details={"error_code": "requests_per_minute"}),
        PACE,
    ),
    "Azure, code as a string": (429, error(code="429", message=NO_CREDIT), PACE),
    "Gemini, OpenAI's sentence": (
        429,
        [error(code=429, message=NO_CREDIT, status="RESOURCE_EXHAUSTED", details=[{"a": 1}])],
        PACE,
    ),
    "a sentence alone": (429, error(message="insufficient_quota"), PACE),
    "no credit, another status": (500, error(code="insufficient_quota"), RETRY),
    "odd fields": (429, error(type=["insufficient_quota"], code={}, details=[1]), PACE),
    "no JSON": (429, None, PACE),
    "an array of nothing": (429, [], PACE),
    "text": (503, "busy", RETRY),
    "an error that is text": (429, {"error": "model overloaded"}, PACE),
    # 200 with an error in the body
    "OpenRouter, a number": (200, error(code=502, message="no answer"), RETRY),
    "OpenRouter, digits": (200, error(code="502"), RETRY),
    "OpenRouter, too fast": (200, error(code=429), PACE),
    "OpenRouter, no credit": (200, error(code=429, type="insufficient_quota"), STOP),
    "OpenRouter, payment": (200, error(code=402), STOP),
    "OpenRouter, in an array": (200, [error(code=500)], RETRY),
    "Anthropic's stream, busy": (200, error(type="overloaded_error"), RETRY),
    "Anthropic's stream, too fast": (200, error(type="rate_limit_error"), PACE),
    "Anthropic's stream, key": (200, error(type="authentication_error"), STOP),
    "Anthropic's stream, billing": (200, error(type="billing_error"), STOP),
    "Anthropic's stream, permission": (200, error(type="permission_error"), STOP),
    "Anthropic's stream, spent": (
        200,
        error(type="rate_limit_error", details={"error_code": "enforced_spend_limit_reached"}),
        STOP,
    ),
    "OpenAI's stream, no credit": (200, error(type="insufficient_quota", code=None), STOP),
    "OpenAI's stream, only a code": (200, error(code="insufficient_quota"), STOP),
    "OpenRouter, flagged": (403, error(code=403, metadata={"flagged_input": "a"}), FAIL),
    "OpenRouter, flagged in a stream": (200, error(code=403, metadata={"flagged_input": ""}), FAIL),
    "OpenRouter, forbidden": (403, error(code=403, metadata={"provider_name": "p"}), STOP),
    "forbidden, odd fields": (403, error(metadata=["flagged_input"]), STOP),
    "flagged, another status": (400, error(metadata={"flagged_input": "a"}), FAIL),
    "a code before a type": (200, error(code=429, type="api_error"), PACE),
    "no known code": (200, error(code="context_length", type="odd"), OK),
    "a code that is no error": (200, error(code=200), OK),
    "a code out of range": (200, error(code=600), OK),
    "a code of many digits": (200, error(code="9" * 5000), OK),
    "a huge code": (200, error(code=10**5000), OK),
    "other digits": (200, error(code="٤٢٩"), OK),
    "a fraction": (200, error(code=429.0), OK),
    "odd codes": (200, error(code=[429], type={"a": 1}), OK),
    "no error": (200, {"error": None, "code": 429}, OK),
    "an answer": (200, {"choices": []}, OK),
    "a code beside no error": (200, {"code": 429}, OK),
    # A status that is an error stands above any code.
    "a code in an error's body": (400, error(code=429), FAIL),
    "a type in an error's body": (400, error(type="overloaded_error"), FAIL),
}


@pytest.mark.parametrize(("status", "body", "expected"), BODIES.values(), ids=BODIES)
def test_a_body_is_judged_by_its_fields(status, body, expected):
    """Codes and types count, wherever they stand; the message never does."""
    assert verdict(status, body) is expected


@pytest.mark.parametrize(
    ("status", "order", "body", "expected"),
    [
        (400, "true", None, RETRY),
        (401, "true", None, RETRY),
        (500, "false", None, FAIL),
        (429, "false", None, FAIL),
        (429, "true", None, PACE),
        (401, "false", None, STOP),
        (402, "true", None, RETRY),
        (403, "true", None, RETRY),
        (403, "yes", None, STOP),
        (429, "true", error(code="insufficient_quota"), STOP),
        (429, "false", error(code="insufficient_quota"), STOP),
        (200, "true", error(type="insufficient_quota"), STOP),
        (200, "true", error(type="billing_error"), RETRY),
        (400, "yes", None, FAIL),
        (500, "", None, RETRY),
        (200, "true", None, OK),
        (200, "false", error(code=500), FAIL),
    ],
)
def test_what_the_server_orders_stands_above_the_status(status, order, body, expected):
    """`x-should-retry` is obeyed, except where there is no credit or no error."""
    assert verdict(status, body, {"x-should-retry": order}) is expected


def test_statuses_are_the_users():
    """What the policy does not name is not tried again, a 429 included; what it names is."""
    judged = [verdict_on(Reply(status), {418}) for status in (418, 429, 500)]

    assert judged == [RETRY, FAIL, FAIL]


@pytest.mark.parametrize("status", [401, 402, 403])
def test_what_the_user_tries_again_stops_no_run(status):
    """It passes, so the server's order against it is of the one item."""
    refused = Reply(status, {"x-should-retry": "false"})

    assert verdict_on(Reply(status), {status}) is RETRY
    assert verdict_on(refused, {status}) is FAIL
    assert verdict_on(refused, STATUSES) is STOP


@pytest.mark.parametrize("statuses", [{429}, {500}])
def test_no_credit_stops_whatever_is_tried_again(statuses):
    """No list of statuses brings credit."""
    assert verdict_on(Reply(429, {}, error(code="insufficient_quota")), statuses) is STOP


KEY, FORBIDDEN = "The key was not accepted", "The key may not do this"
CREDIT = "No credit is left, or a spending limit was reached"


@pytest.mark.parametrize(
    ("reply", "meaning", "remedy"),
    [
        (Reply(401), KEY, "set a valid one"),
        (Reply(402), CREDIT, "add credit or raise the limit"),
        (Reply(403), FORBIDDEN, "check its permissions, the model and the region"),
        (Reply(429, {}, error(code="insufficient_quota")), CREDIT, "add credit or raise the limit"),
        (Reply(403, {}, error(code="insufficient_quota")), CREDIT, "add credit or raise the limit"),
        (Reply(200, {}, error(type="authentication_error")), KEY, "set a valid one"),
        (Reply(200, {}, error(type="insufficient_quota")), CREDIT, "add credit or raise the limit"),
        (Reply(200, {}, error(code="402")), CREDIT, "add credit or raise the limit"),
    ],
)
def test_a_stop_says_what_to_do(reply, meaning, remedy):
    """One sentence a cause: what it means, and the way out of it."""
    assert verdict_on(reply, STATUSES) is STOP
    assert advice(reply) == f"{meaning}: {remedy}."


@pytest.mark.parametrize("status", [200, 400, 429, 500])
def test_there_is_no_advice_where_nothing_stops(status):
    """An answer of another verdict is not explained."""
    assert advice(Reply(status)) == ""


@pytest.mark.parametrize(
    ("reply", "status"),
    [
        (Reply(503, {}, error(code=429)), 503),
        (Reply(200, {}, error(code="429")), 429),
        (Reply(200, {}, error(type="billing_error")), 402),
        (Reply(200, {}, error(type="insufficient_quota")), 429),
        (Reply(200, {}, error(code="insufficient_quota")), 429),
        (Reply(401), 401),
        (Reply(204), 204),
    ],
)
def test_the_status_that_counts_is_an_int(reply, status):
    """An error's own status, else that of the body, else that of the answer."""
    assert effective_status(reply) == status
    assert type(effective_status(reply)) is int


@pytest.mark.parametrize(
    ("content", "body"),
    [
        (b'{"a": [1]}', {"a": [1]}),
        (b'\xef\xbb\xbf{"a": 1}', {"a": 1}),
        (b"", None),
        (b"<html>", None),
        (b'{"a": ', None),
        (b"\xff\xfe", None),
        (b"[" * 100_000, None),
        (b"1" * 5000, None),
    ],
    ids=["JSON", "BOM", "nothing", "HTML", "torn", "no text", "nested", "digits"],
)
def test_a_body_is_json_or_none(content, body):
    """Whatever came, reading it does not raise."""
    assert parse_body(content) == body
