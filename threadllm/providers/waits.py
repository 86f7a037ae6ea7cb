"""How long a provider asks to wait: Retry-After in all its spellings.

RFC 9110, 10.2.3 knows whole seconds and a date. Providers add fractions, `retry-after-ms`
(OpenAI, Azure) and, in the body, `google.rpc.RetryInfo` (Gemini). What makes no sense is ignored,
and so is a wait of no time at all: obeyed, it would be asked for again and again.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from threadllm.providers.figures import http_date, number, sent_at

if TYPE_CHECKING:
    from threadllm.providers.reply import Reply

_DURATION = re.compile(r"([0-9.]{1,30})s")


def _milliseconds(reply: Reply, _now: float) -> float | None:
    value = number(reply.headers.get("retry-after-ms", ""))
    return None if value is None else value / 1000


def _seconds(reply: Reply, _now: float) -> float | None:
    return number(reply.headers.get("retry-after", ""))


def _until_date(reply: Reply, now: float) -> float | None:
    until = http_date(reply.headers.get("retry-after", ""))
    return None if until is None else until - sent_at(reply, now)


def _retry_info(reply: Reply, _now: float) -> float | None:
    details = reply.error.get("details")
    for detail in details if isinstance(details, list) else ():
        if isinstance(detail, Mapping) and str(detail.get("@type", "")).endswith("RetryInfo"):
            duration = _DURATION.fullmatch(str(detail.get("retryDelay", "")))
            return number(duration[1]) if duration else None
    return None


# In the order of the OpenAI and Anthropic SDKs; the body last.
_SPELLINGS: tuple[Callable[[Reply, float], float | None], ...] = (
    _milliseconds,
    _seconds,
    _until_date,
    _retry_info,
)


def seconds_to_wait(reply: Reply, *, now: float) -> float | None:
    """Seconds that the provider asks to wait; None if it says nothing usable.

    Args:
        reply: The answer that asks.
        now: Seconds since 1970-01-01 UTC, for a date in an answer that has no Date of its own.
    """
    readings = (spelling(reply, now) for spelling in _SPELLINGS)
    return next((seconds for seconds in readings if seconds is not None and seconds > 0), None)
