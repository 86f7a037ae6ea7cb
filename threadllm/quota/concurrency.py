"""How many requests may be in flight where nobody knows: found by what is refused beside others.

It begins with a part, so that an unknown limit is met by few, and opens at once if all goes well.
Where a refusal names no wait and more were in flight than ever before, their number is taken to be
the reason. Whether it is shows soon: the next are refused too if it was the rate. The room is told
the time, and waits for nothing.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from threadllm.quota.permit import Permit

_FIRST = 32  # requests, or, where that is more:
_FIRST_SHARE = 4  # a quarter of what the user allows, who expects such numbers
_GROWS = 4.0  # times, with each round of answers, and with each second in which none is refused
_ROUNDS = 3  # of answers at the limit before it is probed
_NEAR = 0.9  # of what was in flight and let in: from there on their number may be a reason
_IN_A_ROW = 4  # that tell a limit from what falls at random
_SPREAD = 0.5  # of the time between two requests, were they evenly spread
_WEIGHT = 0.1  # of the newest request in the running mean
_DUST = 1e-9  # seconds
_SOON = 0.001  # second: who is told to wait must not find that nothing has changed
_ROOM_TO_PROBE = 1.25  # times what was let in


class ConcurrencyLimit:
    """A limit on requests in flight, as learnt. Its owner's lock guards it.

    Args:
        most: What the user allows.
        starting: Whether to begin with few.
        share: What part of those few this is, as other processes begin with the rest.

    Attributes:
        size: How many may be in flight now; its fraction grows until it counts.
    """

    def __init__(self, most: int, *, starting: bool, share: float = 1.0) -> None:
        self._most = most
        self._first = max(1.0, share * max(_FIRST, most // _FIRST_SHARE))
        self._starting = starting and most > self._first
        self.size = self._first if self._starting else float(most)
        self._began = math.inf
        self._peak = 0  # the most that were in flight at once, let in or not
        self._proven = 0  # the most that were in flight at once and let in
        self._in_a_row = 0  # refused, with none let in that came with as many as may be
        self._step = 1
        self._at_limit = 0  # answers since the last change that came with that many in flight
        self._is_sure = False  # whether the limit has held for a while
        self._takes = 0.0  # seconds that a request takes, as a running mean
        self._last = -math.inf  # when a request was last let through

    @property
    def allowed(self) -> int:
        """How many may be in flight now."""
        return int(self.size)

    @property
    def is_found(self) -> bool:
        """Whether fewer are allowed than the user allows, for what the provider did."""
        return self.size < self._most and not self._starting

    def begin_at(self, size: float) -> None:
        """Let a limit hold that was learnt before."""
        self._starting, self._is_sure = False, True
        self.size = min(float(self._most), size)

    def open_until(self, now: float) -> None:
        """Grow with time, as long as nothing was refused."""
        if self._starting:
            self._began = min(self._began, now)
            seconds = min(now - self._began, 16.0)
            self._start_with(max(self.size, self._first * _GROWS**seconds))

    def seconds_to_open(self, in_flight: int, now: float) -> float | None:
        """Seconds until one more may be in flight if nothing ends; None if that will not be.

        It is asked where no more may be in flight now.
        """
        if not self._starting:
            return None
        seconds = self._began + math.log((in_flight + 1) / self._first, _GROWS) - now
        return max(_SOON, seconds)

    def seconds_to_next(self, now: float) -> float:
        """Seconds until one may follow the last, where their number is limited.

        A provider that lets one request in at a time, each some moment after the last, is taken
        for one that lets few be in flight, unless those come spread.
        """
        if not self.is_found:
            return 0.0
        seconds = self._last + _SPREAD * self._takes / self.size - now
        return seconds if seconds > _DUST else 0.0

    def note(self, in_flight: int, now: float) -> None:
        """Take in how many are in flight."""
        self._peak = max(self._peak, in_flight)
        self._last = now

    def accept(self, permit: Permit, now: float) -> bool:
        """Take in that a request was let in; whether the limit has changed for that."""
        takes = now - permit.at
        self._takes += _WEIGHT * (takes - self._takes) if self._takes else takes
        together = permit.beside + 1
        self._proven = max(self._proven, together)
        if together >= min(self.allowed, self._peak):
            self._in_a_row = 0
        if self._starting:
            self._start_with(self.size + _GROWS - 1)
            return False
        if self.size >= self._most or together < self.allowed:
            return False
        self._at_limit += 1
        if self._at_limit < _ROUNDS * self.size:
            return False
        self.size = min(float(self._most), self.size + self._step)
        self._step, self._at_limit, self._is_sure = 2 * self._step, 0, True
        return True

    def explains(self, others: int, *, strictly: bool) -> bool:
        """Whether so many others in flight may be why one was refused.

        Args:
            others: Those that are in flight as it comes back.
            strictly: Whether some must be so in a row, as such an answer may mean other things.
        """
        if strictly:
            self._in_a_row += 1
            if self._in_a_row < _IN_A_ROW or not self._proven:
                return False
        return others > 0 and others + 1 > _NEAR * self._proven

    def shrink(self, others: int) -> None:
        """Allow no more than those."""
        self._starting = False
        self.size = max(1.0, min(self.size, float(others)))
        self._step, self._at_limit = 1, 0

    def acquit(self) -> None:
        """Take in that something else is why requests are refused."""
        self._starting = False
        probing = self._proven * _ROOM_TO_PROBE if self._is_sure else math.inf
        self.size = min(float(self._most), max(self.size, probing))

    def _start_with(self, size: float) -> None:
        self.size = min(float(self._most), size)
        self._starting = self.size < self._most
