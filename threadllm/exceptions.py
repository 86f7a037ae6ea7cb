"""Everything this package raises on its own account.

    ThreadLLMError
    ├── CallCancelled       a call was told to stop while it was parked
    ├── InputError          a line that cannot be used: between readers, never raised to callers
    └── OptionError         an argument, an option or an environment that cannot be used

What the user's function raised, and what `requests` raised in it, is handed over as it is.
The last two are also `ValueError`, as a caller of such functions would expect.
"""

from __future__ import annotations


class ThreadLLMError(Exception):
    """The root of this package's own errors."""


class CallCancelled(ThreadLLMError):
    """The dispatcher was told to stop while a call waited for its turn, a slot or a retry."""


class InputError(ThreadLLMError, ValueError):
    """A line of the input cannot be used; the text says why, and what to do.

    It stays within reading: whoever reads a file is handed a `threadllm.jobs.Refused` for it, which
    names the line.
    """


class OptionError(ThreadLLMError, ValueError):
    """An option cannot be used; the text names it and says what would do."""
