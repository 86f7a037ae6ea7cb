"""What was learnt of limits, kept for the process: by origin and model, whatever the quota."""

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
        size: Requests in flight; None if no limit on them was found.
        limits: Units that the provider allows, by what they are and for how many seconds.
    """

    pace: float | None = None
    size: float | None = None
    limits: dict[tuple[Kind, float], float] = field(default_factory=dict)


_learnt: dict[tuple[str, str], Learnt] = {}  # no lock: each step of a dict is atomic


def learnt(origin: str, model: str) -> Learnt:
    """What is known of a model of an origin, to be read and to be written to."""
    return _learnt.setdefault((origin, model), Learnt())


def forget() -> None:
    """Forget all limits that were learnt."""
    _learnt.clear()
