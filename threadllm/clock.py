"""Time: the only room that reads it, and the only one that sleeps.

Everything that waits is given a `Clock`, so that a test can put one in whose hours pass at once.
The room knows nothing of what is being waited for.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable


class Clock(Protocol):
    """What the rest of the package may ask of time. All figures are seconds."""

    def monotonic(self) -> float:
        """Seconds on a clock that never goes back, from an arbitrary start."""

    def time(self) -> float:
        """Seconds since 1970-01-01 UTC: only to read dates that a server sent."""

    def wait(self, condition: threading.Condition, timeout: float | None) -> None:
        """Wait on `condition`, which the caller holds, for at most `timeout` seconds.

        It may return early for no reason, as `Condition.wait` may: look again after it.
        """


class SystemClock:
    """The machine's clock."""

    monotonic = staticmethod(time.monotonic)  # as they are, for they are asked all the time
    time = staticmethod(time.time)

    def wait(self, condition: threading.Condition, timeout: float | None) -> None:
        """See `Clock.wait`. A timeout too large for the platform waits as long as that can."""
        condition.wait(timeout if timeout is None else min(timeout, threading.TIMEOUT_MAX))


SYSTEM: Clock = SystemClock()


class Unhurried(threading.Condition):
    """A condition for housekeeping, which nothing else waits for.

    A test's clock that jumps from one sleeper to the next does not jump on its account.
    """


class Sleeper:
    """An interruptible sleep that any number of threads may share.

    Once woken it stays awake: every sleep, those to come included, ends at once.
    """

    def __init__(self, clock: Clock = SYSTEM) -> None:
        self.clock = clock
        self._woken = threading.Condition()
        self._awake = False  # guarded by _woken; read without it

    @property
    def awake(self) -> bool:
        """Whether `wake` has been called."""
        return self._awake

    def sleep_until(self, moment: Callable[[], float]) -> bool:
        """Sleep until the monotonic time `moment()`, asked again at each awakening.

        Returns:
            True when the moment has come, False when `wake` ended the sleep.
        """
        with self._woken:
            while not self._awake:
                remaining = moment() - self.clock.monotonic()
                if remaining <= 0:
                    return True
                self.clock.wait(self._woken, remaining)
            return False

    def look_again(self) -> None:
        """Have every sleeper ask for its moment anew."""
        with self._woken:
            self._woken.notify_all()

    def wake(self) -> None:
        """End every sleep, now and from now on."""
        with self._woken:
            self._awake = True
            self._woken.notify_all()
