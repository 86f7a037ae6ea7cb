"""A quota as it stands at one moment: values, to be shown or logged."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from threadllm.providers import Kind
    from threadllm.quota.breaker import State
    from threadllm.quota.limit import Source


@dataclass(frozen=True, slots=True)
class KnownLimit:
    """A limit that is known.

    Attributes:
        kind: What it counts: "requests", "tokens", "input_tokens" or "output_tokens".
        figure: How many of them in a period.
        period: Seconds: 60 or 86,400.
        source: "stated" by the user, or told by the "provider".
        left: How many may be used now; below zero if some are owed.
    """

    kind: Kind
    figure: float
    period: float
    source: Source
    left: float


@dataclass(frozen=True, slots=True)
class LineSnapshot:
    """The requests to one model of one origin.

    Attributes:
        origin: "scheme://host:port"; empty for calls whose requests do not pass the transport.
        model: As the requests name it; empty where they name none.
        slots_in_use: Requests in flight to the origin, those to its other models included.
        slots: How many there may be now, as far as is known.
        parked: Requests that wait for their turn.
        pace: Requests per minute that go at most, as was stated, told or learnt; None if nothing
            bounds them.
        limits: Those that are known.
        paused: Seconds for which everyone still waits after a 429.
        breaker: "closed", "open" or "half-open".
    """

    origin: str
    model: str
    slots_in_use: int
    slots: int
    parked: int
    pace: float | None
    limits: tuple[KnownLimit, ...]
    paused: float
    breaker: State


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A quota at one moment.

    Attributes:
        concurrency: Its slots.
        slots_in_use: Requests in flight, and calls that are about to send some; of workers
            elsewhere as many as they last told of.
        lines: What it has come to for each origin and model. Calls that name none have one only
            where something holds them back.
    """

    concurrency: int
    slots_in_use: int
    lines: tuple[LineSnapshot, ...]

    @property
    def parked(self) -> int:
        """Requests that wait for their turn, in all lines together."""
        return sum(line.parked for line in self.lines)

    def note(self) -> str:
        """What holds requests back, in a few words; empty if nothing does."""
        told = []
        for line in self.lines:
            if line.breaker != "closed":
                told.append(f"breaker {line.breaker}")
            if line.paused > 0:
                told.append(f"paused={math.ceil(line.paused)}s")
            elif line.parked and line.pace is not None:
                told.append(f"pace={line.pace:.0f}/min")
        return " ".join(dict.fromkeys(told))
