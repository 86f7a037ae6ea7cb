"""The limits that a provider has told in its answers, and what is left of them.

An answer knows what was left when its request came. What was sent since is taken off that.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from threadllm.quota.limit import Limit, units_of
from threadllm.quota.meter import at_once
from threadllm.quota.settings import DAY, MINUTE

if TYPE_CHECKING:
    from collections.abc import Iterable

    from threadllm.providers import Allowance, Kind
    from threadllm.quota.memory import Learnt
    from threadllm.quota.permit import Need, Permit

_READ_EVERY = 0.05  # seconds
_AMPLE = 0.5  # of its figure
_PERIODS = {MINUTE: "minute", DAY: "day"}


class Told:
    """The limits of one line that its provider has told. The quota's lock guards them.

    Args:
        learnt: What was told before, and where it is kept.
        share: How much of what is told is for this process.

    Attributes:
        limits: By what they count, and for how many seconds.
        scarce: Those of which much was used when it was last told: the others need no counting
            until they are told again.
    """

    def __init__(self, learnt: Learnt, share: float = 1.0) -> None:
        self.limits: dict[tuple[Kind, float], Limit] = {}
        self._learnt = learnt
        self._share = share
        self._read_at = -math.inf  # a float is read without the lock
        for (kind, period), figure in [*learnt.limits.items()]:
            part = figure * share
            self.limits[kind, period] = Limit(
                kind, period, part, at_once(part / period), "provider"
            )
        self._ample: set[tuple[Kind, float]] = set()
        self.scarce = [*self.limits.values()]

    def is_due(self, now: float) -> bool:
        """Whether an answer is to be read for them: each would cost, and say little new."""
        return now >= self._read_at + _READ_EVERY

    def hear(
        self,
        permit: Permit,
        allowances: Iterable[Allowance],
        charged: tuple[int, Need],
        now: float,
    ) -> list[str]:
        """Take in what an answer says.

        Args:
            permit: Of its request.
            allowances: What it says.
            charged: Requests, and what was reserved for them, up to now.
            now: Monotonic seconds.

        Returns:
            What is new about it, for people.
        """
        self._read_at, news = now, []
        for said in allowances:
            place = said.kind, said.period
            left = said.remaining
            if left is not None:
                left = left * self._share - _units_since(permit, said.kind, charged)
            limit, figure = self.limits.get(place), said.limit and said.limit * self._share
            if limit is None and figure is not None:
                burst = at_once(figure / said.period) if left is None else figure
                limit = self.limits[place] = Limit(*place, figure, burst, "provider")
            if limit is not None:
                limit.learn(figure or limit.figure, left, now)
                is_ample = left is not None and left > _AMPLE * limit.figure
                (self._ample.add if is_ample else self._ample.discard)(place)
            if said.limit is not None and self._learnt.limits.get(place) != said.limit:
                self._learnt.limits[place] = said.limit
                unit = said.kind.replace("_", " ")
                period = _PERIODS[said.period]
                news.append(f"the provider allows {said.limit:,.0f} {unit} per {period}")
        self.scarce = [self.limits[place] for place in self.limits if place not in self._ample]
        return news


def _units_since(permit: Permit, kind: Kind, charged: tuple[int, Need]) -> float:
    """Units that were charged after a request, and that its answer cannot know of."""
    number, reserved = charged
    if kind == "requests":
        return number - permit.number
    return units_of(kind, reserved) - units_of(kind, permit.reserved)
