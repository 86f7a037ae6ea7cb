"""Everything this package raises on its own account.

    ThreadLLMError
    ├── BreakerOpen         a request was not sent, as too many failed before it: see below
    ├── CallCancelled       a call was told to stop while it was parked
    ├── CallExpired         a call's deadline has passed: see below
    ├── InputError          a line that cannot be used: between readers, never raised to callers
    ├── JournalError        a journal cannot be written, or read on
    ├── OptionError         an argument, an option or an environment that cannot be used
    ├── ReportedError       an item's error of which there is only what was told
    │   ├── EarlierFailure      it failed in an earlier run, and is not run again
    │   └── RemoteError         it failed in another process, with what cannot be made again here
    ├── RunStopped          a run ended before its input did
    │   └── TooManyFailures     more of its items failed than it was allowed
    └── WorkerLost          a worker process has died, or none can be started

What the user's function raised, and what `requests` raised in it, is handed over as it is.
InputError and OptionError are also `ValueError`, as a caller of such functions would expect.

What callers see of a deadline is `threadllm.DeadlineExceeded`, a CallExpired that is also a
`requests.Timeout`. It stands with what knows requests: in `threadllm.transport`.
"""

from __future__ import annotations

from concurrent.futures import BrokenExecutor


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


class JournalError(ThreadLLMError):
    """A journal cannot be written, as the disk is full, say, or something in it not be read.

    Attributes:
        path: The file.
        reason: Why.
    """

    def __init__(self, path: str, reason: str, advice: str = "") -> None:
        super().__init__(path, reason, advice)
        self.path = path
        self.reason = reason
        self._advice = advice

    def another(self) -> JournalError:
        """The same once more, as a traceback belongs to who raises it."""
        return JournalError(self.path, self.reason, self._advice)

    def __str__(self) -> str:
        return " ".join(filter(None, (f"journal {self.path}: {self.reason}.", self._advice)))


class OptionError(ThreadLLMError, ValueError):
    """An option cannot be used; the text names it and says what would do."""


class ReportedError(ThreadLLMError):
    """An item failed with an error of which there is only what was told, or written down.

    Attributes:
        kind: The name of the type of its error.
        message: What that said, without keys.
        status: The HTTP status that it carried, if it did.
        body: The JSON of the provider's answer, without keys, if there was one.
        request_id: The provider's own name for the exchange, if it gave one.
    """

    def __init__(
        self,
        kind: str,
        message: str,
        status: int | None = None,
        body: object = None,
        request_id: str | None = None,
    ) -> None:
        super().__init__(kind, message, status, body, request_id)
        self.kind = kind
        self.message = message
        self.status = status
        self.body = body
        self.request_id = request_id

    def __str__(self) -> str:
        return f"{self.kind}: {self.message}"


class EarlierFailure(ReportedError):
    """An item failed in an earlier run, as its journal remembers, and was not run again."""


class RemoteError(ReportedError):
    """An item failed in another process, with an error that cannot be made again in this one.

    Its cause has the traceback, as text.

    Attributes:
        retry_after: Seconds that the provider asked to wait, if it did.
    """

    retry_after: float | None = None


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


class WorkerLost(ThreadLLMError, BrokenExecutor):
    """A worker process has died, or none can be started.

    An item is failed with it only if its call was the only one in a worker that died, and others
    had died of it before. All that is left is, if workers die as soon as they start.

    Attributes:
        while_starting: Whether it never came to work.
    """

    def __init__(self, reason: str, *, while_starting: bool = False) -> None:
        super().__init__(reason)
        self.while_starting = while_starting
