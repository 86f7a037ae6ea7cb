"""A run: what was submitted together, and is stopped where the provider refuses for good."""

from __future__ import annotations

import threading

from threadllm.exceptions import RunStopped

_GO_ON = "on_stop='continue' runs it all the same"


class Run:
    """One `map`, one `outcomes`, or what is submitted singly until that is stopped."""

    def __init__(self) -> None:
        self._lock = threading.RLock()  # guards all that follows
        self._ok = self._failed = 0  # items
        self._why: tuple[str, str, BaseException] | None = None  # read without; it is written once

    @property
    def is_stopped(self) -> bool:
        """Whether no more of it is to begin, or to be waited for."""
        return self._why is not None

    def count(self, *, ok: bool) -> None:
        """Count an item that has come to its end."""
        with self._lock:
            self._ok += ok
            self._failed += not ok

    def stop(self, reason: str, advice: str, error: BaseException) -> bool:
        """Stop it; whether it was going on.

        Args:
            reason: What the provider said.
            advice: What to do about it.
            error: Of the item that met it.
        """
        with self._lock:
            if self._why is None:
                self._why = reason, advice, error
                return True
            return False

    def error(self) -> RunStopped:
        """What it is stopped with, a new one each time: a traceback belongs to who raises it."""
        with self._lock:
            assert self._why is not None, "it is asked for once it is stopped"
            reason, advice, cause = self._why
            done = f"Done: {self._ok:,} ok, {self._failed:,} failed; the rest was not run. {_GO_ON}"
        error = RunStopped(reason, advice, done)
        error.__cause__ = cause
        return error
