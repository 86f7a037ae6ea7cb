"""What to do with an answer. Never judged by its message: providers share sentences."""

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
        ("error_code", "contract_spend_limit_reached"),
        ("error_code", "enforced_spend_limit_reached"),
    }
)
_ORDERS = {"true": True, "false": False}


class Verdict(Enum):
    """What an answer, or its lack, asks for."""

    OK = "ok"
    FAIL = "fail"
    """No retry mends it."""
    RETRY = "retry"
    """Try again, charged to the attempts."""
    PACE = "pace"
    """Too fast: everyone waits, then tries again; charged to nobody."""


def effective_status(reply: Reply) -> int:
    """The status that counts: OpenRouter answers 200 with the error's code in the body."""
    if reply.status in ERRORS:
        return reply.status
    code = str(reply.error.get("code", ""))
    return int(code) if code.isdecimal() and int(code) in ERRORS else reply.status


def _lacks_credit(reply: Reply) -> bool:
    details = reply.error.get("details")
    fields = [reply.error, details if isinstance(details, dict) else {}]
    return any(
        isinstance(value, str) and (name, value) in _NO_CREDIT
        for group in fields
        for name, value in group.items()
    )


def verdict_on(reply: Reply, statuses: Collection[int]) -> Verdict:
    """The verdict on an answer, where `statuses` are those to be tried again.

    `x-should-retry`, which OpenAI and Anthropic send, is obeyed before the status.
    """
    status = effective_status(reply)
    if status not in ERRORS:
        return Verdict.OK
    order = _ORDERS.get(reply.headers.get("x-should-retry", ""))
    retried = status in statuses if order is None else order
    if not retried or (status == HTTPStatus.TOO_MANY_REQUESTS and _lacks_credit(reply)):
        return Verdict.FAIL
    return Verdict.PACE if status == HTTPStatus.TOO_MANY_REQUESTS else Verdict.RETRY
