"""All levels of a sweep: as a table, as JSON, as a chart."""

from __future__ import annotations

import json
import os
import platform
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from threadllm.bench.level import Level, Percentiles

_SHOWN = 5  # kinds of errors that the table tells
_COLUMNS = (
    "at a time",
    "requests/s",
    "tokens/s",
    "first token p50",
    "p99",
    "answer p50",
    "p90",
    "p99",
    "ok",
    "failed",
    "429s",
)


@dataclass(frozen=True, slots=True)
class Report:
    """What a sweep came to.

    Attributes:
        levels: In the order in which they were measured.
        about: What was measured, in words; goes into JSON, and heads the table and the chart.
    """

    levels: tuple[Level, ...]
    about: Mapping[str, str] = field(default_factory=dict)

    @property
    def title(self) -> str:
        """What it is about, on one line."""
        return ", ".join(self.about.values())

    def table(self) -> str:
        """A row for each level, and below it the errors that were met. Durations are seconds."""
        rows = [_COLUMNS, *map(_row, self.levels)]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = ["  ".join(map("{:>{}}".format, row, widths)) for row in rows]
        return "\n".join([*filter(None, [self.title]), *lines, *self._errors()]) + "\n"

    def write(self, path: str | Path) -> None:
        """Write it as JSON, with the machine it was measured from.

        Raises:
            OSError: The file cannot be written.
        """
        content: dict[str, Any] = {
            **self.about,
            "cores": os.cpu_count(),
            "machine": platform.machine(),
            "python": platform.python_version(),
            "threadllm": version("threadllm"),
            "levels": [level.as_dict() for level in self.levels],
        }
        Path(path).write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")

    def draw(self, path: str | Path) -> None:
        """Draw throughput and durations by how many were in flight; the suffix says in what format.

        Raises:
            OptionError: There is no matplotlib, or it knows no such format.
            OSError: The file cannot be written.
        """
        from threadllm.bench.chart import draw

        draw(self.levels, self.title, Path(path))

    def _errors(self) -> list[str]:
        met: dict[str, int] = {}
        for level in self.levels:
            for error, times in level.errors.items():
                met[error] = met.get(error, 0) + times
        shown = sorted(met.items(), key=lambda pair: -pair[1])[:_SHOWN]
        return [f"{times:,} x {' '.join(error.split())}" for error, times in shown]


def _row(level: Level) -> tuple[str, ...]:
    first, latency = level.first_token, level.latency
    return (
        f"{level.concurrency:,}",
        f"{level.requests_per_second:,.2f}",
        f"{level.tokens_per_second:,.0f}" if level.output_tokens else "-",
        *_seconds(first, "p50", "p99"),
        *_seconds(latency, "p50", "p90", "p99"),
        f"{level.ok:,}",
        f"{level.failed:,}",
        f"{level.throttled:,}",
    )


def _seconds(figures: Percentiles | None, *names: str) -> list[str]:
    return ["-" if figures is None else f"{getattr(figures, name):.3f}" for name in names]
