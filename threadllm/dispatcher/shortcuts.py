"""The one-liner and the decorator: a dispatcher for each run; `submit` keeps one of its own."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, Generic, ParamSpec, Protocol, TypeVar, cast, overload

from threadllm.dispatcher.dispatcher import Dispatcher
from threadllm.dispatcher.options import checked_workers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from concurrent.futures import Future

    from typing_extensions import Unpack

    from threadllm.dispatcher import options
    from threadllm.dispatcher.arguments import Options
    from threadllm.outcome import Outcome

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")

# Times max_workers: how far a list goes on while its next value is waited for. Models take some
# answers many times as long as others, and whoever gets a list has asked for all of it.
_AHEAD = 8


def map(
    fn: Callable[..., R],
    items: Iterable[Any],
    *,
    unpack: options.Unpack | None = None,
    journal: options.JournalOrPath | None = None,
    **settings: Unpack[Options],
) -> list[R]:
    """The values of `fn` for each item, as a list in input order.

    Args:
        fn: A synchronous function, called in threads.
        items: The input.
        unpack: "args" calls `fn(*item)`, "kwargs" calls `fn(**item)`.
        journal: See `Dispatcher.outcomes`: what an earlier run did is not done again.
        settings: As for `Dispatcher`.

    Raises:
        BaseException: The error of the first item that failed; the others are cancelled, but for
            those that had been begun by then. To keep what succeeded, use `Dispatcher.outcomes`.
    """
    is_elsewhere = settings.get("engine") is not None
    window = _AHEAD * checked_workers(settings.get("max_workers"), elsewhere=is_elsewhere)
    with Dispatcher(**settings) as pool:
        return list(pool.map(fn, items, buffersize=window, unpack=unpack, journal=journal))


class Concurrent(Protocol[P, R]):
    """A function that `concurrent` decorated: called plainly, it is what it was."""

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Call the function, here and now, as if it were not decorated."""

    def map(
        self,
        items: Iterable[Any],
        *,
        unpack: options.Unpack | None = None,
        journal: options.JournalOrPath | None = None,
    ) -> list[R]:
        """As `threadllm.map`."""

    def submit(self, *args: P.args, **kwargs: P.kwargs) -> Future[R]:
        """As `Dispatcher.submit`, on threads that the function keeps until the program ends."""

    def outcomes(
        self,
        items: Iterable[T],
        *,
        ordered: bool = False,
        key: Callable[[T], object] | None = None,
        buffersize: int | None = None,
        unpack: options.Unpack | None = None,
        journal: options.JournalOrPath | None = None,
        fail_fast: bool = False,
        max_failures: int | str | None = None,
    ) -> Iterator[Outcome[T, R]]:
        """As `Dispatcher.outcomes`."""


class _Runs(Generic[P, R]):
    """The three ways to run a decorated function; they share its slots."""

    def __init__(self, fn: Callable[P, R], settings: Options) -> None:
        self._fn = fn
        # For submit: it starts threads when they are first needed, and shows nothing.
        own: Options = {**settings, "progress": False}
        self._pool = Dispatcher(**own)
        self._settings: Options = {
            **settings,
            "concurrency": None,
            "quota": self._pool.quota,
        }

    def map(self, items: Iterable[Any], **how: Any) -> list[R]:
        return map(self._fn, items, **how, **self._settings)

    def submit(self, *args: P.args, **kwargs: P.kwargs) -> Future[R]:
        return self._pool.submit(self._fn, *args, **kwargs)

    def outcomes(self, items: Iterable[T], **how: Any) -> Iterator[Outcome[T, R]]:
        with Dispatcher(**self._settings) as pool:
            yield from pool.outcomes(self._fn, items, **how)


@overload
def concurrent(fn: Callable[P, R], /) -> Concurrent[P, R]: ...


@overload
def concurrent(
    fn: None = None, /, **settings: Unpack[Options]
) -> Callable[[Callable[P, R]], Concurrent[P, R]]: ...


def concurrent(
    fn: Callable[P, R] | None = None, /, **settings: Unpack[Options]
) -> Concurrent[P, R] | Callable[[Callable[P, R]], Concurrent[P, R]]:
    """Give a synchronous function `map`, `submit` and `outcomes`; called plainly it stays as it is.

    Args:
        fn: The function, where the decorator is written without settings.
        settings: As for `Dispatcher`. All runs of the function share its slots.

    Raises:
        OptionError: An option that cannot be meant.
    """

    def decorate(fn: Callable[P, R]) -> Concurrent[P, R]:
        @functools.wraps(fn)
        def call(*args: P.args, **kwargs: P.kwargs) -> R:
            return fn(*args, **kwargs)

        runs = _Runs(fn, settings)
        vars(call).update(map=runs.map, submit=runs.submit, outcomes=runs.outcomes)
        return cast("Concurrent[P, R]", call)

    return decorate if fn is None else decorate(fn)
