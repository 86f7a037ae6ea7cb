"""A limit that somebody knows: the user, who states it, or the provider, whose headers tell it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, Protocol

from threadllm.quota.meter import Meter, at_once

if TYPE_CHECKING:
    from threadllm.providers import Kind
    from threadllm.quota.permit import Need

Source = Literal["stated", "provider"]

_CAUTION = 0.99  # of its rate: requests take different times to arrive
_LOW = 0.1  # of what it holds
_FEW = 3.0  # requests
_BLOCK = 0.01  # seconds' worth: what another process is lent at least, if there is as much


def units_of(kind: Kind, need: Need) -> float:
    """What a request takes of a limit of some kind."""
    if kind == "requests":
        return 1.0
    if kind == "tokens":
        return need.input_tokens + need.output_tokens
    return need.input_tokens if kind == "input_tokens" else need.output_tokens


class Limited(Protocol):
    """What the lines of an origin keep to: `Limit` says more of each."""

    kind: Kind
    period: float
    figure: float
    source: Source

    def wait(self, need: Need, now: float) -> float:
        """Seconds until a request may go."""

    def charge(self, need: Need, now: float) -> None:
        """Charge a request."""

    def settle(self, need: Need, used: Need, now: float) -> None:
        """Put a request's charge right."""

    def take_back(self, need: Need, now: float) -> None:
        """Charge a request no more."""

    def give_back(self, units: float, now: float) -> None:
        """Take back units that were charged or lent."""

    def left(self, now: float) -> float:
        """Units that may be used now."""

    def is_low(self, need: Need, now: float) -> bool:
        """Whether a request may have been refused for it."""

    def empty(self, now: float) -> None:
        """Let nothing be left."""

    def lend_out(self, units: float, now: float) -> tuple[float, float]:
        """Let another process have units."""


class Limit:
    """So many units in a period. The quota's lock guards it.

    Attributes:
        kind: What it counts.
        period: Seconds that its figure is for.
        figure: Units in a period.
        source: Who says so.
    """

    __slots__ = ("_meter", "figure", "kind", "period", "source")

    def __init__(
        self, kind: Kind, period: float, figure: float, burst: float, source: Source
    ) -> None:
        self.kind = kind
        self.period = period
        self.figure = figure
        self.source: Source = source
        self._meter = Meter(_CAUTION * figure / period, burst)

    def wait(self, need: Need, now: float) -> float:
        """Seconds until a request may go."""
        return self._meter.wait(units_of(self.kind, need), now)

    def charge(self, need: Need, now: float) -> None:
        """Charge a request."""
        self._meter.charge(units_of(self.kind, need), now)

    def settle(self, need: Need, used: Need, now: float) -> None:
        """Put a request's charge right."""
        self._meter.charge(units_of(self.kind, used) - units_of(self.kind, need), now)

    def take_back(self, need: Need, now: float) -> None:
        """Charge a request no more."""
        self.give_back(units_of(self.kind, need), now)

    def give_back(self, units: float, now: float) -> None:
        """Take back units that were charged or lent."""
        self._meter.charge(-units, now)

    def left(self, now: float) -> float:
        """Units that may be used now; below zero if some are owed."""
        return self._meter.level(now)

    def is_low(self, need: Need, now: float) -> bool:
        """Whether a request may have been refused for it."""
        return self.left(now) <= max(_LOW * self._meter.capacity, _FEW * units_of(self.kind, need))

    def empty(self, now: float) -> None:
        """Let nothing be left, if there seemed to be something."""
        self._meter.set_level(min(0.0, self.left(now)), now)

    def lend_out(self, units: float, now: float) -> tuple[float, float]:
        """Let another process have units, or some more: how many; else the seconds to wait."""
        wait = self._meter.wait(units, now)
        if wait:
            return 0.0, wait
        block = min(_BLOCK * self._meter.rate, self._meter.level(now))
        lent = max(units, block)
        self._meter.charge(lent, now)
        return lent, 0.0

    def learn(self, figure: float, left: float | None, now: float) -> None:
        """Let another figure hold, and so much be left: all of it may be, where that is told."""
        may_burst = left is not None or self._meter.capacity >= self.figure
        if figure != self.figure or (may_burst and self._meter.capacity < figure):
            self.figure = figure
            moment = max(self._meter.capacity, at_once(figure / self.period))
            capacity = figure if may_burst else min(figure, moment)
            self._meter.set_rate(_CAUTION * figure / self.period, capacity, now)
        if left is not None:
            self._meter.set_level(left, now)
