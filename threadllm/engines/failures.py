"""Errors, told in one process and raised in another.

What is raised is of the type that it was, if that can be made of the same arguments and says the
same; else a `threadllm.RemoteError`. Either has `status`, `retry_after`, `body` and `request_id`,
and the traceback of where it came up as its cause.
"""

from __future__ import annotations

import traceback
from contextlib import suppress
from importlib import import_module
from operator import attrgetter

from threadllm.clock import SYSTEM
from threadllm.engines.wire import Failure
from threadllm.exceptions import RemoteError
from threadllm.providers import details_of
from threadllm.redaction import redact, text_of

_PLAIN = (str, int, float, bool, type(None))
_LONGEST = 20_000  # characters of a traceback


def failure_of(error: BaseException) -> Failure:
    """What can be told of an error."""
    kind, details = type(error), details_of(error, now=SYSTEM.time())
    args = None
    if all(isinstance(arg, _PLAIN) for arg in error.args):
        args = tuple(redact(arg) if isinstance(arg, str) else arg for arg in error.args)
    return Failure(
        kind.__module__,
        kind.__qualname__,
        text_of(error),
        args,
        details,
        redact("".join(traceback.format_exception(error)))[-_LONGEST:],
    )


def error_of(failure: Failure) -> BaseException:
    """The error that was told of."""
    error = _made_again(failure)
    if error is None:
        error = RemoteError(
            f"{failure.module}.{failure.name}".removeprefix("builtins."), failure.message
        )
    with suppress(Exception):  # what refuses attributes does without
        for name in failure.details._fields:
            if getattr(error, name, None) is None:
                setattr(error, name, getattr(failure.details, name))
    error.__cause__ = _ElsewhereError(failure.traceback)
    return error


class _ElsewhereError(Exception):
    """What was printed where the error came up."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._text = text

    def __str__(self) -> str:
        return f"\n\n{self._text}"


def _made_again(failure: Failure) -> BaseException | None:
    if failure.args is None:
        return None
    with suppress(Exception):  # it is not to be had here, or is made of something else
        kind = attrgetter(failure.name)(import_module(failure.module))
        made = kind(*failure.args)
        if isinstance(made, BaseException) and text_of(made) == failure.message:
            return made
    return None
