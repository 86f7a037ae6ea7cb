"""What one line learns from refusals: a pace, and how many may be in flight.

Here it is decided what explains a refusal: chance, too many in flight, a limit that is known, or
else a pace that was too fast. What comes of it is remembered, and told to people.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from threadllm.quota.pace import Pace
from threadllm.quota.settings import MINUTE

if TYPE_CHECKING:
    from collections.abc import Iterable

    from threadllm.quota.limit import Limited
    from threadllm.quota.memory import Learnt
    from threadllm.quota.news import News
    from threadllm.quota.origin import Origin
    from threadllm.quota.permit import Permit, Refusal

_DRIFT = 50  # requests: after so many a known limit may be off by one


class Learning:
    """What a line learns, whose lock guards it.

    Args:
        origin: Whose concurrency is learnt, with the other models' lines.
        learnt: What was learnt before of the line, and where what is learnt is kept.
        news: Where to tell of it.
        adaptive: Whether to learn anything.

    Attributes:
        pace: The pace.
    """

    def __init__(self, origin: Origin, learnt: Learnt, news: News, *, adaptive: bool) -> None:
        self.pace = Pace()
        self._origin = origin
        self._learnt = learnt
        self._news = news
        self._adaptive = adaptive
        self._slipped = -_DRIFT  # the last request that slipped through a known limit
        self._shrunk = False  # whether fewer may be in flight, and nobody was told
        if adaptive and learnt.pace is not None:
            self.pace.begin_at(learnt.pace)

    def accept(self, permit: Permit, now: float) -> None:
        """Take in that a request was let in."""
        if not self._adaptive:
            return
        if self.pace.rate < math.inf:
            self._learnt.pace = self.pace.rate
        if self._origin.concurrency.accept(permit, now) or self._shrunk:
            self._tell_of_concurrency()

    def fill(self) -> bool:
        """Take in a 503; whether too many in flight explain it: then fewer are allowed."""
        others = len(self._origin.in_flight)
        if not (self._adaptive and self._origin.concurrency.explains(others, strictly=True)):
            return False
        self._shrink(others)
        return True

    def refuse(
        self, permit: Permit, refusal: Refusal, limits: Iterable[Limited], now: float
    ) -> bool:
        """Take in a 429; whether everyone is to wait for it."""
        if not self._adaptive:
            return True
        if self.pace.overlooks(permit):
            return refusal.asked is not None
        others = len(self._origin.in_flight)
        if refusal.asked is None and self._origin.concurrency.explains(others, strictly=False):
            self._origin.excuse(permit)
            self._shrink(others)
            self.pace.excuse(permit)
            return False
        if self._slips(permit, limits, now):
            self.pace.excuse(permit)
        else:
            self._change_pace(permit, now)
        if refusal.asked is not None or self.pace.rate < math.inf:
            self._acquit_number()
        return True

    def _slips(self, permit: Permit, limits: Iterable[Limited], now: float) -> bool:
        """Whether a known limit explains a refusal, which it must not do all the time."""
        low = [limit for limit in limits if limit.is_low(permit.need, now)]
        for limit in low:
            limit.empty(now)
        if not low or permit.number < self._slipped + _DRIFT:
            return False
        self._slipped = permit.number
        return True

    def _change_pace(self, permit: Permit, now: float) -> None:
        before = self.pace.rate
        if not self.pace.refuse(permit, now):
            return
        self._learnt.pace = self.pace.rate
        figure = f"{self.pace.rate * MINUTE:.0f} requests per minute"
        if self.pace.rate < before:
            self._news.tell(f"pace down to {figure}")
        elif self.pace.rate > before:
            self._news.tell(f"pace up to {figure}, as to go slower did not help")

    def _shrink(self, others: int) -> None:
        before = self._origin.concurrency.allowed
        self._origin.concurrency.shrink(others)
        size = self._origin.concurrency.allowed
        if size != before:  # it is told once it has shrunk enough, and not step by step
            self._shrunk, self._origin.learnt.size = True, size

    def _acquit_number(self) -> None:
        before = self._origin.concurrency.allowed
        was_limit = self._origin.concurrency.is_found
        self._origin.concurrency.acquit()
        if was_limit and self._origin.concurrency.allowed != before:
            self._tell_of_concurrency()

    def _tell_of_concurrency(self) -> None:
        limit = self._origin.concurrency
        size, self._shrunk = limit.allowed, False
        self._origin.learnt.size = size if limit.is_found else None
        self._news.tell(f"at most {size} requests in flight")
