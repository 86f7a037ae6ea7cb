"""The limits of quotas, of which the driver has the whole: it lends units, and tells of pauses."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import threading
    from collections.abc import Mapping, Sequence

    from threadllm.call import Terms
    from threadllm.engines.hand import Hand
    from threadllm.engines.wire import Report
    from threadllm.quota import Quota, Units


def quotas_of(terms: Terms) -> dict[str, Quota]:
    """The quotas of a dispatcher: its own by "", and those that some origins have by theirs."""
    return {"": terms.quota, **terms.quotas.by_prefix}


class Lender:
    """Lends to the workers of one fleet.

    Args:
        quotas: What of.
        lock: The fleet's, which guards what hands hold.
        hands: Its workers.
    """

    def __init__(
        self, quotas: Mapping[str, Quota], lock: threading.RLock, hands: Sequence[Hand]
    ) -> None:
        self._quotas = quotas
        self._lock = lock
        self._hands = hands

    def take_in(self, hand: Hand, report: Report) -> None:
        """Take what a worker asks for and gives back, and tell the others of a pause."""
        for name, unused in report.unused.items():
            for units in unused:
                self._quotas[name].take_back(units)
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
