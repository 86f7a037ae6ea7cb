"""Calls that run at once, in the thread that submits them: for tests, and to debug a function."""

from __future__ import annotations

from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_is_inline: ContextVar[bool] = ContextVar("threadllm-inline", default=False)


def is_inline() -> bool:
    """Whether a call that is submitted here and now is run here and now."""
    return _is_inline.get()


@contextmanager
def inline() -> Iterator[None]:
    """Run what this thread submits in this thread, one call after the other, while a block lasts.

    Slots, limits, retries and outcomes are as they always are, and no thread is begun for a call:
    breakpoints are met, and what a test has of its own in its thread, such as a database's
    transaction, is seen. What waits for another call waits for ever.
    """
    before = _is_inline.set(True)
    try:
        yield
    finally:
        _is_inline.reset(before)
