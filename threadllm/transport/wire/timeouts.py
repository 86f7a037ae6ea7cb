"""The timeouts of one request, as requests takes them."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

_FIGURES = {int, float}
_LONGEST = 10**8  # seconds; what is longer, up to infinity, is for requests to refuse


class Timeouts(NamedTuple):
    """Seconds to connect, or to send, and seconds to wait for bytes; None waits for ever."""

    connect: float | None
    read: float | None

    @classmethod
    def of(cls, timeout: Any) -> Timeouts | None:
        """The timeouts in an argument of requests; None if it is for requests to judge."""
        if type(timeout) in _FIGURES:
            return _both(timeout)
        parts = timeout if isinstance(timeout, tuple) else (timeout, timeout)
        sound = len(parts) == len(cls._fields) and all(map(_is_sound, parts))
        return cls(*parts) if sound else None


@lru_cache(maxsize=64, typed=True)
def _both(seconds: float) -> Timeouts | None:
    return Timeouts(seconds, seconds) if _is_sound(seconds) else None


def _is_sound(seconds: Any) -> bool:
    return seconds is None or (type(seconds) in _FIGURES and 0 < seconds < _LONGEST)
