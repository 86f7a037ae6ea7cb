"""A quota that several processes share: who has the whole lends the others units of its limits.

Units are lent in blocks of a hundredth of a second's worth, or as many as somebody waits for, so
that in no second more are used than the limit allows and a block for each process. What is not
used within a second goes back. Slots are lent as `sharing` has it. Of a limit that only the
provider tells, and each process hears for itself, each keeps to its part.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from threadllm.quota.limit import units_of
from threadllm.quota.quota import Pause, Quota, Units

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from threadllm.providers import Kind
    from threadllm.quota.limit import Limited, Source
    from threadllm.quota.permit import Need
    from threadllm.quota.settings import Settings

_DUST = 1e-9
_LASTS = 1.0  # second
_FEW = 3.0  # requests


class Lease:
    """A limit of which units are lent: see `Limit`. The quota's lock guards it.

    Attributes:
        wanted: Units that the first in the line lacks; 0 if it lacks none.
    """

    __slots__ = ("_left", "_until", "_want", "figure", "kind", "period", "source", "wanted")

    def __init__(self, kind: Kind, period: float, figure: float, want: Callable[[], None]) -> None:
        self.kind = kind
        self.period = period
        self.figure = figure
        self.source: Source = "stated"
        self.wanted = 0.0
        self._want = want
        self._left = 0.0
        self._until = -math.inf

    def wait(self, need: Need, now: float) -> float:
        """0 if a request may go; else it will be told."""
        units = units_of(self.kind, need)
        if self.left(now) >= units - _DUST:
            self.wanted = 0.0
            return 0.0
        if units != self.wanted:
            self.wanted = units
            self._want()
        return math.inf

    def charge(self, need: Need, _now: float) -> None:
        """Charge a request."""
        self._left -= units_of(self.kind, need)

    def settle(self, need: Need, used: Need, _now: float) -> None:
        """Put a request's charge right."""
        self._left -= units_of(self.kind, used) - units_of(self.kind, need)

    def take_back(self, need: Need, now: float) -> None:
        """Charge a request no more."""
        self.give_back(units_of(self.kind, need), now)

    def give_back(self, units: float, _now: float) -> None:
        """Take back units that were charged."""
        self._left += units

    def left(self, now: float) -> float:
        """Units that may be used now; below zero if some are owed."""
        return self._left if now < self._until else min(0.0, self._left)

    def is_low(self, need: Need, now: float) -> bool:
        """Whether a request may have been refused for it."""
        return self.left(now) <= _FEW * units_of(self.kind, need)

    def empty(self, now: float) -> None:
        """Let nothing be left, if there seemed to be something."""
        self._left = min(0.0, self.left(now))

    def lend(self, units: float, now: float) -> None:
        """Take units that are lent."""
        self._left += units
        self.wanted = 0.0  # whoever waits looks again
        self._until = now + _LASTS

    def lend_out(self, _units: float, _now: float) -> tuple[float, float]:
        """Nothing: what is lent is not lent again."""
        return 0.0, math.inf

    def unused(self, now: float) -> float:
        """Units that were lent and are given back."""
        if now < self._until or self._left <= 0:
            return 0.0
        left, self._left = self._left, 0.0
        return left

    @property
    def lacks(self) -> float:
        """Units to ask for: what is owed, too."""
        return self.wanted and self.wanted - min(0.0, self._left)


class LeasedQuota(Quota):
    """The quota of one process of several.

    Args:
        settings: The whole's; its own, where nothing is lent.
        want: Called when something is wanted, or is to be told, with locks held.
        number: How many such processes there are.
        lent: Whether slots, and units of its limits, are lent; else they are its own.
    """

    def __init__(
        self, settings: Settings, want: Callable[[], None], *, number: int = 1, lent: bool = True
    ) -> None:
        super().__init__(**settings.arguments())
        self._want = want
        self._share = 1 / number
        self._lent = lent
        if lent:
            self.slots.allow(0)  # as yet
        self._told: dict[tuple[str, str], float] = {}  # until when pauses last that are known

    def wanted(self) -> list[Units]:
        """What somebody waits for."""
        leases = self._leases()
        return [Units(origin, n, lease.lacks) for origin, n, lease in leases if lease.lacks]

    def unused(self) -> list[Units]:
        """What was lent, and goes back."""
        now = self._clock.monotonic()
        with self._lock:
            leases = self._leases()
            left = [Units(origin, n, lease.unused(now)) for origin, n, lease in leases]
        return [one for one in left if one.units]

    def lend(self, lent: Iterable[Units]) -> None:
        """Take units."""
        now = self._clock.monotonic()
        with self._lock:
            leases = {(origin, index): lease for origin, index, lease in self._leases()}
            for origin, index, units in lent:
                leases[origin, index].lend(units, now)
                self._origins[origin].wake()

    def pauses(self) -> list[Pause]:
        """Those that nobody was told of."""
        now = self._clock.monotonic()
        with self._lock:
            new = {
                where: line.gate.opens_at
                for where, line in self._lines.items()
                if line.gate.opens_at > max(now, self._told.get(where, now))
            }
            self._told.update(new)
        return [Pause(*where, until - now) for where, until in new.items()]

    def pause(self, pauses: Iterable[Pause]) -> None:
        """Have everyone wait, as others were told to."""
        super().pause(pauses)
        with self._lock:
            for origin, model, _ in pauses:
                self._told[origin, model] = self.line(origin, model).gate.opens_at

    def _paused(self) -> None:
        """See `Quota`: the others are to be told."""
        self._want()

    def _leases(self) -> list[tuple[str, int, Lease]]:
        with self._lock:
            return [
                (origin, index, lease)
                for origin, shared in self._origins.items()
                for index, lease in enumerate(shared.limits)
                if isinstance(lease, Lease)
            ]

    def _limits(self) -> list[Limited]:
        if not self._lent:
            return super()._limits()
        return [
            Lease(kind, period, figure, self._want)
            for kind, period, figure, _ in self.settings.stated()
        ]
