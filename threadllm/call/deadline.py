"""How long a call may take: what those who submit it say, and what that comes to.

A deadline is a moment, and belongs to one item. It is reckoned from when a thread first takes the
item up: what waits in a backlog uses up nothing, or the end of a long input would never be run.
"""

from __future__ import annotations

import math
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, NamedTuple

from threadllm.exceptions import OptionError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager

seconds_here: ContextVar[float | None] = ContextVar("threadllm_deadline", default=None)
"""The seconds that each call submitted in this context has; None where nothing was said."""


class Limit(NamedTuple):
    """When an item must have ended.

    Attributes:
        moment: Monotonic seconds; infinite if there is no such time.
        seconds: How long it has: from its beginning on, or from when its run was cancelled.
        of_grace: Whether it is what a cancelled run leaves to those in flight, and no deadline.
    """

    moment: float = math.inf
    seconds: float = math.inf
    of_grace: bool = False

    def __str__(self) -> str:
        if self.of_grace:
            return f"the run was cancelled, and the {self.seconds:g} s of grace have passed"
        return f"the call's deadline of {self.seconds:g} s has passed"


NO_LIMIT = Limit()


def checked_seconds(seconds: float) -> float:
    """Seconds that a call may have.

    Raises:
        OptionError: It could never end in time, or it is no number.
    """
    try:
        sensible = math.isfinite(seconds) and seconds > 0
    except TypeError:
        sensible = False
    if not sensible:
        raise OptionError(f"deadline={seconds!r}: give seconds, more than 0")
    return seconds


def deadline(seconds: float) -> AbstractContextManager[None]:
    """Give each call that is submitted in a `with` block this many seconds as a whole.

    It stands in place of the dispatcher's own deadline, and counts for what is submitted by
    `submit`, or by a `map` or `outcomes` that is called within the block, however late that is
    read. Within another such block the shorter deadline counts. It is not heeded by a call that is
    running already, which may have a deadline of its own, and whatever a call submits is bounded
    by what is left of that.

    Args:
        seconds: From when a thread first takes the item up. Waiting for a slot, parking, retries,
            and further calls of the item are included.

    Raises:
        OptionError: Not more than 0, or no number.
    """
    return _within(checked_seconds(seconds))


@contextmanager
def _within(seconds: float) -> Iterator[None]:
    outer = seconds_here.get()
    token = seconds_here.set(seconds if outer is None else min(seconds, outer))
    try:
        yield
    finally:
        seconds_here.reset(token)
