"""The simulator's own time, which may pass faster than anyone else's.

Whatever tells or waits seconds in this room asks this clock. It must not know what for.
"""

from __future__ import annotations

import asyncio
from email.utils import formatdate

from threadllm.clock import SYSTEM
from threadllm.simulator.checks import positive


class FastClock:
    """A clock that runs `speed` times as fast as the machine's, from its making on.

    Raises:
        OptionError: The speed is not above zero.
    """

    def __init__(self, speed: float = 1.0) -> None:
        positive(speed=speed)
        self._speed = speed
        self._made = SYSTEM.monotonic()
        self._date = SYSTEM.time()

    def now(self) -> float:
        """Seconds since its making, on a clock that never goes back."""
        return (SYSTEM.monotonic() - self._made) * self._speed

    def time(self) -> float:
        """Seconds since 1970; at its making it was what the machine's said."""
        return self._date + (SYSTEM.time() - self._date) * self._speed

    def date(self) -> str:
        """The same as a `Date` header has it."""
        return formatdate(self.time(), usegmt=True)

    def real(self, seconds: float) -> float:
        """The machine's seconds that so many of this clock's are."""
        return seconds / self._speed

    async def sleep(self, seconds: float) -> None:
        """Sleep for so many of this clock's seconds."""
        await asyncio.sleep(self.real(seconds))
