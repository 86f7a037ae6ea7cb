"""Forks: there is nobody in one but the thread that made it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

_REGISTER = [getattr(os, name) for name in ["register_at_fork"] if hasattr(os, name)]


def after_fork(act: Callable[[], object]) -> None:
    """Have something done in each fork of this process; never, where there are none (Windows)."""
    for register in _REGISTER:
        register(after_in_child=act)


def is_fork_of(process: int | None) -> bool:
    """Whether this is a fork of that process; it is not, where that is None."""
    return process is not None and process != os.getpid()


def check_no_fork_of(process: int | None, who: str) -> None:
    """See that this is the process of those who work for a dispatcher.

    Raises:
        RuntimeError: It is a fork of theirs.
    """
    if is_fork_of(process):
        raise RuntimeError(
            f"this dispatcher's {who} are in process {process}, of which this one is a fork: "
            "make a dispatcher in the process that uses it"
        )
