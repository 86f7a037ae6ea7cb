"""From an input to items on their way: pulled no further ahead of the consumer than a window."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar, cast

from threadllm.dispatcher.interrupts import INTERRUPTS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sized
    from concurrent.futures import Future

    from threadllm.call import Run
    from threadllm.dispatcher.task import Task
    from threadllm.outcome import Outcome

T = TypeVar("T")
R = TypeVar("R")


class Fed(Protocol[T, R]):
    """An item that was pulled, on its way to its outcome."""

    @property
    def index(self) -> int:
        """Its place in the input."""

    @property
    def future(self) -> Future[Any]:
        """Done once it may be handed back."""

    @property
    def is_undone(self) -> bool:
        """Whether its run was stopped before it came to an end; asked once the future is done."""

    @property
    def has_stopped_run(self) -> bool:
        """Whether its error did that."""

    def outcome(self) -> Outcome[T, R]:
        """What became of it, once its future is done."""

    def abandon(self) -> None:
        """Let nobody wait for it any longer."""


@dataclass(frozen=True, slots=True)
class Submitted(Generic[T, R]):
    """An item that became a task: see `Fed`."""

    index: int
    key: object
    item: T
    task: Task[R]

    @property
    def future(self) -> Future[R]:
        """See `Fed.future`."""
        return self.task.future

    @property
    def is_undone(self) -> bool:
        """See `Fed.is_undone`."""
        return self.task.undone

    @property
    def has_stopped_run(self) -> bool:
        """See `Fed.has_stopped_run`."""
        return self.task.stopped_run

    def outcome(self) -> Outcome[T, R]:
        """See `Fed.outcome`."""
        return self.task.outcome(self.index, self.key, self.item)

    def abandon(self) -> None:
        """See `Fed.abandon`: a task that has ended stays as it is."""
        self.task.abandon()


class Feed(Generic[T, R]):
    """Pulls items and starts each as it comes. Whatever breaks it is kept until `check`.

    Args:
        items: The input.
        start: Starts an item, which has that place in the input.
        window: How many items may be pulled and not yet handed back.
        run: What its items are part of; once that is stopped no more are pulled.
        check_process: Raises in a fork of the process that the run is in.
        done: Called once no more will be pulled, and perhaps again.
    """

    def __init__(
        self,
        items: Iterable[T],
        start: Callable[[int, T], Fed[T, R]],
        window: int,
        run: Run,
        check_process: Callable[[], None],
        done: Callable[[], None] = lambda: None,
    ) -> None:
        self.window = window
        self.run = run
        self.check_process = check_process
        self._start = start
        self.done = done
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
        """Start the next item and have it taken, one at a time; whether there was one."""
        with self._lock:
            try:
                ended = self._ended or self.run.is_stopped
                pulled = None if ended else INTERRUPTS.next_of(self._items, self.run.cancel)
                if pulled is not None:
                    take(self._start(*pulled))
                    return True
            except Exception as error:
                self._error = error
            self.close()
            return False

    def close(self) -> None:
        """Pull no more."""
        with self._lock:
            self._ended = True
        self.done()

    def check(self) -> None:
        """Raise what ended the feed early: for when all that came before has been handed back.

        Raises:
            RunStopped: It ended before its input did.
            JournalError: Its journal could not be written.
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
