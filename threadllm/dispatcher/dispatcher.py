"""The dispatcher: an Executor around a ThreadPoolExecutor, for calls that need slots and retries.

It knows no HTTP. What happens to a request within a call is the transport's matter; what happens
to a call as a whole is decided here: when it begins, whether it is tried again, how it ends.
"""

from __future__ import annotations

import weakref
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from threadllm.call import checked_allowance
from threadllm.clock import SYSTEM
from threadllm.dispatcher.arguments import terms_by
from threadllm.dispatcher.closing import Closing
from threadllm.dispatcher.feed import length
from threadllm.dispatcher.hiring import checked_engine
from threadllm.dispatcher.options import (
    DEFAULT_GRACE,
    DEFAULT_TIMEOUT,
    checked_window,
    checked_workers,
)
from threadllm.dispatcher.outcomes import AsFinished, InOrder, read
from threadllm.dispatcher.results import Results
from threadllm.dispatcher.staff import Staff
from threadllm.dispatcher.threads import Threads
from threadllm.exceptions import OptionError
from threadllm.journal import checked_journal

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
    from concurrent.futures import Executor, Future

    from threadllm.clock import Clock
    from threadllm.dispatcher.arguments import Options
    from threadllm.dispatcher.hiring import Engine
    from threadllm.dispatcher.options import JournalOrPath, OnStop, Timeout, Unpack
    from threadllm.outcome import Outcome, Usage
    from threadllm.progress import Totals
    from threadllm.quota import Quota
    from threadllm.retry import Retry

P = ParamSpec("P")
T = TypeVar("T")
R = TypeVar("R")

# Times the workers: how many items may be pulled and not yet handed back, if nobody says.
_AHEAD, _AHEAD_ELSEWHERE = 2, 4


class Dispatcher(Closing):
    """Runs synchronous calls in threads: a drop-in for `concurrent.futures.ThreadPoolExecutor`.

    Args:
        max_workers: Threads: how many calls may be in progress. 32 by default.
        thread_name_prefix: As ThreadPoolExecutor.
        initializer: As ThreadPoolExecutor.
        initargs: As ThreadPoolExecutor.
        concurrency: Slots: how many requests may be in flight. `max_workers` by default.
        quota: Slots and limits, perhaps shared with other dispatchers, in place of `concurrency`.
        quotas: Quotas of their own for some origins, by "https://api.example.com" or the beginning
            of a URL. Slots of `quota` are not taken for their requests.
        estimate: Called with what the function is called with; gives the tokens that each of the
            call's requests will take, as a number, which counts as tokens in, or as a `Usage`.
            Without it they are estimated from what requests have cost.
        grace: Seconds that calls in flight have to end, once their run was cancelled by a signal
            or by `cancel`.
        on_stop: "raise" ends a run with `RunStopped` where a provider refuses for good: a key that
            is not accepted, no credit, no permission (401, 402, 403 and their like). "continue"
            lets the item fail and goes on.
        retry: What is tried again, and when.
        request_timeout: Seconds for requests that set no timeout of their own: one figure, or one
            to connect and one to wait for bytes.
        progress: True for a bar, or a plain line every 10 s off a terminal; a callable that makes
            a bar as `tqdm.tqdm` does.
        patch_requests: Whether whatever the function sends through requests is given slots,
            retries and the dispatcher's connections; if not, only what a `threadllm.Session`
            sends, that of `threadllm.session()` included.
        deadline: Seconds that each item has as a whole, from when a thread first takes it up: waits
            for slots, gates and retries, and further calls of it included. It ends with a
            `DeadlineExceeded` then, its requests broken off. Where there are none it is handed
            over, and its thread, which cannot be ended, is replaced: `Totals.abandoned`. No
            shutdown waits for that thread, but the interpreter's exit does. None for no deadline;
            `threadllm.deadline` says otherwise for a block.
        trust_returns: Whether what the function returns counts although one of its requests
            failed for good: for functions that fall back to another host.
        clock: Where the time comes from; tests may bring their own.
        engine: "processes" runs calls in several processes of this machine, `max_workers` in all,
            where one is too few for the work of sending and parsing; "ray" in those of a Ray
            cluster; an executor, such as loky's, in its. See `threadllm.connect` for more of it.
        workers: How many processes an engine is asked for that is a name or an executor.

    Raises:
        OptionError: An option that cannot be meant. It is a ValueError.
    """

    def __init__(
        self,
        max_workers: int | None = None,
        thread_name_prefix: str = "",
        initializer: Callable[..., object] | None = None,
        initargs: tuple[Any, ...] = (),
        *,
        concurrency: int | None = None,
        quota: Quota | None = None,
        quotas: Mapping[str, Quota] | None = None,
        estimate: Callable[..., float | Usage] | None = None,
        on_stop: OnStop = "raise",
        retry: Retry | None = None,
        request_timeout: Timeout = DEFAULT_TIMEOUT,
        progress: bool | Callable[..., Any] = False,
        patch_requests: bool = True,
        trust_returns: bool = False,
        deadline: float | None = None,
        grace: float = DEFAULT_GRACE,
        clock: Clock = SYSTEM,
        engine: Engine | Executor | str | None = None,
        workers: int | None = None,
    ) -> None:
        options: Options = {
            "thread_name_prefix": thread_name_prefix or "threadllm",
            "initializer": initializer,
            "initargs": initargs,
            "concurrency": concurrency,
            "quota": quota,
            "quotas": quotas,
            "estimate": estimate,
            "on_stop": on_stop,
            "retry": retry,
            "request_timeout": request_timeout,
            "progress": progress,
            "patch_requests": patch_requests,
            "trust_returns": trust_returns,
            "deadline": deadline,
            "grace": grace,
            "clock": clock,
        }
        hires = checked_engine(engine, workers)
        number = checked_workers(max_workers, elsewhere=hires is not None)
        self._max_workers = number
        self._window = (_AHEAD if hires is None else _AHEAD_ELSEWHERE) * number
        self._terms = terms = terms_by(options, number)
        threads = Threads(
            number,
            partial(ThreadPoolExecutor, initializer=initializer, initargs=initargs),
            options["thread_name_prefix"],
        )
        super().__init__(Staff(self, terms, threads, number, options, hires))

    @property
    def quota(self) -> Quota:
        """What lends this dispatcher its slots."""
        return self._terms.quota

    @property
    def totals(self) -> Totals:
        """What this dispatcher has come to so far."""
        return self._terms.tally.totals()

    def submit(self, fn: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> Future[R]:
        """Schedule `fn(*args, **kwargs)`, as `Executor.submit` does.

        It is run to its end, retries included, even where the program has come to its own.

        Raises:
            RuntimeError: After shutdown.
        """
        self._expect((fn,))
        return self._staff.submitter.submit(fn, *args, **kwargs).future

    def map(
        self,
        fn: Callable[..., R],
        *iterables: Iterable[Any],
        timeout: float | None = None,
        chunksize: int = 1,
        buffersize: int | None = None,
        unpack: Unpack | None = None,
        journal: JournalOrPath | None = None,
    ) -> Iterator[R]:
        """The values of `fn` for each item, in input order, as `Executor.map` gives them.

        It begins at once. No more than `buffersize` items, twice `max_workers` by default, are
        pulled and not yet handed back; what is left unread is submitted by `shutdown`, the end of
        a `with` block included. Close the iterator of an input that has no end.

        Args:
            fn: The function.
            iterables: One or more inputs, of any length; the shortest ends it.
            timeout: Seconds from now in which a value must come.
            chunksize: Without effect, as with threads.
            buffersize: The window, in items.
            unpack: "args" calls `fn(*item)`, "kwargs" calls `fn(**item)`.
            journal: See `outcomes`; with several iterables an item is a tuple.

        Raises:
            OptionError: An option that cannot be meant, or a journal that cannot be used.
            TimeoutError: From the iterator, when a value is late.
            BaseException: From the iterator, the error of the first item that failed.
            RunStopped: From the iterator, when the provider refuses for good.
        """
        if len(iterables) == 1:
            items, unpacked = iterables[0], unpack
        elif unpack is None:
            items, unpacked = zip(*iterables, strict=False), "args"
        else:
            raise OptionError(
                f"unpack={unpack!r}: it takes one iterable, of what is to be unpacked"
            )
        window = checked_window(buffersize, self._window)
        staff = self._staff
        feed = staff.submitter.feed(fn, items, unpacked, window, journal=checked_journal(journal))
        self._expect(*iterables)
        results = Results(feed, self._terms.sleeper.clock, timeout)
        if not feed.ended:
            staff.unread.add(results)
        run = staff.cancelling.interruptible(feed.run)
        return self._stay_for(results.read(run, done=staff.unread.discard))

    def outcomes(
        self,
        fn: Callable[..., R],
        items: Iterable[T],
        *,
        ordered: bool = False,
        key: Callable[[T], object] | None = None,
        buffersize: int | None = None,
        unpack: Unpack | None = None,
        journal: JournalOrPath | None = None,
        fail_fast: bool = False,
        max_failures: int | str | None = None,
    ) -> Iterator[Outcome[T, R]]:
        """What became of each item, lazily: as they finish, or in input order.

        An item that fails is an outcome like any other. What the input itself raises is raised
        after the outcomes of all that it gave before. Nothing is pulled before the first outcome
        is asked for; closing the iterator cancels what has not begun. So does the end of the
        program, after which what is in flight has its time of grace.

        Args:
            fn: The function.
            items: The input; may be endless.
            ordered: Whether outcomes come in input order.
            key: Names an item; without it, its index does.
            buffersize: How many items may be pulled and not yet handed back; twice `max_workers`
                by default, four times with an engine.
            unpack: "args" calls `fn(*item)`, "kwargs" calls `fn(**item)`.
            journal: A `Journal`, or the path of its file: what that remembers is handed back
                without a call, and what ends now once it is on the disk.
            fail_fast: Whether the first failure stops the run.
            max_failures: How many items may fail before the run is stopped: a number, or a share
                of those that have ended, such as "5%" (of the first hundred, 5).

        Raises:
            OptionError: An option that cannot be meant, or a journal that cannot be used. From the
                iterator, an item that has no name for the journal.
            JournalError: From the iterator, when the journal cannot be written, or read on.
            RuntimeError: From the iterator, when it is read on after shutdown.
            RunStopped: From the iterator, once all that is done was handed back, when the provider
                refuses for good, too many items have failed, or `cancel` was called. What was not
                begun, or not finished, has no outcome.
            KeyboardInterrupt, SystemExit: Likewise after SIGINT and SIGTERM, where the main thread
                reads; what is in flight breaks off after a second signal.
        """
        staff = self._staff
        window = checked_window(buffersize, self._window)
        allowance = checked_allowance(max_failures, fail_fast=fail_fast)
        feed = staff.submitter.feed(
            fn, items, unpack, window, key, allowance, checked_journal(journal)
        )
        self._expect(items)
        order = InOrder() if ordered else AsFinished()
        run = staff.cancelling.interruptible(feed.run)
        outcomes = self._stay_for(read(feed, order, run))
        weakref.finalize(outcomes, feed.close)  # a generator that was never begun closes nothing
        return outcomes

    def _stay_for(self, run: Generator[R, None, None]) -> Generator[R, None, None]:
        """Have whoever reads a run keep the dispatcher: its end is that of its bar, too."""
        yield from run

    def _expect(self, *inputs: Iterable[Any]) -> None:
        painter = self._staff.painter
        if painter is not None:  # only then: to tell its length may cost an input much
            painter.expect(length(*inputs))
