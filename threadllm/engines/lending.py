"""What quotas allow: the driver has the whole, lends slots and units, and tells of pauses."""

from __future__ import annotations

from typing import TYPE_CHECKING

from threadllm.quota import part

if TYPE_CHECKING:
    import threading
    from collections.abc import Mapping, Sequence

    from threadllm.call import Terms
    from threadllm.engines.hand import Hand
    from threadllm.engines.wire import Report
    from threadllm.quota import Quota, Units

_SOON = 0.1  # second


def quotas_of(terms: Terms) -> dict[str, Quota]:
    """The quotas of a dispatcher: its own by "", and those that some origins have by theirs."""
    return {"": terms.quota, **terms.quotas.by_prefix}


class Lender:
    """Lends to the workers of one fleet.

    Args:
        quotas: What of.
        number: How many workers there are at most.
        lock: The fleet's, which guards what hands hold.
        hands: Its workers.
    """

    def __init__(
        self, quotas: Mapping[str, Quota], number: int, lock: threading.RLock, hands: Sequence[Hand]
    ) -> None:
        self._quotas = quotas
        self._number = number
        self._lock = lock
        self._hands = hands

    def take_in(self, hand: Hand, report: Report) -> None:
        """Take what a worker asks for and gives back, and tell the others of a pause."""
        for name, unused in report.unused.items():
            for units in unused:
                self._quotas[name].take_back(units)
        if len(hand.in_flight) == len(report.envelopes):  # it has nothing more
            self.have_back(hand)
        for name, (in_use, waiting) in report.slots.items():
            if name in hand.shares:
                self._quotas[name].sharing.hear(hand.shares[name], in_use, waiting)
        others = []
        with self._lock:
            hand.wanted = report.wanted
            if report.pauses:
                others = [one for one in self._hands if one is not hand and one.in_flight]
                for other in others:
                    other.pauses.append(report.pauses)
        for name, pauses in report.pauses.items():
            self._quotas[name].pause(pauses)
        for other in others:
            other.nudge()

    def have_back(self, hand: Hand) -> None:
        """Have all slots back from a worker that has nothing to do, or has died."""
        shares, hand.shares = hand.shares, {}
        for name, share in shares.items():
            self._quotas[name].sharing.leave(share)

    def share_with(self, hand: Hand, longest: float) -> tuple[dict[str, int], float]:
        """How many slots a worker may use now, and the seconds after which it is to ask again."""
        slots: dict[str, int] = {}
        if not hand.is_told:  # it has its part, once and for all
            return slots, longest
        for name, quota in self._quotas.items():
            if name not in hand.shares:
                usual = part(quota.concurrency, self._number, hand.index)
                hand.shares[name] = quota.sharing.join(usual, hand.nudge)
            share = hand.shares[name]
            slots[name] = quota.sharing.ask(share, min(len(hand.in_flight), hand.threads))
            # Nobody else says that it owes none any more, or that threads here have done.
            if share.owes or (share.lacks and quota.slots.in_use):
                longest = min(longest, _SOON)
        return slots, longest

    def lend_to(self, hand: Hand, longest: float) -> tuple[dict[str, list[Units]], float]:
        """What a worker is lent now, and the seconds after which it is to ask again."""
        lent: dict[str, list[Units]] = {}
        for name, wanted in hand.wanted.items():
            for asked in wanted:
                units, wait = self._quotas[name].lend_out(asked)
                if units:
                    lent.setdefault(name, []).append(asked._replace(units=units))
                else:
                    longest = min(longest, wait)
        hand.wanted = {}
        return lent, longest
