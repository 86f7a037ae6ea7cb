"""Between a run and its journal: nothing is bought twice, and what is done is kept first.

An item that the journal remembers is handed back without a call. One that ends now is handed back
once the journal has it; what is begun twice by one name is bought once.
"""

from __future__ import annotations

import logging
import threading
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from threadllm.exceptions import JournalError
from threadllm.journal import NO_KEY

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from threadllm.call import Run, Terms
    from threadllm.dispatcher.feed import Fed
    from threadllm.dispatcher.task import Task
    from threadllm.journal import Name
    from threadllm.journal.opened import Entry, OpenJournal
    from threadllm.outcome import Outcome

_LOGGER = logging.getLogger("concurrent.futures")  # where a pool says that a callback went wrong

T = TypeVar("T")
R = TypeVar("R")


class Keeping(Generic[T, R]):
    """What a run has in hand, and its journal does not have yet.

    Args:
        journal: Closed once no more comes and all that was begun has been kept.
        submit: Makes a task of an item.
        key: What names an item, if the user says.
        run: The run.
        terms: What its calls go by.
    """

    def __init__(
        self,
        journal: OpenJournal,
        submit: Callable[[T], Task[R]],
        key: Callable[[T], object] | None,
        run: Run,
        terms: Terms,
    ) -> None:
        self._journal = journal
        self._submit = submit
        self._key = key
        self._run = run
        self._terms = terms
        self._lock = threading.RLock()  # guards what follows
        self._in_hand: dict[Name, _Kept[T, R]] = {}
        self._is_fed = True
        self._closes = False
        # Held while the journal is closed: whoever has read all may open it anew, and so waits for
        # whoever closes it. Reentrant, as the collector may come by.
        self._closing = threading.RLock()

    def start(self, index: int, item: T) -> Fed[T, R]:
        """Begin an item, unless it is remembered, or begun already.

        Raises:
            OptionError: It has no name that would be its own in another run.
        """
        if not self._is_fed:  # the dispatcher is closed, and says so
            self._submit(item)
        name = self._journal.name(item, NO_KEY if self._key is None else self._key(item))
        with self._lock:
            first = self._in_hand.get(name)
        if first is not None:
            return _Twin(first, index, item, self._terms)
        entry = self._journal.find(name)
        if entry is not None:
            return _Remembered(entry, index, name.key, item, self._terms)
        kept = _Kept(index, name.key, item, self._submit(item))
        with self._lock:
            self._in_hand[name] = kept
        kept.task.future.add_done_callback(partial(self._ended, name, kept))
        return kept

    def end(self) -> None:
        """Let no more come."""
        with self._lock:
            self._is_fed = False
        self._close_if_done()

    def _ended(self, name: Name, kept: _Kept[T, R], future: Future[R]) -> None:
        if kept.task.undone or future.cancelled():
            self._let_go(name, kept)
            return
        kept.ended_with = outcome = kept.task.outcome(kept.index, kept.key, kept.item)
        permanent = outcome.error is not None and self._terms.retry.is_final(outcome.error)
        kept.is_lost = True
        gathered = getattr(_HERE, "gathered", None)
        if gathered is None:
            self.keep([(name, kept, permanent)])
        else:
            gathered.setdefault(self, []).append((name, kept, permanent))

    def keep(self, ended: Sequence[tuple[Name, _Kept[T, R], bool]]) -> None:
        """Write what has ended, with whether it has for good, and hand it back."""
        try:
            # Its thread begins no other call before that: a kill loses no more than are in flight.
            self._journal.record((name, kept.outcome(), final) for name, kept, final in ended)
            for _, kept, _ in ended:
                kept.is_lost = False
        except JournalError as problem:
            another = problem.another
            if self._run.stop(lambda _: another()):
                self._terms.look_again()
        finally:
            for name, kept, _ in ended:
                self._let_go(name, kept)

    def _let_go(self, name: Name, kept: _Kept[T, R]) -> None:
        """Hand an item back: the journal has it, or cannot have it, or need not."""
        with self._lock:
            del self._in_hand[name]
        kept.pass_on()
        self._close_if_done()

    def _close_if_done(self) -> None:
        if self._is_fed:
            return
        with self._closing:
            with self._lock:
                if self._in_hand or self._closes:
                    return
                self._closes = True
            self._journal.close()


_HERE = threading.local()  # what has ended within `kept_together`, in this thread


@contextmanager
def kept_together() -> Iterator[None]:
    """Have all that ends within, in this thread, be written at once, and then handed back."""
    gathered: dict[Keeping[Any, Any], list[tuple[Name, _Kept[Any, Any], bool]]] = {}
    _HERE.gathered = gathered
    try:
        yield
    finally:
        del _HERE.gathered
        for keeping, ended in gathered.items():
            try:
                keeping.keep(ended)
            except BaseException:  # it is these items' alone, as in a callback of theirs
                _LOGGER.critical("Exception in worker", exc_info=True)


class _Kept(Generic[T, R]):
    """An item that is bought in this run: see `Fed`."""

    def __init__(self, index: int, key: object, item: T, task: Task[R]) -> None:
        self.index = index
        self.key = key
        self.item = item
        self.task = task
        self.future: Future[R] = Future()
        self.ended_with: Outcome[T, R] | None = None
        self.is_lost = False

    @property
    def is_undone(self) -> bool:
        """See `Fed.is_undone`."""
        return self.task.undone or self.is_lost

    @property
    def has_stopped_run(self) -> bool:
        """See `Fed.has_stopped_run`."""
        return self.task.stopped_run

    def outcome(self) -> Outcome[T, R]:
        """See `Fed.outcome`."""
        return self.ended_with or self.task.outcome(self.index, self.key, self.item)

    def abandon(self) -> None:
        """See `Fed.abandon`: what it comes to is kept all the same."""
        self.task.abandon()

    def pass_on(self) -> None:
        """Let the future be done, as the task's is."""
        done = self.task.future
        if done.cancelled():
            self.future.cancel()
            self.future.set_running_or_notify_cancel()
        elif (error := done.exception()) is not None:
            self.future.set_exception(error)
        else:
            self.future.set_result(done.result())


class _Twin(Generic[T, R]):
    """An item by the name of one that is in hand, whose outcome is its own: see `Fed`."""

    has_stopped_run = False

    def __init__(self, first: _Kept[T, R], index: int, item: T, terms: Terms) -> None:
        self.index = index
        self._item = item
        self._first = first
        self._terms = terms
        self.future = first.future
        self.future.add_done_callback(self._count)

    @property
    def is_undone(self) -> bool:
        """See `Fed.is_undone`."""
        return self._first.is_undone

    def outcome(self) -> Outcome[T, R]:
        """See `Fed.outcome`."""
        return replace(self._first.outcome(), index=self.index, item=self._item)

    def abandon(self) -> None:
        """See `Fed.abandon`: that is the first one's to be."""

    def _count(self, future: Future[R]) -> None:
        if not (self.is_undone or future.cancelled()):
            _count(self._terms, future.exception())


class _Remembered(Generic[T, R]):
    """An item that an earlier run has bought, or this one before: see `Fed`."""

    is_undone = has_stopped_run = False

    def __init__(self, entry: Entry, index: int, key: object, item: T, terms: Terms) -> None:
        self.index = index
        self._outcome: Outcome[T, R] = entry.outcome(index, key, item)
        self.future: Future[Any] = Future()
        error = self._outcome.error
        _count(terms, error)
        if error is None:
            self.future.set_result(self._outcome.value)
        else:
            self.future.set_exception(error)

    def outcome(self) -> Outcome[T, R]:
        """See `Fed.outcome`."""
        return self._outcome

    def abandon(self) -> None:
        """See `Fed.abandon`: it has ended."""


def _count(terms: Terms, error: BaseException | None) -> None:
    terms.tally.count("ok" if error is None else "failed")
    terms.tally.count("remembered")
