"""What a worker is told, from what there is to tell it."""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING, Any

from threadllm.engines.packing import functions_for
from threadllm.engines.wire import Order

if TYPE_CHECKING:
    import threading
    from collections.abc import Iterable

    from threadllm.dispatcher.hiring import Post
    from threadllm.dispatcher.task import Task
    from threadllm.engines.hand import Hand
    from threadllm.engines.lending import Lender
    from threadllm.engines.packing import Packer
    from threadllm.engines.stopping import Stopping
    from threadllm.engines.wire import Parcel

_WAIT = 1.0  # second: the longest that a worker says nothing, for the sake of progress


class Orders:
    """Those of one fleet.

    Args:
        post: What it is hired for.
        packer: Packs what is sent.
        stopping: Knows its runs.
        lender: Lends what quotas allow.
        lock: The fleet's, which guards what hands hold.
    """

    def __init__(
        self, post: Post, packer: Packer, stopping: Stopping, lender: Lender, lock: threading.RLock
    ) -> None:
        self._crew = post.crew
        self._now = post.terms.now
        self._packer = packer
        self._stopping = stopping
        self._lender = lender
        self._lock = lock
        self._numbers = count()

    def order_for(self, hand: Hand, tasks: Iterable[Task[Any]]) -> Order | None:
        """What its worker is told, with those tasks; None if there is nothing to say, after all."""
        packed = [*filter(None, (self._parcel(task, hand) for task in tasks))]
        with self._lock:
            if not (packed or hand.in_flight or hand.stops):
                return None
            stops, hand.stops = hand.stops, []
            pauses, hand.pauses = hand.pauses, []
            recalls, hand.recalls = hand.recalls, []
        parcels = [parcel for parcel, _ in packed]
        if not hand.is_told:
            hand.knows.clear()
        functions = functions_for(hand.knows, packed)
        slots, wait = self._lender.share_with(hand, _WAIT)
        lent, wait = self._lender.lend_to(hand, wait)
        return Order(parcels, functions, stops, wait, lent, pauses, recalls, slots)

    def _parcel(self, task: Task[Any], hand: Hand) -> tuple[Parcel, bytes] | None:
        """A task as what is sent; None if it has ended."""
        number = next(self._numbers)
        try:
            run = self._stopping.number_of(task.submission.run)
            packed = self._packer.parcel(task, number, run, self._now())
        except Exception as error:  # what it is called with cannot travel
            self._crew.fail(task, error)
            return None
        with self._lock:
            hand.in_flight[number] = task
        if self._crew.hand_on(task):
            return packed
        with self._lock:
            hand.in_flight.pop(number, None)
        return None
