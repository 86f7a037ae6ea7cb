"""What a run is shown on: a tqdm bar on a terminal or in a notebook, plain lines elsewhere.

tqdm is imported when a bar is first asked for.
"""

from __future__ import annotations

import sys
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TextIO

    from threadllm.clock import Clock
    from threadllm.progress.tally import Totals


class Display(Protocol):
    """What a painter paints on.

    Attributes:
        interval: Seconds between two paintings.
    """

    interval: float

    def show(self, totals: Totals, expected: int | None, note: str = "") -> None:
        """Paint what has come of the expected items, None where their number is not known."""

    def close(self) -> None:
        """Leave the last painting where it is."""


def figures(totals: Totals, note: str = "") -> str:
    """What stands beside the count: ok and failed, a note, and of the rest what is not zero.

    The note says what all wait for: a narrow terminal must not cut it off.
    """
    shown = {
        "retrying": totals.retrying,
        "parked": totals.parked,
        "429s": totals.throttled,
        "abandoned": totals.abandoned,
        "remembered": totals.remembered,
        "tokens": totals.input_tokens + totals.output_tokens,
    }
    rest = [f"{name}={figure}" for name, figure in shown.items() if figure]
    return " ".join([f"ok={totals.ok}", f"failed={totals.failed}", *filter(None, [note]), *rest])


class Bar:
    """A tqdm bar, or what a factory of the user's makes in its place."""

    interval = 0.2

    def __init__(self, factory: Callable[..., Any]) -> None:
        self._bar = factory(total=None, unit="item")

    def show(self, totals: Totals, expected: int | None, note: str = "") -> None:
        """See `Display.show`."""
        self._bar.total = expected
        self._bar.set_postfix_str(figures(totals, note), refresh=False)
        self._bar.update(totals.done - self._bar.n)
        self._bar.refresh()

    def close(self) -> None:
        """See `Display.close`."""
        self._bar.close()


class Lines:
    """A line on stderr now and then, for logs."""

    interval = 10.0

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._began = clock.monotonic()

    def show(self, totals: Totals, expected: int | None, note: str = "") -> None:
        """See `Display.show`."""
        elapsed = self._clock.monotonic() - self._began
        rate = totals.done / elapsed if elapsed else 0.0
        whole = "?" if expected is None else expected
        sys.stderr.write(f"{totals.done}/{whole} {rate:.1f} items/s {figures(totals, note)}\n")
        sys.stderr.flush()

    def close(self) -> None:
        """See `Display.close`."""


def bar_on(stream: TextIO) -> Callable[..., Any]:
    """What makes a tqdm bar on a stream, to be passed as `progress=`."""
    from tqdm.auto import tqdm

    return partial(tqdm, file=stream, dynamic_ncols=True)


def display(progress: bool | Callable[..., Any], clock: Clock) -> Display:
    """The display that suits: a user's factory, a bar where one can be seen, or lines."""
    if callable(progress):
        return Bar(progress)
    from tqdm.auto import tqdm

    in_notebook = any(base.__name__ == "tqdm_notebook" for base in tqdm.__mro__)
    if in_notebook or sys.stderr.isatty():
        return Bar(partial(tqdm, dynamic_ncols=True))
    return Lines(clock)
