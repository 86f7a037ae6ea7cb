"""From an input to tasks: items are pulled no further ahead of the consumer than a window."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from threadllm.dispatcher.task import Task

T = TypeVar("T")
R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class Fed(Generic[T, R]):
    """An item that was pulled, its name, and the task it became."""

    index: int
    key: object
    item: T
    task: Task[R]


class Feed(Generic[T, R]):
    """Pulls items and submits each as it comes.

    Attributes:
        window: How many items may be pulled and not yet handed back.
    """

    def __init__(
        self,
        items: Iterable[T],
        submit: Callable[[T], Task[R]],
        window: int,
        key: Callable[[T], object] | None = None,
    ) -> None:
        self.window = window
        self._submit = submit
        self._key = key
        self._lock = threading.RLock()  # guards all that follows, and the pulling itself
        self._items = enumerate(items)
        self._ended = False
        self._error: BaseException | None = None

    @property
    def ended(self) -> bool:
        """Whether the input has no more, or broke."""
        return self._ended

    def pull(self) -> Fed[T, R] | None:
        """The next item, submitted; None at the end of the input, or where it broke."""
        with self._lock:
            if self._ended:
                return None
            try:
                index, item = next(self._items)
                key = index if self._key is None else self._key(item)
            except StopIteration:
                self._ended = True
                return None
            except Exception as error:
                self._ended, self._error = True, error
                return None
            return Fed(index, key, item, self._submit(item))

    def close(self) -> None:
        """Pull no more."""
        with self._lock:
            self._ended = True

    def check(self) -> None:
        """Raise what the input raised: for when all that came before has been handed back."""
        if self._error is not None:
            raise self._error
