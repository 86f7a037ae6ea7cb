"""What `Dispatcher.outcomes` hands back: outcomes, lazily, in input order or as they finish."""

from __future__ import annotations

from collections import deque
from concurrent.futures import wait
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from threadllm.dispatcher.interrupts import INTERRUPTS

if TYPE_CHECKING:
    from collections.abc import Generator
    from concurrent.futures import Future

    from threadllm.dispatcher.feed import Fed, Feed
    from threadllm.dispatcher.interrupts import Interruptible
    from threadllm.outcome import Outcome

T = TypeVar("T")
R = TypeVar("R")


class Order(Protocol):
    """Which of the items that were pulled is handed back next. Items go by their index."""

    def add(self, index: int, future: Future[Any]) -> None:
        """Take in an item that was pulled."""

    def is_ready(self) -> bool:
        """Whether `next` would not wait."""

    def next(self) -> int:
        """Wait for the next item that has ended."""


class AsFinished:
    """Whichever ends first comes first."""

    def __init__(self) -> None:
        self._finished: SimpleQueue[int] = SimpleQueue()

    def add(self, index: int, future: Future[Any]) -> None:
        """See `Order.add`."""
        future.add_done_callback(lambda _: self._finished.put(index))

    def is_ready(self) -> bool:
        """See `Order.is_ready`."""
        return not self._finished.empty()

    def next(self) -> int:
        """See `Order.next`."""
        return self._finished.get()


class InOrder:
    """As they came."""

    def __init__(self) -> None:
        self._pulled: deque[tuple[int, Future[Any]]] = deque()

    def add(self, index: int, future: Future[Any]) -> None:
        """See `Order.add`."""
        self._pulled.append((index, future))

    def is_ready(self) -> bool:
        """See `Order.is_ready`."""
        return self._pulled[0][1].done()

    def next(self) -> int:
        """See `Order.next`."""
        index, future = self._pulled.popleft()
        wait([future])
        return index


def read(
    feed: Feed[T, R], order: Order, run: Interruptible
) -> Generator[Outcome[T, R], None, None]:
    """Pull and hand back by turns: what is ready is handed back before the next item is pulled.

    Inputs are pulled in the reader's own thread, the only one that may touch them. While one
    blocks, nothing is handed back.
    """
    in_hand: dict[int, Fed[T, R]] = {}

    def take(fed: Fed[T, R]) -> None:
        in_hand[fed.index] = fed
        order.add(fed.index, fed.future)

    with INTERRUPTS.heeded(run):
        try:
            while True:
                feed.check_process()  # whoever reads on in a fork would wait for ever
                if len(in_hand) < feed.window and feed.pull(take) and not order.is_ready():
                    continue
                if not in_hand:
                    break
                fed = in_hand.pop(order.next())
                if not fed.is_undone:
                    yield fed.outcome()
                del fed
            feed.check()
        finally:
            feed.close()
            for left in in_hand.values():
                left.abandon()
