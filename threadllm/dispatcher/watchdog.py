"""The one thread that knows what time it is for the items of a dispatcher.

It looks at no clock between two moments, and is woken for one only if that is the earliest. What
is no longer watched is let go of at once; its place in the order is cleared up now and then.
"""

from __future__ import annotations

import heapq
import logging
import threading
from itertools import count
from typing import TYPE_CHECKING

from threadllm.clock import Unhurried

if TYPE_CHECKING:
    from collections.abc import Callable

    from threadllm.call import Call
    from threadllm.clock import Clock

    Expire = Callable[["Watch"], "float | None"]

_LOGGER = logging.getLogger("concurrent.futures")  # where a pool says that a callback went wrong
_SPARE = 64  # entries of nothing that are always borne


class Watch:
    """One item that is watched, until it is released.

    Attributes:
        call: Its call in progress; None while it waits for the next.
    """

    __slots__ = ("call", "expire")

    def __init__(self, expire: Expire, call: Call) -> None:
        self.expire: Expire | None = expire  # None once it is watched no more
        self.call: Call | None = call


class Watchdog:
    """Tells, at their moments, those who are watched. It has one thread, from `start` to `close`.

    It may be closed before the last is watched, as nobody knows of those to come: for those it has
    a thread again, as long as they are watched.

    Whoever releases a watch may end its item, and nobody else: only one can.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        # Guards all that follows, and each watch. Reentrant: the collector may find the dispatcher
        # in any thread, and close this.
        self._lock = threading.RLock()
        self._changed = Unhurried(self._lock)
        self._order = count()
        self._moments: list[tuple[float, int, Watch]] = []  # a heap
        self._watched = 0
        self._closed = False
        self._runs = False
        self._thread: threading.Thread | None = None  # the last

    def start(self) -> None:
        """Have the thread, if there is none yet.

        Raises:
            RuntimeError: The system has none left.
        """
        with self._lock:
            if not self._closed:
                self._have_thread()

    def watch(self, moment: float, expire: Expire, call: Call) -> Watch:
        """Have `expire(watch)` called at a monotonic time.

        It is called on the watchdog's thread, and again at the moment that it returns, if any.

        Raises:
            RuntimeError: The system has no thread left.
        """
        watch = Watch(expire, call)
        with self._lock:
            self._have_thread()
            self._watched += 1
            self._add(moment, watch)
        return watch

    def call_at(self, moment: float, watch: Watch) -> None:
        """Have it called at that moment too, unless it is released before."""
        with self._lock:
            if watch.expire is not None:
                self._add(moment, watch)

    def resume(self, watch: Watch, call: Call | None) -> bool:
        """Let the item be in another call, or in none; whether it is still watched."""
        with self._lock:
            watched = watch.expire is not None
            if watched:
                watch.call = call
            return watched

    def release(self, watch: Watch) -> bool:
        """Watch an item no more; whether it has been watched."""
        with self._lock:
            if watch.expire is None:
                return False
            watch.expire = watch.call = None
            self._watched -= 1
            if len(self._moments) > 2 * self._watched + _SPARE:
                self._moments = [entry for entry in self._moments if entry[2].expire is not None]
                heapq.heapify(self._moments)
            if self._closed and not self._watched:
                self._changed.notify_all()
            return True

    def release_from(self, watch: Watch, call: Call | None) -> bool:
        """Watch an item no more, if it is still in that call, or still in none."""
        with self._lock:
            return watch.call is call and self.release(watch)

    def close(self) -> None:
        """End the thread once nothing is watched. The collector may call this: it waits not."""
        with self._lock:
            self._closed = True
            self._changed.notify_all()

    def join(self) -> None:
        """Wait for the thread to end, after `close`."""
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join()

    def _have_thread(self) -> None:
        if not self._runs:
            thread = threading.Thread(target=self._run, name="threadllm-watchdog", daemon=True)
            thread.start()
            self._runs, self._thread = True, thread

    def _add(self, moment: float, watch: Watch) -> None:
        heapq.heappush(self._moments, (moment, next(self._order), watch))
        if self._moments[0][2] is watch:
            self._changed.notify_all()

    def _run(self) -> None:
        while (due := self._next_due()) is not None:
            watch, expire = due
            try:
                again = expire(watch)
            except BaseException:  # of a callback: the others have deadlines too
                _LOGGER.critical("Exception in watchdog", exc_info=True)
                again = None
            if again is not None:
                self.call_at(again, watch)
            del due, watch, expire

    def _next_due(self) -> tuple[Watch, Expire] | None:
        """Wait for a moment; None when nothing is watched and nothing will be."""
        with self._lock:
            while self._watched or not self._closed:
                remaining = self._moments[0][0] - self._clock.monotonic() if self._moments else None
                if remaining is None or remaining > 0:
                    self._clock.wait(self._changed, remaining)
                else:
                    watch = heapq.heappop(self._moments)[2]
                    if watch.expire is not None:
                        return watch, watch.expire
            self._runs = False
            return None
