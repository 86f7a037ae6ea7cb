"""The slots of a quota, shared by workers elsewhere and by the threads here.

A worker has its usual part at first, and keeps what it has until somebody lacks some. Then nobody
has more than it needs, and where all need more than there are, all have the same (max-min
fairness). What a worker is to have no longer it gives back as its requests end; nobody else has it
before. Where there are fewer slots than workers they take turns.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from threadllm.quota.settings import part

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from threadllm.quota.slots import Slots


class Share:
    """What one worker has of a quota's slots. The lock of their `Sharing` guards it.

    Args:
        usual: How many it may use, if nobody lacks them.
        tell: Has it ask again; it waits for nothing.

    Attributes:
        needed: How many it has calls and requests for, as far as is known.
        in_use: How many its requests had when it was last heard.
        waiting: How many its threads waited for then.
        fair: What was its share when slots were last dealt out.
        is_full: Whether that is no more than all can have who need more.
        allowed: How many it may use.
        told: The same, when it was last told.
        lent: How many it may be using still.
        had: The last deal in which it had any.
    """

    __slots__ = (
        "allowed",
        "fair",
        "had",
        "in_use",
        "is_full",
        "lent",
        "needed",
        "tell",
        "told",
        "usual",
        "waiting",
    )

    def __init__(self, usual: int, tell: Callable[[], None]) -> None:
        self.usual = usual
        self.tell = tell
        self.needed = self.in_use = self.waiting = 0
        self.fair = self.allowed = self.told = self.lent = self.had = 0
        self.is_full = False

    @property
    def lacks(self) -> bool:
        """Whether it is to have more than it may use, once others have given that back."""
        return self.allowed < self.fair

    @property
    def owes(self) -> bool:
        """Whether it may be using more than it may use from now on."""
        return self.lent > self.allowed


class Sharing:
    """Who has what of a quota's slots.

    Args:
        slots: The whole.
        number: How many they are.
    """

    def __init__(self, slots: Slots, number: int) -> None:
        self._slots = slots
        self._number = number
        self._lock = threading.Lock()  # guards what follows
        self._shares: list[Share] = []
        self._here = Share(0, lambda: None)  # that of the threads here, who just have it
        self._is_short = False  # whether somebody lacks some
        self._are_few = False  # whether there are too few for each to have one
        self._deals = 0

    def join(self, usual: int, tell: Callable[[], None]) -> Share:
        """Let a worker have a share: see `Share`."""
        share = Share(usual, tell)
        with self._lock:
            self._shares.append(share)
        return share

    def ask(self, share: Share, calls: int) -> int:
        """How many slots a worker may use now, which has so many calls; it is told then."""
        with self._lock:
            needed = max(calls, share.in_use + share.waiting)
            is_news = self._is_news(share, needed) or self._is_news(self._here, self._needed_here)
            share.needed = needed
            changed = self._deal() if is_news else []
            share.told = share.allowed
        _tell(one for one in changed if one is not share)
        return share.told

    def hear(self, share: Share, in_use: int, waiting: int) -> None:
        """Take in how many slots a worker uses, as it was told, and its threads wait for."""
        with self._lock:
            share.in_use, share.waiting = in_use, waiting
            before, share.lent = share.lent, max(share.told, share.allowed, in_use)
            had_turn = self._are_few and share.told > 0
            changed = []
            if had_turn or share.lent < before:
                changed = self._freed(share if had_turn else None)
        _tell(changed)

    def leave(self, share: Share) -> None:
        """Have back all that a worker had: it uses none, or has died."""
        with self._lock:
            self._shares.remove(share)
            changed = self._freed()
        _tell(changed)

    @property
    def in_use(self) -> int:
        """Slots that workers use, as they were last heard."""
        with self._lock:
            return sum(share.in_use for share in self._shares)

    # Within; the lock is held.

    def _is_news(self, share: Share, needed: int) -> bool:
        """Whether something may change, as so many are needed now."""
        if share.lacks or (share is self._here and self._are_few and share.fair):
            return True
        if needed >= share.fair if share.is_full else needed == share.needed:
            return False
        return self._is_short or needed > share.allowed

    def _freed(self, done: Share | None = None) -> list[Share]:
        if self._is_short:
            return self._deal(done)
        self._leave_the_rest_here()
        return []

    def _deal(self, done: Share | None = None) -> list[Share]:
        """Let everyone have what it is to have, and return who is to be told.

        Args:
            done: Who has had its turn, if they take turns.
        """
        self._deals += 1
        here, shares = self._here, self._shares
        here.needed = self._needed_here
        here.had = self._deals if self._slots.in_use else here.had
        self._are_few = _find_fair([here, *shares], self._number, {done, here})
        # First, so that no more are taken while this counts.
        self._slots.allow(min(here.fair, self._number - self._lent))
        free = self._number - max(here.fair, self._slots.in_use) - self._lent
        free = _grant(shares, free, lambda share: share.fair)
        here.allowed = self._number - self._lent
        self._is_short = any(one.is_full or one.lacks for one in (here, *shares))
        if self._is_short:
            for share in shares:
                share.allowed = min(share.allowed, share.fair)
        else:
            _grant(shares, free, lambda share: share.usual)
        for share in shares:
            share.had = self._deals if share.allowed else share.had
        self._leave_the_rest_here()
        return [share for share in shares if share.allowed != share.told]

    def _leave_the_rest_here(self) -> None:
        here, rest = self._here, self._number - self._lent
        here.allowed = min(rest, here.fair) if self._is_short else rest
        self._slots.allow(here.allowed)

    @property
    def _needed_here(self) -> int:
        return self._slots.in_use + self._slots.waiting

    @property
    def _lent(self) -> int:
        return sum(share.lent for share in self._shares)


def _find_fair(everyone: list[Share], number: int, last: set[Share | None]) -> bool:
    """Find everyone's share of so many; whether there are too few for each to have one.

    What does not come out even is left to who has it, and to who has had none for the longest; the
    last come last.
    """
    left = number
    everyone.sort(key=lambda one: one.needed, reverse=True)
    while everyone and everyone[-1].needed <= left // len(everyone):
        one = everyone.pop()
        one.fair, one.is_full = one.needed, False
        left -= one.fair
    has_first = {one: one.allowed and one not in last for one in everyone}
    everyone.sort(key=lambda one: (0, -one.allowed) if has_first[one] else (1, one.had))
    for place, one in enumerate(everyone):
        one.fair, one.is_full = part(left, len(everyone), place), True
    return left < len(everyone)


def _grant(shares: list[Share], free: int, wanted: Callable[[Share], int]) -> int:
    """Let each use so many, as far as there are free ones; how many are left."""
    for share in shares:
        share.allowed = max(share.allowed, min(wanted(share), share.lent + free))
        free -= max(0, share.allowed - share.lent)
        share.lent = max(share.lent, share.allowed)
    return free


def _tell(shares: Iterable[Share]) -> None:
    for share in shares:
        share.tell()
