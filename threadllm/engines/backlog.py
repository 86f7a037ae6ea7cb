"""What waits for a worker, who may have it, and how often workers have died of it.

A worker has more than its threads can run, so that none of them waits for its next item; but not
while there are threads elsewhere that have none. What it has not begun goes back for these.

A task is given out again when its worker dies. Those that several workers had when they died are
suspected to be why: they are given to one apart from all others, so that these do not pay for it.
If that dies as well they are divided, until one is alone, and known for sure.
"""

from __future__ import annotations

from collections import deque
from itertools import chain
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from threadllm.dispatcher.task import Task
    from threadllm.engines.hand import Hand

_DEATHS = 2  # of workers, after which a task is suspected


class Backlog:
    """The tasks that no worker has; for whoever holds the fleet's lock.

    Args:
        hands: The fleet's workers.
    """

    def __init__(self, hands: Sequence[Hand]) -> None:
        self._hands = hands
        self._pending: deque[Task[Any]] = deque()
        self._suspects: deque[list[Task[Any]]] = deque()  # to be run with no others in a worker
        self._deaths: dict[Task[Any], int] = {}  # of workers that had it

    def __len__(self) -> int:
        return len(self._pending) + sum(map(len, self._suspects))

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
        if hand.has_suspects and hand.in_flight:
            return []
        hand.has_suspects = False
        if self._suspects:
            if hand.in_flight:  # it is left to do what it has, and then takes those
                return []
            hand.has_suspects = True
            return self._suspects.popleft()
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

    def take_back(self, tasks: list[Task[Any]], *, apart: bool) -> Task[Any] | None:
        """Take what a worker had that has died; what it has died of, if that is known.

        Args:
            tasks: What it had.
            apart: Whether they were suspected, and apart from others.
        """
        if apart and len(tasks) == 1:
            self.done(tasks[0])
            return tasks[0]
        if apart:
            half = len(tasks) // 2
            self._suspects.extend(filter(None, (tasks[:half], tasks[half:])))
            return None
        suspects: list[Task[Any]] = []
        for task in reversed(tasks):
            deaths = self._deaths[task] = self._deaths.get(task, 0) + 1
            (suspects.append if deaths >= _DEATHS else self._pending.appendleft)(task)
        if suspects:
            self._suspects.append(suspects[::-1])
        return None

    def take_away(self, which: Callable[[Task[Any]], bool]) -> list[Task[Any]]:
        """Those of them that are asked for."""
        taken = [task for task in (*chain(*self._suspects), *self._pending) if which(task)]
        for task in taken:
            self.done(task)
        groups = ([task for task in group if not which(task)] for group in self._suspects)
        self._suspects = deque(filter(None, groups))
        self._pending = deque(task for task in self._pending if not which(task))
        return taken
