"""What a call's deadline means to its requests: the error, and the timeouts that are left."""

from __future__ import annotations

from typing import Any

from requests.exceptions import Timeout
from urllib3 import Timeout as Timeouts

from threadllm.exceptions import CallExpired

_LEAST = 0.001  # seconds; urllib3 takes no timeout of 0


class DeadlineExceeded(Timeout, CallExpired):
    """A call has used up its time: what it was doing was broken off, and is not tried again.

    It is a `TimeoutError`, a `requests.Timeout` and a `ThreadLLMError`. Its `__cause__` is what
    came of the request in flight, or of the last try where one was waited for; `request` is that
    request, None where there was none.
    """


def bounded(timeout: Any, left: float) -> Any:
    """A timeout as requests takes it, none of its parts longer than the seconds that are left.

    Connecting and the TLS handshake cannot be broken off, and must end by themselves. What cannot
    be meant is left to requests to refuse.
    """
    left = max(left, _LEAST)
    if isinstance(timeout, Timeouts):
        within = timeout.clone()
        total = within.total
        within.total = min(total, left) if isinstance(total, (int, float)) else left
        return within
    if isinstance(timeout, tuple):
        return tuple(bounded(part, left) for part in timeout)
    if timeout is None:
        return left
    return min(timeout, left) if isinstance(timeout, (int, float)) else timeout
