"""Everything this package raises on its own account.

    ThreadLLMError
    ├── CallCancelled       a call was told to stop while it was parked
    ├── CallExpired         a call's deadline has passed: see below
    ├── InputError          a line that cannot be used: between readers, never raised to callers
    └── OptionError         an argument, an option or an environment that cannot be used

What the user's function raised, and what `requests` raised in it, is handed over as it is.
The last two are also `ValueError`, as a caller of such functions would expect.

What callers see of a deadline is `threadllm.DeadlineExceeded`, a CallExpired that is also a
`requests.Timeout`. It stands with what knows requests: in `threadllm.transport`.
"""

from __future__ import annotations


class ThreadLLMError(Exception):
    """The root of this package's own errors."""


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
