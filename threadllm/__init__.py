"""threadllm: synchronous functions that call LLMs, run concurrently, as they are."""

from importlib import import_module
from typing import TYPE_CHECKING

from threadllm.call import deadline
from threadllm.dispatcher import Concurrent, Dispatcher, concurrent, map
from threadllm.engines import connect
from threadllm.exceptions import (
    BreakerOpen,
    CallCancelled,
    EarlierFailure,
    JournalError,
    OptionError,
    RemoteError,
    RunStopped,
    ThreadLLMError,
    TooManyFailures,
    WorkerLost,
)
from threadllm.journal import Journal
from threadllm.outcome import Outcome, RequestRecord, Usage
from threadllm.progress import Totals
from threadllm.quota import Breaker, Quota, Snapshot
from threadllm.retry import Retry

if TYPE_CHECKING:
    from threadllm.transport import DeadlineExceeded, Session, session

__version__ = "0.1.0"

__all__ = [
    "Breaker",
    "BreakerOpen",
    "CallCancelled",
    "Concurrent",
    "DeadlineExceeded",
    "Dispatcher",
    "EarlierFailure",
    "Journal",
    "JournalError",
    "OptionError",
    "Outcome",
    "Quota",
    "RemoteError",
    "RequestRecord",
    "Retry",
    "RunStopped",
    "Session",
    "Snapshot",
    "ThreadLLMError",
    "TooManyFailures",
    "Totals",
    "Usage",
    "WorkerLost",
    "concurrent",
    "connect",
    "deadline",
    "map",
    "session",
]


def __getattr__(name: str) -> object:
    """Import what brings others' packages along, and what is for tests, when it is asked for."""
    if name in {"bench", "simulator", "testing"}:
        return import_module(f"{__name__}.{name}")
    if name in {"DeadlineExceeded", "Session", "session"}:
        from threadllm.transport import DeadlineExceeded, Session, session

        return {one.__name__: one for one in (DeadlineExceeded, Session, session)}[name]
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
