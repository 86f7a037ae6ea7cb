"""A connection may die while nobody uses it, as a call to an LLM can take minutes."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from django.db import InterfaceError, OperationalError, connections

if TYPE_CHECKING:
    from collections.abc import Callable

R = TypeVar("R")


def once_more(act: Callable[[], R]) -> R:
    """What `act` returns. If it meets a dead connection, that is closed, and `act` called again.

    Not inside a transaction, of which the first part would be missing then.
    """
    try:
        return act()
    except (OperationalError, InterfaceError):
        opened = connections.all(initialized_only=True)
        dead = [one for one in opened if one.connection is not None and not one.is_usable()]
        if not dead or any(one.in_atomic_block for one in opened):
            raise
        for connection in dead:
            connection.close()
    return act()
