"""threadllm: synchronous functions that call LLMs, run concurrently, as they are."""

from typing import TYPE_CHECKING

from threadllm.dispatcher import Concurrent, Dispatcher, concurrent, map
from threadllm.exceptions import CallCancelled, OptionError, ThreadLLMError
from threadllm.outcome import Outcome, RequestRecord, Usage
from threadllm.progress import Totals
from threadllm.quota import Quota
from threadllm.retry import Retry

if TYPE_CHECKING:
    from threadllm.transport import session

__version__ = "0.1.0"

__all__ = [
    "CallCancelled",
    "Concurrent",
    "Dispatcher",
    "OptionError",
    "Outcome",
    "Quota",
    "RequestRecord",
    "Retry",
    "ThreadLLMError",
    "Totals",
    "Usage",
    "concurrent",
    "map",
    "session",
]


def __getattr__(name: str) -> object:
    """Import `session` when it is asked for: it brings requests along."""
    if name == "session":
        from threadllm.transport import session

        return session
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
