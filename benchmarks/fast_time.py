"""Time that passes faster: for clients of a simulator whose own time does.

threadllm is given such a clock. Libraries that ask the machine for the time are hurried: see
`hurry`. Timeouts of sockets stay as they are, which is as if they were longer.
"""

from __future__ import annotations

import sys
import threading
import time


class FastTime:
    """A clock that runs `speed` times as fast as the machine's, from its making on.

    It is a `threadllm.clock.Clock`, and has what else `time` is asked for. All figures are
    seconds of its own.
    """

    def __init__(self, speed: float) -> None:
        self.speed = speed
        # As they are now: `hurry` puts others in their places.
        self._monotonic, self._sleep = time.monotonic, time.sleep
        self._began, self._date = time.monotonic(), time.time()

    def monotonic(self) -> float:
        """Seconds on a clock that never goes back."""
        return self._began + (self._monotonic() - self._began) * self.speed

    def time(self) -> float:
        """Seconds since 1970; at its making it was what the machine's said."""
        return self._date + self.monotonic() - self._began

    def sleep(self, seconds: float) -> None:
        """Sleep for so many seconds."""
        self._sleep(seconds / self.speed)

    def wait(self, condition: threading.Condition, timeout: float | None) -> None:
        """Wait on a condition, which the caller holds, for at most so many seconds."""
        condition.wait(None if timeout is None else timeout / self.speed)


def hurry(fast: FastTime) -> None:
    """Let this whole process live in fast time, from here on and for good.

    `time.sleep` and the clocks of `time` are replaced wherever a module has them, be it as its
    own names; modules that are imported later find the replacements. So are the timeouts of
    conditions, which those of events, queues, semaphores and futures come down to.
    """
    replacements = {
        id(time.monotonic): fast.monotonic,
        id(time.perf_counter): fast.monotonic,
        id(time.time): fast.time,
        id(time.sleep): fast.sleep,
    }
    for module in list(sys.modules.values()):
        for name, value in list(getattr(module, "__dict__", {}).items()):
            if id(value) in replacements:
                setattr(module, name, replacements[id(value)])
    wait_for_real = threading.Condition.wait

    def wait(condition: threading.Condition, timeout: float | None = None) -> bool:
        return wait_for_real(condition, None if timeout is None else timeout / fast.speed)

    for kind, name in ((threading.Condition, "wait"),):
        setattr(kind, name, wait)
