"""What one number of requests at a time came to: a value."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from threadllm.redaction import text_of, type_name

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from threadllm.outcome import Outcome

_REFUSED = 429


class Percentiles(NamedTuple):
    """Of some durations in seconds: what a half, nine tenths and 99 % of them do not exceed."""

    p50: float
    p90: float
    p99: float

    @classmethod
    def of(cls, figures: Collection[float]) -> Percentiles | None:
        """By nearest rank: each is one of the figures. None of no figures."""
        if not figures:
            return None
        ordered = sorted(figures)
        return cls(*(ordered[math.ceil(q * len(ordered) / 100) - 1] for q in (50, 90, 99)))


@dataclass(frozen=True, slots=True)
class Level:
    """What one number of requests at a time came to.

    Attributes:
        concurrency: How many at a time.
        seconds: From the first request to the end of the last.
        ok: How many were answered.
        failed: How many were not.
        throttled: 429s, after which one waits and asks again: no failures.
        output_tokens: Of all answers, as far as the endpoint says.
        latency: Seconds that an answer took, waits after 429s excluded; None if none came.
        first_token: Seconds until its first token came; None where nothing was streamed.
        errors: How often which error ended one, without keys.
    """

    concurrency: int
    seconds: float
    ok: int
    failed: int
    throttled: int
    output_tokens: int
    latency: Percentiles | None
    first_token: Percentiles | None
    errors: Mapping[str, int]

    @property
    def requests_per_second(self) -> float:
        """Answers a second."""
        return self.ok / self.seconds if self.seconds else 0.0

    @property
    def tokens_per_second(self) -> float:
        """Tokens of answers a second, over all requests in flight."""
        return self.output_tokens / self.seconds if self.seconds else 0.0

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "concurrency": self.concurrency,
            "seconds": self.seconds,
            "ok": self.ok,
            "failed": self.failed,
            "throttled": self.throttled,
            "output_tokens": self.output_tokens,
            "requests_per_second": self.requests_per_second,
            "tokens_per_second": self.tokens_per_second,
            "latency": self.latency and self.latency._asdict(),
            "first_token": self.first_token and self.first_token._asdict(),
            "errors": dict(self.errors),
        }


@dataclass(slots=True)
class Counting:
    """Counts outcomes until they come to a level. It keeps two figures of each, and no value."""

    concurrency: int
    latencies: list[float] = field(default_factory=list)
    first_tokens: list[float] = field(default_factory=list)
    output_tokens: int = 0
    throttled: int = 0
    errors: Counter[str] = field(default_factory=Counter)

    def add(self, outcome: Outcome[Any, Any]) -> None:
        """Count one."""
        self.output_tokens += outcome.usage.output_tokens
        self.throttled += sum(request.status == _REFUSED for request in outcome.requests)
        if outcome.error is not None:
            said = text_of(outcome.error)
            self.errors[f"{type_name(outcome.error)}: {said}"] += 1
            return
        self.latencies.append(outcome.elapsed)
        first = getattr(outcome.value, "first_token", None)
        if first is not None:
            self.first_tokens.append(first)

    def level(self, seconds: float) -> Level:
        """What it came to, after so many seconds."""
        return Level(
            concurrency=self.concurrency,
            seconds=seconds,
            ok=len(self.latencies),
            failed=self.errors.total(),
            throttled=self.throttled,
            output_tokens=self.output_tokens,
            latency=Percentiles.of(self.latencies),
            first_token=Percentiles.of(self.first_tokens),
            errors=dict(self.errors.most_common()),
        )
