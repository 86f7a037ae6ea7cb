"""What is new about a line: gathered under its lock, logged without."""

from __future__ import annotations

import logging
from collections import deque
from contextlib import suppress

_LOGGER = logging.getLogger("threadllm.quota")


class News:
    """Changes that are told once each, at INFO, to the logger "threadllm.quota".

    What comes up as a request is let in is logged with what comes up next: whoever lets it in holds
    the lock.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._untold: deque[str] = deque()  # no lock: each step of a deque is atomic

    def tell(self, news: str) -> None:
        """Take in a change."""
        self._untold.append(f"{self._name}: {news}")

    def log(self) -> None:
        """Log what has come in; the lock is not held."""
        if self._untold:
            with suppress(IndexError):  # when there is no more, be it that another thread took it
                while True:
                    _LOGGER.info("%s", self._untold.popleft())
