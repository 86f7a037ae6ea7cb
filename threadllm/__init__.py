"""threadllm: synchronous functions that call LLMs, run concurrently, as they are."""

from typing import TYPE_CHECKING

from threadllm.dispatcher import Concurrent, Dispatcher, concurrent, map
from threadllm.exceptions import CallCancelled, OptionError, ThreadLLMError
from threadllm.outcome import Outcome, RequestRecord, Usage
from threadllm.progress import Totals
from threadllm.quota import Quota
from threadllm.retry import Retry

if TYPE_CHECKING:
    from threadllm.transport import Session, session

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
    "Session",
    "ThreadLLMError",
    "Totals",
    "Usage",
    "concurrent",
    "map",
    "session",
]


def __getattr__(name: str) -> object:
    """Import `Session` and `session` when they are asked for: they bring requests along."""
    if name in {"Session", "session"}:
        from threadllm.transport import Session, session

        return Session if name == "Session" else session
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
