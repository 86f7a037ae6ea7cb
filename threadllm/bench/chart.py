"""The picture of a sweep. Imports matplotlib, which no other room does, and only to draw."""

from __future__ import annotations

from typing import TYPE_CHECKING

from threadllm.exceptions import OptionError

try:
    from matplotlib.figure import Figure
except ImportError as error:
    raise OptionError(
        f"charts need {error.name or error}: pip install 'threadllm[bench]'"
    ) from None

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from matplotlib.axes import Axes

    from threadllm.bench.level import Level

_LINES = (  # what, of which durations, colour, marker, dash
    ("first token, p50", "first_token", "p50", "#2a9d8f", "o", "-"),
    ("first token, p99", "first_token", "p99", "#2a9d8f", "s", ":"),
    ("answer, p50", "latency", "p50", "#264653", "o", "-"),
    ("answer, p90", "latency", "p90", "#264653", "^", "--"),
    ("answer, p99", "latency", "p99", "#264653", "s", ":"),
)


def check(path: Path) -> None:
    """Whether a chart can be drawn there, before anything is measured for it.

    Raises:
        OptionError: No such format is known.
    """
    known = Figure().canvas.get_supported_filetypes()
    if path.suffix.removeprefix(".") not in known:
        raise OptionError(f"{path}: name it .png, .svg or .pdf")


def draw(levels: Sequence[Level], title: str, path: Path) -> None:
    """Answers a second to the left, seconds to the right, by how many were in flight.

    Raises:
        OptionError: No such format is known.
        OSError: The file cannot be written.
    """
    check(path)
    figure = Figure(figsize=(11, 4.6), layout="constrained")
    left, right = figure.subplots(1, 2)
    _draw_throughput(left, levels)
    _draw_durations(right, levels)
    figure.suptitle(title, x=0.01, ha="left", fontweight="bold")
    figure.savefig(path, dpi=150)


def _draw_throughput(axes: Axes, levels: Sequence[Level]) -> None:
    figures = [level.requests_per_second for level in levels]
    axes.plot(range(len(figures)), figures, color="#d1495b", marker="o", linewidth=3)
    for place, figure in enumerate(figures):
        axes.annotate(
            f"{figure:,.3g}", (place, figure), (-5, 7), textcoords="offset points", ha="right"
        )
    axes.set_ylabel("answers a second (more is better)")
    axes.margins(x=0.15, y=0.15)
    axes.set_ylim(bottom=0)
    _label_levels(axes, levels)


def _draw_durations(axes: Axes, levels: Sequence[Level]) -> None:
    for what, durations, percentile, color, marker, dash in _LINES:
        found = [getattr(level, durations) for level in levels]
        places = [place for place, one in enumerate(found) if one is not None]
        if places:
            figures = [getattr(found[place], percentile) for place in places]
            axes.plot(places, figures, color=color, marker=marker, linestyle=dash, label=what)
            axes.legend(frameon=False)
    axes.set_ylabel("seconds (less is better)")
    axes.set_ylim(bottom=0)
    _label_levels(axes, levels)


def _label_levels(axes: Axes, levels: Sequence[Level]) -> None:
    labels = [f"{level.concurrency:,}" for level in levels]
    axes.set_xticks(range(len(labels)), labels)
    axes.set_xlabel("requests at a time")
    axes.grid(visible=True, alpha=0.3)
