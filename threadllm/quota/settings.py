"""What a user states of a quota, checked."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any, Literal, get_args

from threadllm.exceptions import OptionError
from threadllm.quota.breaker import Breaker
from threadllm.quota.meter import at_once

if TYPE_CHECKING:
    from collections.abc import Iterator

    from threadllm.providers import Kind

BreakerAction = Literal["park", "fail"]
MINUTE, DAY = 60.0, 86_400.0  # seconds
_RATES = (
    "requests_per_minute",
    "tokens_per_minute",
    "input_tokens_per_minute",
    "output_tokens_per_minute",
    "requests_per_day",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The arguments of a quota.

    Raises:
        OptionError: One that cannot be meant.
    """

    concurrency: int
    requests_per_minute: float | None
    tokens_per_minute: float | None
    input_tokens_per_minute: float | None
    output_tokens_per_minute: float | None
    requests_per_day: float | None
    burst: int | None
    adaptive: bool
    breaker: Breaker | None
    breaker_action: BreakerAction
    retry_budget: float | None

    def __post_init__(self) -> None:
        if type(self.concurrency) is not int or self.concurrency < 1:
            raise OptionError(
                f"concurrency={self.concurrency!r}: give a number of requests in flight, 1 or more"
            )
        for name in _RATES:
            figure = getattr(self, name)
            if figure is not None and not (_is_number(figure) and figure > 0):
                raise OptionError(f"{name}={figure!r}: give a number above 0, or None for no limit")
        if self.burst is not None and not (type(self.burst) is int and self.burst >= 1):
            raise OptionError(f"burst={self.burst!r}: give a whole number of requests, 1 or more")
        if self.burst is not None and self.requests_per_minute is None:
            raise OptionError(f"burst={self.burst}: give requests_per_minute with it")
        if self.breaker is not None and not isinstance(self.breaker, Breaker):
            raise OptionError(f"breaker={self.breaker!r}: give a Breaker(), or None for none")
        if self.breaker_action not in get_args(BreakerAction):
            raise OptionError(f"breaker_action={self.breaker_action!r}: choose 'park' or 'fail'")
        share = self.retry_budget
        if share is not None and not (_is_number(share) and share >= 0):
            raise OptionError(
                f"retry_budget={share!r}: give the retries that a request allows, such as 0.2, or "
                "None for no budget"
            )

    def arguments(self) -> dict[str, Any]:
        """As they are given to a quota."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    def part(self, number: int, index: int) -> Settings:
        """What one of so many processes has of it, to whom nothing is lent."""
        slots = max(1, part(self.concurrency, number, index))
        rates = {name: rate / number for name in _RATES if (rate := getattr(self, name))}
        burst = self.burst and max(1, part(self.burst, number, index))
        return replace(self, concurrency=slots, burst=burst, **rates)

    def stated(self) -> Iterator[tuple[Kind, float, float, float]]:
        """The limits: what each counts, for how many seconds, its figure, and what may burst.

        Of tokens, and of a day's requests, all may be used at once, as with the providers.
        """
        if (rate := self.requests_per_minute) is not None:
            yield "requests", MINUTE, rate, self.burst or at_once(rate / MINUTE)
        if (rate := self.requests_per_day) is not None:
            yield "requests", DAY, rate, max(1.0, rate)
        if (rate := self.tokens_per_minute) is not None:
            yield "tokens", MINUTE, rate, rate
        if (rate := self.input_tokens_per_minute) is not None:
            yield "input_tokens", MINUTE, rate, rate
        if (rate := self.output_tokens_per_minute) is not None:
            yield "output_tokens", MINUTE, rate, rate


def part(whole: int, number: int, index: int) -> int:
    """What the part with that index has of a whole that is dealt out to so many."""
    return whole // number + (index < whole % number)


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and math.isfinite(value)
