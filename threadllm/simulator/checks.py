"""What every option of the simulator is held against, in one wording.

The room must not know which option it looks at, only its name.
"""

from __future__ import annotations

import math

from threadllm.exceptions import OptionError


def at_least(minimum: float, **options: float | None) -> None:
    """Refuse figures that are below `minimum` or not finite; None stands for "not set".

    Raises:
        OptionError: Names the first option that cannot be used.
    """
    for name, value in options.items():
        if value is not None and not (minimum <= value < math.inf):
            raise OptionError(f"{name}={value!r}: give a finite number of at least {minimum}")


def positive(**options: float) -> None:
    """Refuse figures that are zero, negative or not finite.

    Raises:
        OptionError: Names the first option that cannot be used.
    """
    for name, value in options.items():
        if not (0 < value < math.inf):
            raise OptionError(f"{name}={value!r}: give a finite number above 0")


def above_zero(**options: float | None) -> None:
    """Refuse figures that are zero, negative or not finite; None stands for "not set".

    Raises:
        OptionError: Names the first option that cannot be used.
    """
    for name, value in options.items():
        if value is not None and not (0 < value < math.inf):
            raise OptionError(f"{name}={value!r}: give a finite number above 0, or None for none")
