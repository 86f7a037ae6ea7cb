"""A dispatcher for code that has a ThreadPoolExecutor already, and uses the ORM in its threads."""

from __future__ import annotations

from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from django.conf import settings

from threadllm.contrib.django.workers import Workers
from threadllm.dispatcher import DEFAULT_WORKERS, Dispatcher, inline

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from concurrent.futures import Future
    from contextlib import AbstractContextManager

    from threadllm.contrib.django.workers import WorkerDB
    from threadllm.outcome import Outcome

P = ParamSpec("P")
T = TypeVar("T")
R = TypeVar("R")


class DjangoExecutor(Dispatcher):
    """A `threadllm.Dispatcher` whose threads leave no connection behind, and no language.

    Each call has the language, time zone, script prefix and URL configuration of whoever
    submitted it. Connections that it opens are closed when it ends, whatever CONN_MAX_AGE says;
    those of a pool are given back. So a call that queries and then waits for an LLM holds a
    connection until it ends: a pool must be as large as `max_workers`, or what is asked for must be
    fetched before.

    Within `threadllm.testing.inline()`, and where the setting THREADLLM_INLINE is true, calls run
    in the thread that submits them, with its connection and within its transaction.

    Args:
        max_workers: As for `Dispatcher`, as are the next three.
        thread_name_prefix: As there.
        initializer: As there. Connections that it opens are closed.
        initargs: As there.
        worker_db: "forbid" raises a `WorkerQueryError` where a call asks the database.
        worker_context: Gives a context manager, which is entered around each call.
        options: All others of `Dispatcher`.

    Raises:
        OptionError: An option that cannot be meant.
        WorkerQueryError: From a call that asks a database in another thread than the submitter's,
            while that one is inside a transaction of it.
    """

    def __init__(
        self,
        max_workers: int | None = None,
        thread_name_prefix: str = "",
        initializer: Callable[..., object] | None = None,
        initargs: tuple[Any, ...] = (),
        *,
        worker_db: WorkerDB = "allow",
        worker_context: Callable[[], AbstractContextManager[object]] = nullcontext,
        **options: Any,
    ) -> None:
        threads = max_workers or DEFAULT_WORKERS
        self._clean = Workers(worker_db, worker_context, threads)
        if initializer is not None:
            initializer = Workers("allow", nullcontext, threads).wrap(initializer)
        super().__init__(max_workers, thread_name_prefix, initializer, initargs, **options)

    def submit(self, fn: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> Future[R]:
        """See `Dispatcher.submit`."""
        with inline_if_set():
            return super().submit(self._clean.wrap(fn), *args, **kwargs)

    def map(self, fn: Callable[..., R], *iterables: Iterable[Any], **options: Any) -> Iterator[R]:
        """See `Dispatcher.map`."""
        with inline_if_set():
            return super().map(self._clean.wrap(fn), *iterables, **options)

    def outcomes(
        self, fn: Callable[..., R], items: Iterable[T], **options: Any
    ) -> Iterator[Outcome[T, R]]:
        """See `Dispatcher.outcomes`."""
        with inline_if_set():
            return super().outcomes(self._clean.wrap(fn), items, **options)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """See `Dispatcher.shutdown`."""
        super().shutdown(wait, cancel_futures=cancel_futures)
        self._clean.close()

    def _leave(self, *, wait: bool = True) -> None:
        super()._leave(wait=wait)
        self._clean.close()


@contextmanager
def inline_if_set() -> Iterator[None]:
    """Run what is submitted in a block in this thread, if the project's settings say so."""
    with inline() if getattr(settings, "THREADLLM_INLINE", False) else nullcontext():
        yield
