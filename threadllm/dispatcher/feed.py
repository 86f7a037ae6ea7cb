"""From an input to tasks: items are pulled no further ahead of the consumer than a window."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast

from threadllm.dispatcher.interrupts import INTERRUPTS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sized

    from threadllm.call import Run
    from threadllm.dispatcher.task import Task
    from threadllm.outcome import Outcome

T = TypeVar("T")
R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class Fed(Generic[T, R]):
    """An item that was pulled, its name, and the task it became."""

    index: int
    key: object
    item: T
    task: Task[R]

    def outcome(self) -> Outcome[T, R]:
        """What became of it, once its task has ended."""
        return self.task.outcome(self.index, self.key, self.item)


class Feed(Generic[T, R]):
    """Pulls items and submits each as it comes. Whatever breaks it is kept until `check`.

    Attributes:
        window: How many items may be pulled and not yet handed back.
        run: What its items are part of; once that is stopped no more are pulled.
    """

    def __init__(
        self,
        items: Iterable[T],
        submit: Callable[[T], Task[R]],
        window: int,
        run: Run,
        key: Callable[[T], object] | None = None,
    ) -> None:
        self.window = window
        self.run = run
        self._submit = submit
        self._key = key
        # Guards what follows, and the pulling: an input is no more made for two threads than a
        # generator is. Reentrant, as an input may itself use the dispatcher. Read without it.
        self._lock = threading.RLock()
        self._items = enumerate(items)
        self._ended = False
        self._error: BaseException | None = None

    @property
    def ended(self) -> bool:
        """Whether no more will come: the input has no more, it broke, or it was closed."""
        return self._ended

    def pull(self, take: Callable[[Fed[T, R]], None]) -> bool:
        """Submit the next item and have it taken, one at a time; whether there was one."""
        with self._lock:
            try:
                ended = self._ended or self.run.is_stopped
                pulled = None if ended else INTERRUPTS.next_of(self._items, self.run.cancel)
                if pulled is not None:
                    take(self._submitted(*pulled))
                    return True
            except Exception as error:
                self._error = error
            self._ended = True
            return False

    def _submitted(self, index: int, item: T) -> Fed[T, R]:
        key = index if self._key is None else self._key(item)
        return Fed(index, key, item, self._submit(item))

    def close(self) -> None:
        """Pull no more."""
        with self._lock:
            self._ended = True

    def check(self) -> None:
        """Raise what ended the feed early: for when all that came before has been handed back.

        Raises:
            RunStopped: It ended before its input did.
            Exception: What the input raised.
        """
        error, self._error = self._error, None
        if self.run.is_stopped:
            error = self.run.error()
        try:
            if error is not None:
                raise error
        finally:
            del error  # else it would hold this frame, and the frame the error


def length(*iterables: Iterable[Any]) -> int | None:
    """How many items there will be, if all the inputs know."""
    try:
        return min((len(items) for items in cast("tuple[Sized, ...]", iterables)), default=0)
    except (TypeError, OverflowError):  # no length, or none that fits
        return None
