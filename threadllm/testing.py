"""For tests, of users and of this package.

A clock whose hours pass when the test says so; and `inline()`, within which calls run one by one in
the thread that submits them.
"""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

from threadllm.clock import Unhurried
from threadllm.dispatcher import inline

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["FakeClock", "inline"]

_PATIENCE = 60.0  # real seconds after which a test that waits for a sleeper has failed


class _LastRead(threading.local):
    """When this thread has last read a clock, as far as it has not waited on it since."""

    moment: float | None = None


class FakeClock:
    """A clock that stands still until it is advanced. Pass it as `clock=`; all figures are seconds.

    Threads that wait on it are really blocked, on conditions; `advance` wakes those whose time
    has come.
    """

    def __init__(self, start: float = 1000.0, wall: float = 1_700_000_000.0) -> None:
        self._wall = wall - start
        self._last_read = _LastRead()
        self._sleeping = threading.Condition()  # guards what follows, and tells when it grows
        self._now = start
        self._deadlines: dict[int, tuple[float, threading.Condition]] = {}  # by thread
        self._unhurried: dict[int, tuple[float, threading.Condition]] = {}  # woken, not awaited

    def monotonic(self) -> float:
        """See `threadllm.clock.Clock.monotonic`."""
        self._last_read.moment = now = self._now
        return now

    def time(self) -> float:
        """See `threadllm.clock.Clock.time`."""
        return self._wall + self._now

    def wait(self, condition: threading.Condition, timeout: float | None) -> None:
        """See `threadllm.clock.Clock.wait`.

        What was read of the clock is what the timeout is reckoned from: it may have gone on since.
        """
        read, self._last_read.moment = self._last_read.moment, None
        if timeout is None:
            condition.wait()
            return
        me = threading.get_ident()
        with self._sleeping:
            deadline = (self._now if read is None else read) + timeout
            if deadline <= self._now:
                return
            sleepers = self._unhurried if isinstance(condition, Unhurried) else self._deadlines
            sleepers[me] = (deadline, condition)
            self._sleeping.notify_all()
        condition.wait()
        with self._sleeping:
            sleepers.pop(me, None)

    def advance(self, seconds: float) -> None:
        """Let time pass, and wake whoever waited for what has come."""
        with self._sleeping:
            moment = self._now + seconds
        self._advance_to(moment)

    def wait_for_sleepers(self, number: int = 1) -> list[float]:
        """Wait until so many threads sleep, in real time.

        Returns:
            The seconds that each still has to sleep, shortest first.

        Raises:
            TimeoutError: They do not come to sleep.
        """
        with self._sleeping:
            return [deadline - self._now for deadline in self._awaited(number)]

    def advance_to_next(self) -> float:
        """Wait until some thread sleeps, and let pass just the time until the first awakes.

        Returns:
            The seconds that passed.

        Raises:
            TimeoutError: None comes to sleep.
        """
        with self._sleeping:
            earliest = self._awaited(1)[0]
            seconds = earliest - self._now
        self._advance_to(earliest)
        return seconds

    @contextmanager
    def running(self) -> Iterator[None]:
        """Let time jump from sleeper to sleeper, by itself, for as long as the block lasts."""
        ended = False

        def run() -> None:
            while True:
                with self._sleeping:
                    self._sleeping.wait_for(lambda: ended or self._deadlines)
                    if ended:
                        return
                    moment = min(deadline for deadline, _ in self._deadlines.values())
                self._advance_to(moment)

        runner = threading.Thread(target=run, name="threadllm-fake-clock")
        runner.start()
        try:
            yield
        finally:
            with self._sleeping:
                ended = True
                self._sleeping.notify_all()
            runner.join()

    def _awaited(self, number: int) -> list[float]:
        """When those who sleep awake, earliest first, once they are so many; _sleeping is held."""
        if not self._sleeping.wait_for(lambda: len(self._deadlines) >= number, _PATIENCE):
            raise TimeoutError(f"{len(self._deadlines)} of {number} threads sleep")
        return sorted(deadline for deadline, _ in self._deadlines.values())

    def _advance_to(self, moment: float) -> None:
        """Who is woken sleeps no more, whether or not its thread has run yet."""
        with self._sleeping:
            self._now = max(self._now, moment)
            due = set()
            for sleepers in (self._deadlines, self._unhurried):
                for thread, (deadline, condition) in [*sleepers.items()]:
                    if deadline <= self._now:
                        del sleepers[thread]
                        due.add(condition)
        for condition in due:
            with condition:
                condition.notify_all()
