"""Which exchange a thread is sending, so that the connection it takes can be told to it."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from threadllm.call import Exchange


class _InFlight(threading.local):
    """A thread's exchange, from before it takes a connection until the answer's headers."""

    exchange: Exchange | None = None


in_flight = _InFlight()
