"""Progress where a bar would be noise: a plain line now and then, with the time that is left."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from threadllm.clock import Clock

_INTERVAL = 10.0  # seconds between two lines


class Lines:
    """Has the face of a tqdm bar, as far as a dispatcher uses it.

    Args:
        write: Writes a line.
        clock: Says when.
        total: How many items there will be, if that is known.

    Attributes:
        total: Likewise, as it may change.
        n: How many there were.
    """

    def __init__(
        self,
        write: Callable[[str], object],
        clock: Clock,
        total: int | None = None,
        **_of_tqdm: Any,
    ) -> None:
        self.total = total
        self.n = 0
        self._write = write
        self._clock = clock
        self._began = self._written = clock.monotonic()
        self._figures = ""

    def set_postfix_str(self, figures: str, *, refresh: bool) -> None:  # noqa: ARG002  # as tqdm
        """Take in the other figures."""
        self._figures = figures

    def update(self, by: int) -> None:
        """Count."""
        self.n += by

    def refresh(self) -> None:
        """Write a line, if it is time."""
        now = self._clock.monotonic()
        if now - self._written < _INTERVAL:
            return
        self._written = now
        rate = self.n / (now - self._began)
        whole = "?" if self.total is None else self.total
        eta = f" eta {_duration((self.total - self.n) / rate)}" if self.total and self.n else ""
        self._write(f"{self.n}/{whole} {self._figures} {rate:.1f}/s{eta}")

    def close(self) -> None:
        """Nothing: the summary follows."""


def _duration(seconds: float) -> str:
    """Such as 9s, 1m04s, 2h00m."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours}h{minutes:02}m"
    return f"{minutes}m{rest:02}s" if minutes else f"{rest}s"
