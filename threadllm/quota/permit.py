"""What is asked of a line, and the permit that it gives: leave for one request, or for one call."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from http import HTTPStatus
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable


class Need(NamedTuple):
    """Tokens that a request will take, as far as can be told before it is sent."""

    input_tokens: float = 0.0
    output_tokens: float = 0.0

    def plus(self, other: Need) -> Need:
        """Both together."""
        return Need(
            self.input_tokens + other.input_tokens, self.output_tokens + other.output_tokens
        )


class Refusal(NamedTuple):
    """How a 429 puts it.

    Attributes:
        asked: Seconds that the provider asks to wait; None if it names none.
        pause: Seconds to wait where it names none, after so many such pauses in a row.
    """

    asked: float | None
    pause: Callable[[int], float]


class Ended(Enum):
    """What became of a request."""

    UNKNOWN = "unknown"
    """It was broken off, or ended in an error that says nothing of the provider."""
    ACCEPTED = "accepted"
    """It was let in, whatever it was answered."""
    FAILED = "failed"
    """A timeout, or a broken connection."""
    ANSWERED_BADLY = "answered badly"
    """A 5xx."""
    FULL = "full"
    """A 503: a 5xx that may mean that too many were in flight."""

    @property
    def is_failure(self) -> bool:
        """Whether breakers count it."""
        return self in _FAILURES


_FAILURES = {Ended.FAILED, Ended.ANSWERED_BADLY, Ended.FULL}


def ended_by(status: int | None) -> Ended:
    """What a retried error is to a quota; None for one that brought no answer."""
    if status is None:
        return Ended.FAILED
    if status == HTTPStatus.SERVICE_UNAVAILABLE:
        return Ended.FULL
    return Ended.ANSWERED_BADLY if status >= HTTPStatus.INTERNAL_SERVER_ERROR else Ended.ACCEPTED


@dataclass(slots=True, eq=False)
class Permit:
    """A request that was let through. The lock of the line that gave it guards it.

    Attributes:
        at: Monotonic seconds when that was.
        number: How many the line had let through by then, this one included.
        beside: How many others were in flight that the provider has not refused.
        need: What was reserved for it.
        reserved: What had been reserved by then, this included.
        has_room: Whether it holds one of the slots that its origin may have.
        is_probe: Whether it is to find out if an open breaker may close.
        size: Bytes of its body.
        ended: What became of it. Written by who sends it, before it leaves.
        refusal: How it was refused, if it was. The same.
    """

    at: float
    number: int
    beside: int
    need: Need
    reserved: Need
    has_room: bool = False
    is_probe: bool = False
    size: int = 0
    ended: Ended = Ended.UNKNOWN
    refusal: Refusal | None = None
