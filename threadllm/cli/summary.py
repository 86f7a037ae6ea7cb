"""What a run says on stderr: refused lines as they come, at its end the sums and some failures."""

from __future__ import annotations

from typing import TYPE_CHECKING

from threadllm.jobs import Job, dumps
from threadllm.progress import say

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from threadllm.jobs import Identity, Refused
    from threadllm.progress import Totals

_SHOWN = 5  # failures that are told one by one


class Report:
    """Keeps what the summary needs, whose size does not grow with the input."""

    def __init__(self, output: str) -> None:
        self._output = "stdout" if output == "-" else output
        self._ok = self._failed = self._refused = 0
        self._empty = 0  # of those that are ok, how many have null as their value
        self._first_failures: list[str] = []
        self._stopped_by: str | None = None

    @property
    def all_ok(self) -> bool:
        """Whether every line of the input has its value in the output."""
        return not (self._failed or self._refused or self._stopped_by)

    def accepted(self, entries: Iterable[Job | Refused]) -> Iterator[Job]:
        """The jobs among the entries; lines that cannot be used are told at once."""
        for entry in entries:
            if isinstance(entry, Job):
                yield entry
            else:
                self._refused += 1
                say(f"refused: {_on_one_line(str(entry))}")

    def count(self, name: Identity, problem: str | None, *, empty: bool = False) -> None:
        """Count an item that has its line in the output, with what went wrong, if anything did."""
        if problem is None:
            self._ok += 1
            self._empty += empty
        else:
            self._failed += 1
            if len(self._first_failures) < _SHOWN:
                self._first_failures.append(f"  {dumps(name)}: {_on_one_line(problem)}")

    def stopped(self, why: str) -> None:
        """Remember what ended the run before its time; the first reason stands."""
        self._stopped_by = self._stopped_by or why

    def text(self, totals: Totals, seconds: float) -> str:
        """Items, requests, tokens and time, and the first failures.

        Calls that ran side by side shared a machine, so that their sum is the most that they
        would have taken one after another.
        """
        items = _many(self._ok + self._failed, "item")
        refused = f"; {_many(self._refused, 'line')} refused" if self._refused else ""
        done = f"{self._ok:,} ok, {self._failed:,} failed"
        if totals.remembered:
            done += f", {totals.remembered:,} of them remembered"
        retries = _many(totals.retries, "retry", "retries")
        lines = [
            f"{items}: {done}{refused} -> {self._output}",
            f"{_many(totals.requests, 'request')}, {retries}, {_many(totals.throttled, '429')}",
            f"{totals.input_tokens:,} tokens in, {totals.output_tokens:,} tokens out",
            f"{seconds:.1f} s; one after another up to {totals.busy:.1f} s",
        ]
        if totals.abandoned:
            lines.append(
                f"{_many(totals.abandoned, 'call')} abandoned at the deadline, as no request of "
                "theirs could be broken off"
            )
        if self._ok and self._empty == self._ok and not totals.requests:
            lines.append("no request was made and no value returned: is an error swallowed before?")
        if self._first_failures:
            lines += ["failed:", *self._first_failures]
        if self._failed > _SHOWN:
            lines.append(f"  and {self._failed - _SHOWN:,} more: see {self._output}")
        if self._stopped_by is not None:
            lines.append(f"stopped: {self._stopped_by}. What is written is kept")
        return "".join(f"{line}\n" for line in lines)


def _many(number: int, one: str, several: str | None = None) -> str:
    return f"{number:,} {one if number == 1 else several or one + 's'}"


def _on_one_line(text: str) -> str:
    """The text without line breaks, and without what would steer a terminal."""
    return "".join(c if c.isprintable() else " " for c in " ".join(text.split()))
