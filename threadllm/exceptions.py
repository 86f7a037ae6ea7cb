"""Everything this package raises on its own account.

    ThreadLLMError
    ├── BreakerOpen         a request was not sent, as too many failed before it: see below
    ├── CallCancelled       a call was told to stop while it was parked
    ├── CallExpired         a call's deadline has passed: see below
    ├── InputError          a line that cannot be used: between readers, never raised to callers
    ├── OptionError         an argument, an option or an environment that cannot be used
    └── RunStopped          a run ended before its input did: it was cancelled, or the provider
        │                   refuses for good: a key, a credit, a permission
        └── TooManyFailures more of its items failed than was allowed

What the user's function raised, and what `requests` raised in it, is handed over as it is.
InputError and OptionError are also `ValueError`, as a caller of such functions would expect.

What callers see of a deadline is `threadllm.DeadlineExceeded`, a CallExpired that is also a
`requests.Timeout`. It stands with what knows requests: in `threadllm.transport`.
"""

from __future__ import annotations


class ThreadLLMError(Exception):
    """The root of this package's own errors."""


class BreakerOpen(ThreadLLMError, ConnectionError):
    """A request was not sent: too many to its origin failed, and the quota says not to wait.

    What functions that use requests are raised is also a `requests.ConnectionError`.
    """


class CallCancelled(ThreadLLMError):
    """The dispatcher was told to stop while a call waited for its turn, a slot or a retry."""


class CallExpired(ThreadLLMError, TimeoutError):
    """A call's deadline has passed: between rooms. Callers are raised a `DeadlineExceeded`."""


class InputError(ThreadLLMError, ValueError):
    """A line of the input cannot be used; the text says why, and what to do.

    It stays within reading: whoever reads a file is handed a `threadllm.jobs.Refused` for it, which
    names the line.
    """


class OptionError(ThreadLLMError, ValueError):
    """An option cannot be used; the text names it and says what would do."""


class RunStopped(ThreadLLMError):
    """A run ended before its input did: what is done is kept, the rest not begun, or not finished.

    A provider refuses for good, so that no further item would fare better: a key is not accepted,
    no credit is left, a permission is lacking. Its `__cause__` is then the error of the item that
    met that. Or the run was cancelled.

    Attributes:
        reason: Why, as the provider says it if it was the provider.
        advice: What to do about it.
    """

    def __init__(self, reason: str, advice: str = "", done: str = "") -> None:
        super().__init__(reason, advice, done)
        self.reason = reason
        self.advice = advice
        self._done = done

    def __str__(self) -> str:
        return " ".join(filter(None, (f"{self.reason.rstrip('. ')}.", self.advice, self._done)))


class TooManyFailures(RunStopped):
    """More items of a run have failed than was allowed; its `__cause__` is the last one's error."""
