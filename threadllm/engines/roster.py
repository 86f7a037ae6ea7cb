"""The workers of one fleet: how many there are, who is free, and who has left."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable

    from threadllm.engines.hand import Hand


class Roster:
    """Whom a fleet has. Whoever calls with "held" in the text holds its lock.

    Args:
        lock: The fleet's, which guards it.
        number: How many there are at most.
        make: Makes one, by its index.

    Attributes:
        hands: All of them, those that have left as well.
    """

    def __init__(self, lock: threading.RLock, number: int, make: Callable[[int], Hand]) -> None:
        self.hands: list[Hand] = []
        self._lock = lock
        self._number = number
        self._make = make

    def one_more(self, waiting: int) -> Hand | None:
        """Another, if so many items wait, and too few can take one; the lock is held."""
        free = sum(hand.is_free for hand in self.hands)
        if len(self.hands) == self._number or waiting <= free:
            return None
        self.hands.append(self._make(len(self.hands)))
        return self.hands[-1]

    def is_last(self, hand: Hand) -> bool:
        """Whether no other is at work; the lock is held."""
        return not any(one.is_up for one in self.hands if one is not hand)

    def give_all_up(self) -> None:
        """Have nobody try to come to work again; the lock is held."""
        for hand in self.hands:
            hand.is_given_up = True

    @property
    def have_left(self) -> bool:
        """Whether nobody is left; the lock is held."""
        return all(hand.has_left for hand in self.hands)

    def idle(self) -> Hand | None:
        """One who is waited for, and could do more meanwhile; the lock is held."""
        return next((hand for hand in self.hands if hand.could_do_more), None)

    def give_up_starts(self) -> None:
        """Have nobody come to work any more: it might last."""
        with self._lock:
            coming = [hand for hand in self.hands if not hand.is_up]
        for hand in coming:
            hand.kill()

    def join(self) -> None:
        """Wait until all have left.

        Raises:
            RuntimeError: This thread is one of theirs.
        """
        with self._lock:
            hands = [*self.hands]
        for hand in hands:
            hand.join()
