"""The figures of a run, counted by every thread and read by whoever shows them."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Iterator

    from threadllm.outcome import Usage

Figure = Literal[
    "ok", "failed", "retrying", "parked", "requests", "retries", "throttled",
    "input_tokens", "output_tokens", "busy", "abandoned", "remembered",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Totals:
    """What a run has come to at one moment.

    Attributes:
        ok: Items that have a value.
        failed: Items that have an error.
        retrying: Items that wait for another call, and hold no thread.
        parked: Calls that wait inside, and hold no slot.
        requests: Exchanges that passed the transport.
        retries: Tries after a first one that were charged to their items.
        throttled: 429s met.
        input_tokens: Tokens in, as providers counted them.
        output_tokens: Tokens out, as providers counted them.
        busy: Seconds that calls ran, added up: the most that they would have taken one after
            another.
        abandoned: Items that failed at their deadline while their call went on, and may go on yet:
            it could not be broken off.
        remembered: Items, of those that are ok or failed, whose outcomes came from a journal.
    """

    ok: int = 0
    failed: int = 0
    retrying: int = 0
    parked: int = 0
    requests: int = 0
    retries: int = 0
    throttled: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    busy: float = 0.0
    abandoned: int = 0
    remembered: int = 0

    @property
    def done(self) -> int:
        """Items that have ended, one way or the other."""
        return self.ok + self.failed


class Tally:
    """Adds up a run's figures. Any thread may count."""

    def __init__(self) -> None:
        self._lock = threading.RLock()  # the collector may end a stream in here, which is counted
        self._figures: dict[str, Any] = asdict(Totals())  # guarded by _lock

    def count(self, figure: Figure, by: float = 1) -> None:
        """Add to one figure."""
        with self._lock:
            self._figures[figure] += by

    def count_request(self, usage: Usage) -> None:
        """Add an exchange, and what its answer says that it used."""
        with self._lock:
            self._figures["requests"] += 1
            self._figures["input_tokens"] += usage.input_tokens
            self._figures["output_tokens"] += usage.output_tokens

    @contextmanager
    def holding(self, figure: Figure) -> Iterator[None]:
        """Count one more for as long as the block lasts."""
        self.count(figure)
        try:
            yield
        finally:
            self.count(figure, -1)

    def totals(self) -> Totals:
        """All figures, of one moment."""
        with self._lock:
            return Totals(**self._figures)
