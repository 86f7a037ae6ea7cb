"""What is to be done in a fork: there is nobody in it but the thread that made it."""

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
