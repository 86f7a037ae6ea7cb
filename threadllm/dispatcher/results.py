"""What `Dispatcher.map` hands back: values in input order, the first failure raised."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from concurrent.futures import Future

    from threadllm.clock import Clock
    from threadllm.dispatcher.feed import Feed

R = TypeVar("R")


class Results(Generic[R]):
    """A run of `map`: begun before it is read, and submitted whole by a shutdown if need be."""

    def __init__(self, feed: Feed[Any, R], clock: Clock, timeout: float | None) -> None:
        self._feed = feed
        self._clock = clock
        self._end = None if timeout is None else clock.monotonic() + timeout
        self._futures: deque[Future[R]] = deque()  # appended to by whoever pulls, one at a time
        for _ in range(feed.window):
            self._pull()

    def submit_rest(self) -> None:
        """Pull all that is left, as nothing can be submitted later."""
        while not self._feed.ended:
            self._pull()

    def read(self, done: Callable[[Results[R]], None]) -> Generator[R, None, None]:
        """The values, in input order; `done` is told when no more will be read."""
        try:
            while self._futures:
                value = _result_or_cancelled(self._futures.popleft(), self._remaining())
                self._pull()
                yield value
                del value
            self._feed.check()
        finally:
            self._feed.close()
            for future in self._futures:
                future.cancel()
            done(self)

    def _pull(self) -> None:
        fed = self._feed.pull()
        if fed is not None:
            self._futures.append(fed.task.future)

    def _remaining(self) -> float | None:
        return None if self._end is None else max(0.0, self._end - self._clock.monotonic())


def _result_or_cancelled(future: Future[R], timeout: float | None) -> R:
    try:
        return future.result(timeout)
    finally:
        future.cancel()  # after a timeout; a future that is done stays as it is
        del future  # else its error would hold this frame, and the frame its error
