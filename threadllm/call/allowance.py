"""How many items of a run may fail, as a number or as a share, before it is stopped."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from threadllm.exceptions import OptionError, TooManyFailures

if TYPE_CHECKING:
    from collections.abc import Callable

_SHARE = re.compile(r"\s*(\d+(?:\.\d+)?)\s*%\s*", re.ASCII)
_WHOLE = 100  # per cent
_FEW = 100  # items; of fewer that have ended a share is reckoned as if they were so many


@dataclass(frozen=True, slots=True)
class Allowance:
    """What was allowed.

    Attributes:
        said: As the user wrote it.
        number: Items that may fail; of a share, those of 100.
        is_share: Whether it is one.
    """

    said: str
    number: float
    is_share: bool = False

    def covers(self, failed: int, ended: int) -> bool:
        """Whether so many failures are allowed, of so many items that have ended."""
        most = self.number * max(ended, _FEW) / _WHOLE if self.is_share else self.number
        return failed <= most

    def exceeded(self, failed: int, error: BaseException) -> Callable[[str], TooManyFailures]:
        """Makes the error of a run in which too many have failed, the last one with `error`."""

        def make(done: str) -> TooManyFailures:
            items = "1 item has" if failed == 1 else f"{failed:,} items have"
            reason = f"{items} failed, more than {self.said} allows"
            stopped = TooManyFailures(reason, done=done)
            stopped.__cause__ = error
            return stopped

        return make


def number_or_share(text: str) -> int | str:
    """What a shell has as text: a number of failures, or a share, which stays as it is."""
    return int(text) if text.isascii() and text.isdigit() else text


def checked_allowance(
    max_failures: int | str | None, *, fail_fast: bool = False
) -> Allowance | None:
    """What `max_failures=` and `fail_fast=` allow; None for any number of failures.

    Raises:
        OptionError: Neither a number nor a share, or both options at once.
    """
    if fail_fast:
        if max_failures is not None:
            raise OptionError("fail_fast and max_failures: give one; fail_fast is max_failures=0")
        return Allowance("fail_fast", 0)
    if max_failures is None:
        return None
    said = f"max_failures={max_failures!r}"
    if type(max_failures) is int and max_failures >= 0:
        return Allowance(said, max_failures)
    share = _SHARE.fullmatch(max_failures) if isinstance(max_failures, str) else None
    if share is None or float(share[1]) > _WHOLE:
        raise OptionError(f'{said}: give a whole number, 0 or more, or a share such as "5%"')
    return Allowance(said, float(share[1]), is_share=True)
