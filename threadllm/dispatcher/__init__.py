"""The dispatcher: an executor that runs calls, tries them again, and knows no HTTP."""

from threadllm.dispatcher.dispatcher import Dispatcher
from threadllm.dispatcher.inline import inline
from threadllm.dispatcher.options import (
    DEFAULT_GRACE,
    DEFAULT_TIMEOUT,
    DEFAULT_WORKERS,
    MOST_WORKERS,
)
from threadllm.dispatcher.shortcuts import Concurrent, concurrent, map

__all__ = [
    "DEFAULT_GRACE",
    "DEFAULT_TIMEOUT",
    "DEFAULT_WORKERS",
    "MOST_WORKERS",
    "Concurrent",
    "Dispatcher",
    "concurrent",
    "inline",
    "map",
]
