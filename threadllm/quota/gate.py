"""A gate: shut for a while, for everyone, when a provider says that it is too fast.

It only knows until when it is shut. Whoever waits before it does so on a clock of its own.
"""

from __future__ import annotations

import math
import threading


class Gate:
    """When the next request may start. Shared by threads; figures are monotonic seconds."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._opens_at = -math.inf  # guarded by _lock; a float is read without it
        self._shut_at = -math.inf  # guarded by _lock: when it was last shut

    @property
    def opens_at(self) -> float:
        """When it opens, or opened."""
        return self._opens_at

    def shut(self, until: float, *, now: float, sent: float, asked: bool) -> bool:
        """Shut the gate until a moment, and say whether that changed anything.

        A 429 to a request that was sent before the gate was last shut belongs to the storm that
        shut it: it prolongs the pause only if the provider itself named a later moment.

        Args:
            until: When it shall open.
            now: The present moment.
            sent: When the request that met the 429 was sent.
            asked: Whether the provider named the wait.
        """
        with self._lock:
            if until <= self._opens_at or (sent < self._shut_at and not asked):
                return False
            self._opens_at, self._shut_at = until, now
            return True
