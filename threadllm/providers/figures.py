"""Numbers, moments and durations as servers write them. What makes no sense is None."""

from __future__ import annotations

import math
import re
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from threadllm.providers.reply import Reply

_NUMBER = r"([0-9]{1,12}(?:\.[0-9]{1,20})?)"
# Go's durations, as OpenAI, Groq and Together write them: 20ms, 6m0s, 2m59.56s, 1h2m3s.
_DURATION = re.compile(
    rf"(?:{_NUMBER}d)?(?:{_NUMBER}h)?(?:{_NUMBER}m(?!s))?(?:{_NUMBER}s)?(?:{_NUMBER}ms)?"
)
_LONGEST_TEXT = 40
_UNITS = (86400.0, 3600.0, 60.0, 1.0, 0.001)
_LAST_LETTERS = frozenset("dhms")
# RFC 3339, 5.6, of which datetime.fromisoformat knows too little before Python 3.11.
_RFC_3339 = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2})[Tt ]([0-9]{2}:[0-9]{2}:[0-9]{2})(\.[0-9]{1,20})?"
    r"(?:[Zz]|([+-][0-9]{2}:[0-9]{2}))"
)
_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)
# A bare number is a wait (draft-ietf-httpapi-ratelimit-headers; Azure), a moment in Unix seconds
# (GitHub, X) or one in milliseconds (OpenRouter). Its magnitude tells: no wait takes thirty
# years, and as seconds the milliseconds of today would lie fifty thousand years ahead.
_UNIX_SECONDS = 1e9
_UNIX_MILLISECONDS = 1e11


def number(text: str) -> float | None:
    """A finite number."""
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


@lru_cache(maxsize=16)  # the answers of one second have one Date
def http_date(text: str) -> float | None:
    """Unix seconds of an HTTP-date (RFC 9110, 5.6.7)."""
    try:
        date = parsedate_to_datetime(text)
    except (ValueError, TypeError, OverflowError):
        return None
    return _unix(date if date.tzinfo else date.replace(tzinfo=timezone.utc))


def sent_at(reply: Reply, now: float) -> float:
    """Unix seconds at the server, by its own Date: this machine's clock, `now`, may be wrong."""
    sent = http_date(reply.headers.get("date", ""))
    return now if sent is None else sent


def seconds_until(text: str, reply: Reply, now: float) -> float | None:
    """Seconds until a reset: said as a duration, a number of seconds, or a moment.

    A moment that is over is 0.

    Args:
        text: What the header says.
        reply: The answer that says it; moments are held against its Date.
        now: Unix seconds, for an answer without a Date.
    """
    if len(text) > _LONGEST_TEXT:
        return None
    if text[-1:] in _LAST_LETTERS:
        return _duration(text)
    moment = number(text)
    if moment is None:
        moment = _rfc_3339(text)
        if moment is None:
            return None
    elif moment < _UNIX_SECONDS:
        return moment
    elif moment >= _UNIX_MILLISECONDS:
        moment /= 1000
    return max(0.0, moment - sent_at(reply, now))


@lru_cache(maxsize=256)  # a provider that is not hard pressed says the same few again and again
def _duration(text: str) -> float | None:
    parts = _DURATION.fullmatch(text)
    if parts is None:
        return None
    each = zip(parts.groups(), _UNITS, strict=True)
    return sum([float(part) * unit for part, unit in each if part])


@lru_cache(maxsize=64)  # several limits are reset at one moment
def _rfc_3339(text: str) -> float | None:
    parts = _RFC_3339.fullmatch(text)
    if parts is None:
        return None
    day, time, fraction, offset = parts.groups()
    try:
        moment = datetime.fromisoformat(f"{day}T{time}{offset or '+00:00'}")
    except ValueError:
        return None
    return _unix(moment) + float(fraction or 0)


def _unix(moment: datetime) -> float:
    return (moment - _EPOCH).total_seconds()
