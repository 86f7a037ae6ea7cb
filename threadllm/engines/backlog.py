"""What waits for a worker, who may have it, and how often workers have died of it.

A worker has more than its threads can run, so that none of them waits for its next item; but not
while there are threads elsewhere that have none. What it has not begun goes back for these.

A task is given out again when its worker dies. One that several workers had when they died may be
why: it is given to one alone, so that no other pays for it, and it is known for sure.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from threadllm.dispatcher.task import Task
    from threadllm.engines.hand import Hand

_DEATHS = 2  # of workers, after which a task is run alone


class Backlog:
    """The tasks that no worker has; for whoever holds the fleet's lock.

    Args:
        hands: The fleet's workers.
    """

    def __init__(self, hands: Sequence[Hand]) -> None:
        self._hands = hands
        self._pending: deque[Task[Any]] = deque()
        self._alone: deque[Task[Any]] = deque()  # to be run with no other in its worker
        self._deaths: dict[Task[Any], int] = {}  # of workers that had it

    def __len__(self) -> int:
        return len(self._pending) + len(self._alone)

    def add(self, task: Task[Any]) -> None:
        """Take a new one."""
        self._pending.append(task)

    def put_back(self, task: Task[Any]) -> None:
        """Have one given out again, before all others."""
        self._pending.appendleft(task)

    def done(self, task: Task[Any]) -> None:
        """Forget one that has ended."""
        self._deaths.pop(task, None)

    def take_for(self, hand: Hand) -> list[Task[Any]]:
        """What a worker may have now."""
        if hand.is_alone and hand.in_flight:
            return []
        hand.is_alone = False
        if self._alone:
            if hand.in_flight:  # it is left to do what it has, and then takes that one
                return []
            hand.is_alone = True
            return [self._alone.popleft()]
        free = sum(one.free_threads for one in self._hands if one is not hand)
        room = min(
            hand.window - len(hand.in_flight),
            max(hand.free_threads, len(self._pending) - free),
        )
        return [self._pending.popleft() for _ in range(min(room, len(self._pending)))]

    def recall_for(self, hand: Hand) -> Hand | None:
        """Have who has most to spare give back what this one has free threads for."""
        if len(self) or not hand.free_threads:
            return None
        other = max(self._hands, key=lambda one: one.to_spare)
        number = min(other.to_spare, hand.free_threads)
        if number < 1:
            return None
        other.recalls = [*other.in_flight][-number:]
        return other

    def take_back(self, tasks: Iterable[Task[Any]], *, were_alone: bool) -> list[Task[Any]]:
        """Take what a worker had that has died; those that it has died of."""
        killers = []
        for task in reversed([*tasks]):
            deaths = self._deaths.pop(task, 0) + 1
            if were_alone:
                killers.append(task)
                continue
            self._deaths[task] = deaths
            (self._alone.append if deaths >= _DEATHS else self._pending.appendleft)(task)
        return killers

    def take_away(self, which: Callable[[Task[Any]], bool]) -> list[Task[Any]]:
        """Those of them that are asked for."""
        taken = [task for task in (*self._alone, *self._pending) if which(task)]
        for task in taken:
            self.done(task)
        self._alone = deque(task for task in self._alone if not which(task))
        self._pending = deque(task for task in self._pending if not which(task))
        return taken
