"""Refusals that have nothing to do with the pace, as by a provider that is short of capacity.

A limit refuses nothing at a pace that is below it. What is refused at one that has just been found
is refused by chance, then: how often that is shows there, and as much is let pass from then on at
any pace. The room is told what happened, and waits for nothing.
"""

from __future__ import annotations

import math

_FEW = 3  # refusals at safe paces that are no accident
_SOME = 8  # requests that were let in at such
_OF_LATE = 1000  # requests at safe paces; those before count less and less
_MOST = 0.5  # of all requests: if more are refused, it is no chance
_AT_A_TIME = 3.0  # refusals that may be let pass at once,
_MORE = 50.0  # and of a share, times that
_MISSING = 30.0  # refusals that should have come: then the share is forgotten


class Chance:
    """The refusals of one line that come whatever the pace. Its owner's lock guards it.

    Attributes:
        share: Of requests that may be refused so; 0 as long as no such refusals are known.
    """

    def __init__(self) -> None:
        self.share = 0.0
        self._let_in = 0.0  # at safe paces, of late
        self._refused = 0.0  # likewise
        self._is_safe = False  # whether the pace was, when it was last looked at
        self._seen = 0  # let in at any pace, up to now
        self._credit = 0.0  # refusals that may be let pass now

    def start(self, *, is_safe: bool) -> None:
        """Take in that another pace holds, which should be safe for a while, or may not be."""
        self._is_safe = is_safe

    def look(self, let_in: int, *, is_safe: bool) -> None:
        """Take in how many were let in before another refusal, and whether it was still safe."""
        since = max(0, let_in - self._seen)
        self._seen += since
        was_safe, self._is_safe = self._is_safe, is_safe
        if was_safe:
            self._let_in += since
            if self._let_in + self._refused > _OF_LATE:
                self._let_in, self._refused = self._let_in / 2, self._refused / 2
        if self.share * since > _MISSING:
            self.share = self._let_in = self._refused = 0.0
        elif self.share:
            self._estimate()
            self._credit += since * self.share / (1 - self.share)
            self._credit = min(self._credit, self._most)

    def lets_pass(self, *, at_safe_pace: bool) -> bool:
        """Whether a refusal is one of those that were to be expected."""
        if not self.share or self._credit < 1:
            return False
        self._credit -= 1
        self._refused += at_safe_pace
        return True

    def explains(self, *, at_safe_pace: bool) -> bool:
        """Whether a refusal that was not let pass has shown that some come whatever the pace."""
        self._refused += at_safe_pace
        is_explained = at_safe_pace and self._refused >= _FEW and self._let_in >= _SOME
        if is_explained:
            self._estimate()
        self._credit = self._most
        return is_explained

    @property
    def _most(self) -> float:
        return _AT_A_TIME + _MORE * self.share

    def _estimate(self) -> None:
        """Two standard deviations above what was seen, as refusals by chance come in bunches."""
        most = self._refused + 2 * math.sqrt(self._refused)
        share = most / max(1.0, self._let_in + self._refused)
        self.share = min(_MOST, share) if self._refused > _FEW / 2 else 0.0
