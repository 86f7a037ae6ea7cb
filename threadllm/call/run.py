"""A run: what was submitted together, and may end before its input does.

It is stopped where no further item would fare better, or cancelled by somebody who wants no more.
Both leave the rest undone, neither ok nor failed.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from threadllm.exceptions import RunStopped

if TYPE_CHECKING:
    from collections.abc import Callable

    from threadllm.call.allowance import Allowance

    MakeError = Callable[[str], Exception]

_CANCELLED = "the run was cancelled"


class Run:
    """One `map`, one `outcomes`, or what is submitted singly until that is stopped.

    Args:
        allowance: How many of its items may fail; any number without one.
    """

    def __init__(self, allowance: Allowance | None = None) -> None:
        self._allowance = allowance
        self._lock = threading.RLock()  # guards all that follows
        self._ok = self._failed = 0  # items
        self._taken_up: set[object] = set()
        # What it is stopped with; written once, and read without the lock.
        self._make_error: MakeError | None = None
        self._is_cancelled = False

    @property
    def is_stopped(self) -> bool:
        """Whether no more of it is to begin, or to be waited for."""
        return self._make_error is not None

    @property
    def is_cancelled(self) -> bool:
        """Whether it is stopped because nobody wants more of it."""
        return self._is_cancelled

    def take_up(self, item: object) -> bool:
        """Count an item among those in progress, unless the run is stopped; whether it was not."""
        with self._lock:
            if self._make_error is None:
                self._taken_up.add(item)
                return True
            return False

    def put_down(self, item: object) -> None:
        """Count an item no more among those in progress."""
        with self._lock:
            self._taken_up.discard(item)

    def count(self, error: BaseException | None = None) -> bool:
        """Count an item that has come to its end; whether the run is stopped by its failure."""
        with self._lock:
            self._ok += error is None
            self._failed += error is not None
            allowance = self._allowance
            if error is None or allowance is None:
                return False
            if allowance.covers(self._failed, self._ok + self._failed):
                return False
            return self.stop(allowance.exceeded(self._failed, error))

    def stop(self, make_error: MakeError) -> bool:
        """Stop it; whether it was going on.

        Args:
            make_error: Makes what it is stopped with, of a sentence that says what is done. It is
                called each time anew, as a traceback belongs to who raises it.
        """
        with self._lock:
            if self._make_error is None:
                self._make_error = make_error
                return True
            return False

    def cancel(self) -> list[object]:
        """Stop it for those who want no more; the items in progress, of which no more will be."""
        with self._lock:
            if self._make_error is None:
                self._is_cancelled = True  # first: whoever sees that it is stopped asks why
                self.stop(lambda done: RunStopped(_CANCELLED, done=done))
            return [*self._taken_up]

    def error(self) -> Exception:
        """What it is stopped with."""
        with self._lock:
            assert self._make_error is not None, "it is asked for once it is stopped"
            return self._make_error(
                f"Done: {self._ok:,} ok, {self._failed:,} failed; the rest was not run."
            )
