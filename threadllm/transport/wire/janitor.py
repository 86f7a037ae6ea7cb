"""Who sees to a dispatcher's connections: so many to an origin, none that is idle for long.

There is a thread only while something is idle. It sleeps until the connection that has been idle
for longest is due, and leaves the others to their work.
"""

from __future__ import annotations

import os
import threading
from contextlib import suppress
from itertools import count
from typing import TYPE_CHECKING
from weakref import WeakSet, WeakValueDictionary

from threadllm.clock import Unhurried
from threadllm.transport.wire.crowd import Crowd
from threadllm.transport.wire.idle import Idle

if TYPE_CHECKING:
    from threadllm.clock import Clock
    from threadllm.transport.wire.idle import CountedConnection

_LONGEST = 60.0  # seconds that a connection may be idle


class Janitor:
    """Sees to the connections of all pools of a dispatcher.

    Args:
        slots: How many connections there may be to an origin.
        clock: Tells how long they have been idle.

    Attributes:
        slots: As above.
        now: Monotonic seconds.
        crowd: Waits for answers on its connections.
        awake: Whether there is a thread that looks after what is idle. It is never so after
            `close`.
    """

    def __init__(self, slots: int, clock: Clock) -> None:
        self.slots = slots
        self.now = clock.monotonic
        self._clock = clock
        self._closed = False
        self._order = count()
        # Neither keeps a pool, or what it has counted, alive. They are read whole, at one go.
        self._idles: WeakValueDictionary[int, Idle] = WeakValueDictionary()
        self._counted: WeakValueDictionary[object, WeakSet[CountedConnection]] = (
            WeakValueDictionary()
        )
        self._begin()
        _JANITORS.add(self)

    def _begin(self) -> None:
        self.awake = False
        self.crowd = Crowd()
        self._thread: threading.Thread | None = None
        self._opening = threading.Lock()  # guards that no more is opened than may be
        self._waking = threading.Lock()  # guards that there is one thread
        self._due = Unhurried()  # notified when there is no more to wait for

    def idle(self, *origin: object) -> Idle:
        """A place for the idle connections of one more pool, to that scheme, host and port."""
        with self._opening:
            counted = self._counted.setdefault(origin, WeakSet())
            idle = self._idles[next(self._order)] = Idle(self, counted)
        return idle

    def admit(self, connection: CountedConnection, idle: Idle) -> None:
        """Count a connection of a pool that is about to be opened.

        If that would be one too many, one that is idle in another pool is closed for it.
        """
        with self._opening:
            while len(idle.counted) >= self.slots and self._close_oldest(idle.counted):
                pass
            connection.counted = idle.counted
            idle.counted.add(connection)

    def wake(self) -> None:
        """Have a thread see to what is idle."""
        if self._closed:
            self.close_all()
            return
        with self._waking:
            if not self.awake:
                thread = threading.Thread(target=self._run, name="threadllm-idle", daemon=True)
                self.awake, self._thread = True, thread
                try:
                    thread.start()
                except RuntimeError:  # there is none left: the next to come asks again
                    self.awake = False

    def close_all(self) -> None:
        """Close what is idle now."""
        for idle in self._all():
            idle.close()
        with self._due:
            self._due.notify_all()

    def close(self) -> None:
        """Close what is idle now; from now on, whatever is given back is closed."""
        self._closed = True
        self.awake = False
        self.close_all()
        self.crowd.close()
        thread = self._thread
        # The collector, in any thread, may find the dispatcher and close this, in the janitor's
        # own and in one that is about to start it too.
        if thread is not None and thread.is_alive() and thread is not threading.current_thread():
            thread.join()

    def start_anew(self) -> None:
        """Let go, in a fork of the process, of what is its parent's, locks included."""
        self._begin()
        self.close_all()

    def _run(self) -> None:
        while not self._closed:
            due = self._close_overdue()
            if due is None:
                self.awake = False
                if not self._resume():
                    return
            else:
                self._wait(due)
        self.awake = False
        self.close_all()

    def _resume(self) -> bool:
        """Whether there is something idle after all, and nobody else who has seen it."""
        with self._waking:
            if self.awake or all(idle.oldest is None for idle in self._all()):
                return False
            self.awake = True
            return True

    def _wait(self, due: float) -> None:
        with self._due:
            if not self._closed:
                self._clock.wait(self._due, due - self.now())

    def _close_overdue(self) -> float | None:
        """Close what has been idle for too long; the moment when the next is due, if any."""
        due = []
        for idle in self._all():
            while (oldest := idle.oldest) is not None:
                moment = oldest.idle_since + _LONGEST
                if moment > self.now():
                    due.append(moment)
                    break
                idle.close_oldest()
        return min(due, default=None)

    def _close_oldest(self, counted: WeakSet[CountedConnection]) -> bool:
        """Close, of the idle ones to an origin, that which is so for longest; whether one was."""
        idles = [
            (oldest.idle_since, idle)
            for idle in self._all()
            if idle.counted is counted and (oldest := idle.oldest) is not None
        ]
        for _, idle in sorted(idles, key=lambda pair: pair[0])[:1]:
            idle.close_oldest()
        return bool(idles)

    def _all(self) -> list[Idle]:
        return [idle for known in self._idles.valuerefs() if (idle := known()) is not None]


_JANITORS: WeakSet[Janitor] = WeakSet()


def _start_anew() -> None:
    for janitor in _JANITORS:
        janitor.start_anew()


with suppress(AttributeError):  # where no process can fork
    os.register_at_fork(after_in_child=_start_anew)
