"""What was measured: figures by contender and load, as a table and as a file."""

from __future__ import annotations

import json
import statistics
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


class Spread(NamedTuple):
    """One figure over the rounds."""

    median: float
    least: float
    greatest: float


def spread_of(figures: Sequence[float]) -> Spread:
    """Median, least and greatest."""
    return Spread(statistics.median(figures), min(figures), max(figures))


@dataclass(frozen=True, slots=True)
class Result:
    """What one scenario came to.

    Attributes:
        name: What the command line calls it.
        title: What a chart is headed with.
        unit: Of the figures.
        axis: What the loads are.
        more_is_better: Whether a greater figure is the better one.
        ideal: What could be reached at best, in the same unit; None where nobody knows.
        figures: By contender and load, one for each round.
    """

    name: str
    title: str
    unit: str
    axis: str
    more_is_better: bool
    ideal: float | None = None
    figures: dict[str, dict[str, list[float]]] = field(default_factory=dict)

    def add(self, contender: str, load: str, figure: float) -> None:
        """Take in the figure of a round."""
        self.figures.setdefault(contender, {}).setdefault(load, []).append(figure)

    def spread(self, contender: str, load: str) -> Spread | None:
        """Median, least and greatest; None where the contender had no turn."""
        figures = self.figures.get(contender, {}).get(load)
        return None if figures is None else spread_of(figures)

    @property
    def loads(self) -> list[str]:
        """In the order in which they came."""
        return [*dict.fromkeys(load for loads in self.figures.values() for load in loads)]

    def table(self) -> str:
        """Contenders to the left; a median for each load, and between what the rounds were."""
        heads = [f"{self.axis} {load}".strip() for load in self.loads]
        rows = [["", *heads]] if any(heads) else []
        for contender in self.figures:
            spreads = (self.spread(contender, load) for load in self.loads)
            rows.append([contender, *(cell(spread) for spread in spreads)])
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = [
            "   ".join([f"{row[0]:<{widths[0]}}", *map("{:>{}}".format, row[1:], widths[1:])])
            for row in rows
        ]
        ideal = "" if self.ideal is None else f", ideally {short(self.ideal)}"
        return "\n".join([f"{self.title} ({self.unit}{ideal})", *map(str.rstrip, lines)])


def cell(spread: Spread | None) -> str:
    """A median, and from what to what the rounds went."""
    if spread is None:
        return "-"
    return f"{short(spread.median)} ({short(spread.least)} to {short(spread.greatest)})"


def short(figure: float) -> str:
    """Three digits of it, or all before the point."""
    return f"{figure:,.0f}" if abs(figure) >= 100 else f"{figure:.3g}"  # noqa: PLR2004


def write(results: Sequence[Result], path: Path, **about: Any) -> None:
    """All figures, and what they depend on, as JSON."""
    content = {**about, "scenarios": [asdict(one) for one in results]}
    path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def read(path: Path) -> tuple[dict[str, Any], list[Result]]:
    """What was written: all that is not a result, and the results."""
    about = json.loads(path.read_text(encoding="utf-8"))
    return about, [Result(**one) for one in about.pop("scenarios")]
