"""What was learnt of limits, kept for the process: by origin, and model, whatever the quota."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from threadllm.providers import Kind


@dataclass(slots=True)
class Learnt:
    """What was learnt of one model of one origin. Each field is written as a whole.

    Attributes:
        pace: Requests a second; None if none had to be found.
        limits: Units that the provider allows, by what they are and for how many seconds.
    """

    pace: float | None = None
    limits: dict[tuple[Kind, float], float] = field(default_factory=dict)


@dataclass(slots=True)
class LearntOfOrigin:
    """What was learnt of an origin, whatever the model. Each field is written as a whole.

    Attributes:
        size: Requests in flight; None if no limit on them was found.
    """

    size: float | None = None


# No locks: each step of a dict is atomic.
_learnt: dict[tuple[str, str], Learnt] = {}
_of_origins: dict[str, LearntOfOrigin] = {}


def learnt(origin: str, model: str) -> Learnt:
    """What is known of a model of an origin, to be read and to be written to.

    Of calls that name no origin nothing is known beforehand: they may go anywhere.
    """
    return _learnt.setdefault((origin, model), Learnt()) if origin else Learnt()


def learnt_of(origin: str) -> LearntOfOrigin:
    """What is known of an origin, likewise."""
    return _of_origins.setdefault(origin, LearntOfOrigin()) if origin else LearntOfOrigin()


def forget() -> None:
    """Forget all limits that were learnt, for tests."""
    _learnt.clear()
    _of_origins.clear()
