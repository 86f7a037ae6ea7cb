"""What to do with an answer. Never judged by its message: one sentence means several things."""

from __future__ import annotations

from enum import Enum
from http import HTTPStatus
from typing import TYPE_CHECKING

from threadllm.providers.reply import ERRORS, Reply

if TYPE_CHECKING:
    from collections.abc import Collection

# A 429 with one of these is no matter of pace: no wait mends it. (Field of the error, its value.)
# OpenAI: platform.openai.com/docs/guides/error-codes; Anthropic: error.details.error_code.
_NO_CREDIT = frozenset(
    {
        ("type", "insufficient_quota"),
        ("code", "insufficient_quota"),
        ("type", "billing_not_active"),
        ("code", "billing_not_active"),
        ("error_code", "contract_spend_limit_reached"),
        ("error_code", "enforced_spend_limit_reached"),
    }
)
# What no retry mends, for any item: what it means, and what to do.
_STOPS: dict[int, str] = {
    HTTPStatus.UNAUTHORIZED: "The key was not accepted: set a valid one.",
    HTTPStatus.PAYMENT_REQUIRED: (
        "No credit is left, or a spending limit was reached: add credit or raise the limit."
    ),
    HTTPStatus.FORBIDDEN: (
        "The key may not do this: check its permissions, the model and the region."
    ),
}
_ORDERS = {"true": True, "false": False}
# The code in a body: a number with OpenRouter, a string of digits with Azure.
# The code or type of a lack of credit comes in a stream too, where no status tells it.
_CODES: dict[int | str, int] = {code: int(code) for n in ERRORS for code in (n, str(n))} | {
    value: 429 for name, value in _NO_CREDIT if name == "code"
}
# Where a stream that began with 200 breaks off, Anthropic's error has a type and no code.
# docs.anthropic.com/en/api/errors
_TYPES: dict[str, int] = {
    "invalid_request_error": 400,
    "authentication_error": 401,
    "billing_error": 402,
    "permission_error": 403,
    "not_found_error": 404,
    "request_too_large": 413,
    "rate_limit_error": 429,
    "api_error": 500,
    "timeout_error": 504,
    "overloaded_error": 529,
} | {value: 429 for name, value in _NO_CREDIT if name == "type"}


class Verdict(Enum):
    """What an answer, or its lack, asks for."""

    OK = "ok"
    FAIL = "fail"
    """No retry mends it, for this item: others may go on."""
    STOP = "stop"
    """No retry mends it, for this item or any other: the run stops."""
    RETRY = "retry"
    """Try again, charged to the attempts."""
    PACE = "pace"
    """Too fast: everyone waits, then tries again; charged to nobody."""


def effective_status(reply: Reply) -> int:
    """The status that counts: a 200 may have an error in its body, with a code or a type."""
    if reply.status in ERRORS:
        return reply.status
    code, kind = reply.error.get("code"), reply.error.get("type")
    by_type = _TYPES.get(kind, reply.status) if isinstance(kind, str) else reply.status
    return _CODES.get(code, by_type) if isinstance(code, (int, str)) else by_type


def _lacks_credit(reply: Reply) -> bool:
    details = reply.error.get("details")
    fields = [reply.error, details if isinstance(details, dict) else {}]
    return any(
        isinstance(value, str) and (name, value) in _NO_CREDIT
        for group in fields
        for name, value in group.items()
    )


def _faults_the_item(reply: Reply) -> bool:
    """Whether a 403 is of the text alone: OpenRouter tells so for what its moderation flags.

    openrouter.ai/docs/api/reference/errors-and-debugging#moderation-errors
    """
    metadata = reply.error.get("metadata")
    return isinstance(metadata, dict) and "flagged_input" in metadata


def verdict_on(reply: Reply, statuses: Collection[int]) -> Verdict:
    """The verdict on an answer, where `statuses` are those to be tried again.

    `x-should-retry`, which OpenAI and Anthropic send, is obeyed before the status, but not where
    no credit is left: they order a retry for any 429.
    """
    status = effective_status(reply)
    if status not in ERRORS:
        return Verdict.OK
    too_fast = status == HTTPStatus.TOO_MANY_REQUESTS
    if too_fast and _lacks_credit(reply):
        return Verdict.STOP
    order = _ORDERS.get(reply.headers.get("x-should-retry", ""))
    if status in statuses if order is None else order:
        return Verdict.PACE if too_fast else Verdict.RETRY
    stops = status in _STOPS and status not in statuses and not _faults_the_item(reply)
    return Verdict.STOP if stops else Verdict.FAIL


def advice(reply: Reply) -> str:
    """For people: what an answer means whose verdict is STOP, and what to do. Else nothing."""
    no_credit = _lacks_credit(reply)
    return _STOPS.get(HTTPStatus.PAYMENT_REQUIRED if no_credit else effective_status(reply), "")
