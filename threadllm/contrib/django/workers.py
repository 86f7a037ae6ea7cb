"""What becomes of database connections in worker threads: they are closed, or never opened.

`close_old_connections` would not do: with a CONN_MAX_AGE each thread would keep its own. Nor would
the end of a thread, as connections are in circles, which wait for the collector.
"""

from __future__ import annotations

import logging
import threading
from contextlib import ExitStack, contextmanager
from typing import (
    TYPE_CHECKING,
    Any,
    Generic,
    Literal,
    NamedTuple,
    NoReturn,
    ParamSpec,
    TypeVar,
    get_args,
)

from django.db import connections

from threadllm.contrib.django.exceptions import WorkerQueryError
from threadllm.contrib.django.surroundings import Surroundings
from threadllm.exceptions import OptionError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from contextlib import AbstractContextManager

    from django.db.backends.base.base import BaseDatabaseWrapper

P = ParamSpec("P")
R = TypeVar("R")

WorkerDB = Literal["allow", "forbid"]

_LOGGER = logging.getLogger("threadllm")
_LONGEST = 300  # characters of SQL that an error shows
_FORBIDDEN = (
    'worker_db="forbid" has it fetched beforehand: by select_related or prefetch_related for what '
    "the row refers to, without defer or only for its own fields, or in prepare(obj)"
)
_SMALL_POOL = (
    "database %r has a pool of %d connections for %d threads, and a call that asks it keeps one: "
    "no more run at a time. Fetch what they ask for beforehand, or have a larger pool"
)
_UNSEEN = (
    "The calling thread is inside a transaction, which no other thread sees into: fetch it "
    "beforehand, by select_related or in prepare(obj), or leave atomic(). In a test take "
    "threadllm.testing.inline(), the setting THREADLLM_INLINE, or a TransactionTestCase"
)


class Workers:
    """Keeps worker threads clean for one executor or run.

    Args:
        worker_db: Whether what runs in them may ask the database.
        context: Entered around each call.
        threads: How many there are.

    Raises:
        OptionError: Neither "allow" nor "forbid".
    """

    def __init__(
        self,
        worker_db: WorkerDB,
        context: Callable[[], AbstractContextManager[object]],
        threads: int,
    ) -> None:
        if worker_db not in get_args(WorkerDB):
            raise OptionError(f"worker_db={worker_db!r}: choose 'allow' or 'forbid'")
        self._forbidden = worker_db == "forbid"
        self._context = context
        self._threads = threads
        self._is_told = False  # no lock: it may be told twice
        # Set by each thread for itself, which is atomic; read once it has ended.
        self._known: dict[threading.Thread, Sequence[BaseDatabaseWrapper]] = {}

    def setting(self) -> Setting:
        """How a call is to run that is submitted here and now."""
        held = [one.alias for one in connections.all(initialized_only=True) if one.in_atomic_block]
        return Setting(Surroundings.here(), threading.get_ident(), tuple(held))

    @contextmanager
    def at_work(self, setting: Setting) -> Iterator[None]:
        """Run a call in a block, in a thread of the pool, or in the one that has submitted it.

        That one's connections stay as they are: it may be in the middle of a transaction, be it a
        thread of the pool itself, which is full.
        """
        is_guest = threading.get_ident() == setting.submitter
        with ExitStack() as stack:
            if not is_guest:
                stack.enter_context(self._closing())
            stack.enter_context(setting.surroundings.entered())
            if self._forbidden:
                stack.enter_context(_refusing(connections.all(), _FORBIDDEN))
            elif setting.held and not is_guest:
                held = [connections[alias] for alias in setting.held]
                stack.enter_context(_refusing(held, _UNSEEN))
            stack.enter_context(self._context())
            yield

    def wrap(self, fn: Callable[P, R]) -> Wrapped[P, R]:
        """The function, as it is to be called in a thread of the pool."""
        return Wrapped(fn, self, self.setting())

    def close(self) -> None:
        """Close what threads that have ended left open, outside of any call: in a callback, say."""
        for thread, theirs in [*self._known.items()]:
            if not thread.is_alive():  # one that was abandoned still works with its own
                for connection in theirs:
                    connection.inc_thread_sharing()
                    connection.close()

    @contextmanager
    def _closing(self) -> Iterator[None]:
        try:
            yield
        finally:
            self._known[threading.current_thread()] = mine = connections.all()
            for connection in mine:
                if connection.connection is not None:
                    self._tell_of_pool(connection)
                connection.close()
                if connection.in_atomic_block:  # which nothing will end: the next call begins anew
                    del connections[connection.alias]

    def _tell_of_pool(self, connection: BaseDatabaseWrapper) -> None:
        """Say once that there are fewer connections than calls that want one."""
        pool = getattr(connection, "pool", None)  # psycopg's, from Django 5.1 on
        if pool is not None and pool.max_size < self._threads and not self._is_told:
            self._is_told = True
            _LOGGER.warning(_SMALL_POOL, connection.alias, pool.max_size, self._threads)


class Setting(NamedTuple):
    """What goes along with a call.

    Attributes:
        surroundings: Where it was submitted.
        submitter: The thread that did.
        held: Aliases of the databases that this has a transaction of.
    """

    surroundings: Surroundings
    submitter: int
    held: tuple[str, ...]


class Wrapped(Generic[P, R]):
    """A function whose calls run as `Workers.at_work` says. A journal names it by `func`."""

    def __init__(self, func: Callable[P, R], workers: Workers, setting: Setting) -> None:
        self.func = func
        self._workers = workers
        self._setting = setting

    def __call__(self, /, *args: P.args, **kwargs: P.kwargs) -> R:
        """Call the function, in a thread of the pool."""
        with self._workers.at_work(self._setting):
            return self.func(*args, **kwargs)


@contextmanager
def _refusing(guarded: Iterable[BaseDatabaseWrapper], advice: str) -> Iterator[None]:
    """Refuse queries before they are sent. A bare `atomic()` sends none that could be seen here."""

    def refuse(_execute: object, sql: str, *_rest: Any) -> NoReturn:
        shown = sql if len(sql) <= _LONGEST else f"{sql[:_LONGEST]}…"
        raise WorkerQueryError(shown, advice)

    with ExitStack() as stack:
        for connection in guarded:
            stack.enter_context(connection.execute_wrapper(refuse))
        yield
