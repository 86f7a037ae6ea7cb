"""The quota: request slots, and a gate for each origin."""

from __future__ import annotations

import threading
from collections import defaultdict

from threadllm.exceptions import OptionError
from threadllm.quota.gate import Gate
from threadllm.quota.slots import Slots


class Quota:
    """What may be in flight, shared by as many dispatchers and threads as you like.

    Args:
        concurrency: Slots: how many requests may be in flight at a time.

    Raises:
        OptionError: Fewer than one slot.
    """

    def __init__(self, concurrency: int) -> None:
        if concurrency < 1:
            raise OptionError(f"concurrency={concurrency}: at least one request must be in flight")
        self.concurrency = concurrency
        self.slots = Slots(concurrency)
        self._lock = threading.Lock()
        self._gates: defaultdict[str, Gate] = defaultdict(Gate)  # guarded by _lock

    def gate(self, origin: str) -> Gate:
        """The gate of an origin: "scheme://host:port", or "" for calls that name none."""
        with self._lock:
            return self._gates[origin]
