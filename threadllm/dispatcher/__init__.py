"""The dispatcher: an executor that runs calls, tries them again, and knows no HTTP."""

from threadllm.dispatcher.dispatcher import Dispatcher
from threadllm.dispatcher.shortcuts import Concurrent, concurrent, map

__all__ = ["Concurrent", "Dispatcher", "concurrent", "map"]
