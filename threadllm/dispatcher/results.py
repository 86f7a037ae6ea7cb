"""What `Dispatcher.map` hands back: values in input order, the first failure raised."""

from __future__ import annotations

import threading
from collections import deque
from concurrent.futures import TimeoutError as TimedOutError  # the builtin one from 3.11 on
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from threadllm.dispatcher.interrupts import INTERRUPTS

if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from concurrent.futures import Future

    from threadllm.clock import Clock
    from threadllm.dispatcher.feed import Fed, Feed
    from threadllm.dispatcher.interrupts import Interruptible

R = TypeVar("R")


class Results(Generic[R]):
    """A run of `map`: begun before it is read, and submitted whole by a shutdown if need be."""

    def __init__(self, feed: Feed[Any, R], clock: Clock, timeout: float | None) -> None:
        self._feed = feed
        self._clock = clock
        self._end = None if timeout is None else clock.monotonic() + timeout
        self._fed: deque[Fed[Any, R]] = deque()  # appended to by whoever pulls, one at a time
        while len(self._fed) < feed.window and self._pull():
            pass
        if not self._fed:
            feed.check()

    def submit_rest(self) -> None:
        """Pull all that is left, as nothing can be submitted later."""
        while self._pull():
            pass

    def leave(self) -> None:
        """Let go of what pulling takes: who reads on is told that it is over."""
        self._feed.done()

    def read(
        self, run: Interruptible, done: Callable[[Results[R]], None]
    ) -> Generator[R, None, None]:
        """The values, in input order; `done` is told when no more will be read."""
        with INTERRUPTS.heeded(run):
            try:
                while self._fed:
                    self._feed.check_process()
                    yield self._result_or_abandoned(self._fed.popleft())
                    self._pull()
                self._feed.check()
            finally:
                self._feed.close()
                for fed in self._fed:
                    fed.abandon()
                done(self)

    def _pull(self) -> bool:
        return self._feed.pull(self._fed.append)

    def _result_or_abandoned(self, fed: Fed[Any, R]) -> R:
        try:
            if self._end is not None:
                self._await(fed.future, self._end)
            value: R = fed.future.result()
        except Exception:
            if fed.is_undone or fed.has_stopped_run:
                self._feed.check()
            raise
        finally:
            fed.abandon()  # after a timeout; what has ended stays as it is
            del fed  # else its error would hold this frame, and the frame its error
        return value

    def _await(self, future: Future[R], end: float) -> None:
        ended = threading.Condition()

        def tell(_: Future[R]) -> None:
            with ended:
                ended.notify_all()

        future.add_done_callback(tell)
        with ended:
            while not future.done():
                remaining = end - self._clock.monotonic()
                if remaining <= 0:
                    raise TimedOutError
                self._clock.wait(ended, remaining)
