"""Numbers as a shell has them: argparse types, whose errors say what would do."""

from __future__ import annotations

import math
from argparse import ArgumentTypeError
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar

from threadllm.call import checked_allowance, number_or_share
from threadllm.dispatcher import MOST_WORKERS
from threadllm.exceptions import OptionError

if TYPE_CHECKING:
    from collections.abc import Callable

N = TypeVar("N", int, float)


@dataclass(frozen=True, slots=True)
class Number(Generic[N]):
    """A finite number of one kind, if it fits.

    Attributes:
        kind: Makes it of a text.
        fits: Whether it can be meant.
        wanted: What the error asks for.

    """

    kind: Callable[[str], N]
    fits: Callable[[N], bool]
    wanted: str

    def __call__(self, text: str) -> N:
        """The number that a text is.

        Raises:
            ArgumentTypeError: It is none that fits.
        """
        try:
            number = self.kind(text)
        except ValueError:
            number = None
        if number is None or not (math.isfinite(number) and self.fits(number)):
            raise ArgumentTypeError(f"{text!r}: give {self.wanted}")
        return number


WHOLE = Number(int, lambda n: n >= 0, "a whole number, 0 or more")
COUNT = Number(int, lambda n: n >= 1, "a whole number, 1 or more")
NUMBER = Number(float, lambda n: n >= 0, "a number, 0 or more")
POSITIVE = Number(float, lambda n: n > 0, "a number above 0")
SHARE = Number(float, lambda n: 0 <= n <= 1, "a share from 0 to 1")
PORT = Number(int, lambda n: 0 <= n < 2**16, "a port from 1 to 65535, or 0 for any that is free")
WORKERS = Number(
    int, lambda n: 1 <= n <= MOST_WORKERS, f"a whole number from 1 to {MOST_WORKERS:,}"
)
SEED = Number(int, lambda _: True, "a whole number")


def failures(text: str) -> int | str:
    """How many failures are allowed: a number, or a share with its sign.

    Raises:
        ArgumentTypeError: Neither.
    """
    allowed = number_or_share(text)
    try:
        checked_allowance(allowed)
    except OptionError:
        raise ArgumentTypeError(f"{text!r}: give a whole number, or a share such as 5%%") from None
    return allowed
