"""What providers say of their rate limits: how much is allowed, what is left of it, until when.

Most say it in headers, each in its own way: a row of the table. Gemini says it in the body of a
429, and OpenRouter puts headers there. Each figure is read for itself: one that makes no sense
is taken as not said.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal, NamedTuple

from threadllm.providers.figures import number, seconds_until

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from threadllm.providers.reply import Reply

Kind = Literal["requests", "tokens", "input_tokens", "output_tokens"]

_SECOND, _MINUTE, _DAY = 1.0, 60.0, 86400.0


class Allowance(NamedTuple):
    """One limit, as far as its provider tells it; at least `limit` or `remaining` is there.

    Attributes:
        kind: What is counted. Where `input_tokens` and `output_tokens` are told apart there are
            no `tokens` beside them.
        limit: Units per `period`; None where it is not said.
        period: Seconds: 60.0 or 86400.0.
        remaining: Units that may be used now; None where it is not said.
        reset: Seconds from now until the provider says that the limit is reset, or all there
            again; None where it is not said.
    """

    kind: Kind
    limit: float | None
    period: float
    remaining: float | None
    reset: float | None


class _Row(NamedTuple):
    """A way of writing: headers named with "limit", "remaining" and "reset" for the braces."""

    headers: str
    kind: Kind
    period: float | None = _MINUTE
    """None where the figures tell it."""
    hosts: Mapping[str, float] = {}
    """Hosts that mean another period."""


_TOGETHER = {"api.together.ai": _SECOND, "api.together.xyz": _SECOND}
_ROWS = (
    # OpenAI, Azure, xAI, Fireworks and whoever copies them. Groq counts requests by the day:
    # console.groq.com/docs/rate-limits
    _Row("x-ratelimit-{}-requests", "requests", None, {"api.groq.com": _DAY}),
    _Row("x-ratelimit-{}-tokens", "tokens"),
    # OpenRouter, Together (docs.together.ai/docs/rate-limits), gateways.
    _Row("x-ratelimit-{}", "requests", None, _TOGETHER),
    _Row("x-tokenlimit-{}", "tokens", None, _TOGETHER),
    # docs.anthropic.com/en/api/rate-limits#response-headers
    _Row("anthropic-ratelimit-requests-{}", "requests"),
    _Row("anthropic-ratelimit-tokens-{}", "tokens"),
    _Row("anthropic-ratelimit-input-tokens-{}", "input_tokens"),
    _Row("anthropic-ratelimit-output-tokens-{}", "output_tokens"),
    # Mistral; Cerebras writes the tokens likewise: inference-docs.cerebras.ai/support/rate-limits
    _Row("x-ratelimit-{}-req-minute", "requests"),
    _Row("x-ratelimit-{}-requests-minute", "requests"),
    _Row("x-ratelimit-{}-requests-day", "requests", _DAY),
    _Row("x-ratelimit-{}-tokens-minute", "tokens"),
    _Row("x-ratelimit-{}-tokens-day", "tokens", _DAY),
)
_COLUMNS = ("limit", "remaining", "reset")
_PLACES = {
    row.headers.format(column): (row, place)
    for row in _ROWS
    for place, column in enumerate(_COLUMNS)
}
_NAMES = frozenset(_PLACES)
_APART = {"input_tokens", "output_tokens"}
_MOST_UNITS = 1e12
_LONGEST_RESET = 32 * _DAY  # a month, the longest that anybody bills by
_OPENAI = "api.openai.com"
# Gemini's quotas, by a part of quotaMetric and of quotaId.
# ai.google.dev/gemini-api/docs/rate-limits
_METRICS: tuple[tuple[str, Kind], ...] = (
    ("input_token", "input_tokens"),
    ("output_token", "output_tokens"),
    ("token", "tokens"),
    ("request", "requests"),
)
_QUOTAS = (("PerMinute", _MINUTE), ("PerDay", _DAY))


def mentions_limits(names: Iterable[str]) -> bool:
    """Whether header names, in lower case, are worth a reading: asked of every answer."""
    return not _NAMES.isdisjoint(names)


def limits_of(reply: Reply, host: str, *, now: float) -> tuple[Allowance, ...]:
    """The limits that an answer tells, by its headers or the error in its body.

    Args:
        reply: The answer.
        host: The name of the host that gave it, in lower case: some mean another period.
        now: Unix seconds, for moments in an answer that has no Date of its own.
    """
    found = _in_headers(reply.headers, reply, host, now)
    if reply.body is not None and (error := reply.error):
        found = found or _in_headers(_headers_in(error), reply, host, now)
        found += _violations(error)
    if any(allowance.kind in _APART for allowance in found):
        # Anthropic's `tokens` repeats the more restrictive of the two.
        found = [allowance for allowance in found if allowance.kind != "tokens"]
    return tuple(found)


def _in_headers(headers: Mapping[str, str], reply: Reply, host: str, now: float) -> list[Allowance]:
    rows: dict[str, tuple[_Row, list[str]]] = {}
    for name, text in headers.items():
        place = _PLACES.get(name)
        if place is not None:
            row, column = place
            if row.headers not in rows:
                rows[row.headers] = row, ["", "", ""]
            rows[row.headers][1][column] = text
    found = []
    for row, (limit, remaining, reset) in rows.values():
        units, left = _units(limit) or None, _units(remaining)
        if units is not None or left is not None:
            seconds = seconds_until(reset, reply, now) if reset else None
            if seconds is not None and not 0 <= seconds <= _LONGEST_RESET:
                seconds = None
            found.append(_allowance(row, units, left, seconds, host))
    return found


def _allowance(
    row: _Row, limit: float | None, remaining: float | None, reset: float | None, host: str
) -> Allowance:
    period = row.hosts.get(host, row.period)
    if period is None:
        period = _told_period(limit, remaining, reset, host)
    elif period == _SECOND:
        limit, period = limit and limit * _MINUTE, _MINUTE
    return Allowance(row.kind, limit, period, remaining, reset)


def _units(text: str) -> float | None:
    value = number(text) if text else None
    return value if value is not None and 0 <= value <= _MOST_UNITS else None


def _told_period(
    limit: float | None, remaining: float | None, reset: float | None, host: str
) -> float:
    """A day where the figures say so, else a minute.

    No window lasts shorter than until its end: with twice a minute, for clocks that differ, it is
    a day's. OpenAI's limits fill up evenly, and it tells that of the day where that is the
    narrower one: of 10,000 a day one request is back after 8.64 s.
    """
    if reset is None:
        return _MINUTE
    if reset > 2 * _MINUTE:
        return _DAY
    if host == _OPENAI and limit is not None and remaining is not None and remaining < limit:
        return _DAY if limit * reset / (limit - remaining) > _DAY / 4 else _MINUTE
    return _MINUTE


def _headers_in(error: Mapping[str, object]) -> dict[str, str]:
    """OpenRouter's: openrouter.ai/docs/api/reference/errors-and-debugging."""
    metadata = error.get("metadata")
    headers = metadata.get("headers") if isinstance(metadata, Mapping) else None
    return {
        name.lower(): text
        for name, text in (headers.items() if isinstance(headers, Mapping) else ())
        if isinstance(name, str) and isinstance(text, str)
    }


def _violations(error: Mapping[str, object]) -> list[Allowance]:
    """What Gemini says was exceeded, each limit once: google.rpc.QuotaFailure."""
    found = []
    for detail in _mappings(error.get("details")):
        if str(detail.get("@type", "")).endswith("QuotaFailure"):
            for violation in _mappings(detail.get("violations")):
                metric, quota, value = (
                    text if isinstance(text, str) else ""
                    for text in map(violation.get, ("quotaMetric", "quotaId", "quotaValue"))
                )
                kind = next((kind for part, kind in _METRICS if part in metric), None)
                period = next((period for part, period in _QUOTAS if part in quota), None)
                if kind and period:
                    found.append(Allowance(kind, _units(value) or None, period, 0.0, None))
    return list(dict.fromkeys(found))


def _mappings(things: object) -> Iterator[Mapping[str, object]]:
    for thing in things if isinstance(things, list) else ():
        if isinstance(thing, Mapping):
            yield thing
