"""A gate: shut for a while, for everyone, when a provider says that it is too fast.

It only knows until when it is shut. Who waits before it, waits in the line.
"""

from __future__ import annotations

import math


class Gate:
    """When the next request may start. The quota's lock guards it; seconds are monotonic.

    Attributes:
        opens_at: When it opens, or opened. It is read without the lock.
    """

    def __init__(self) -> None:
        self.opens_at = -math.inf
        self._shut_at = -math.inf  # when it was last shut

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
        if until <= self.opens_at or (sent < self._shut_at and not asked):
            return False
        self.opens_at, self._shut_at = until, now
        return True
