"""Pictures of results: lines where there are several loads, bars where there is one.

threadllm is drawn broad and in its own colour; the others differ by marker and dash, too, so that
a print in grey tells them apart.
"""

from __future__ import annotations

from itertools import cycle
from typing import TYPE_CHECKING, Any

import matplotlib as mpl

mpl.use("Agg")
from matplotlib import pyplot as plt
from matplotlib.ticker import LogLocator, NullFormatter
from results import short

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from matplotlib.axes import Axes
    from results import Result

OURS = "#d1495b"
OTHERS = ("#264653", "#2a9d8f", "#6d597a", "#8a6d3b", "#457b9d", "#7f7f7f", "#3a5a40", "#b08968")
MARKERS = "s^vDPX<>"
DASHES = ("--", "-.", ":", (0, (5, 1)), (0, (3, 1, 1, 1)), (0, (1, 1)))
OUR_NAME = "threadllm"
_left = zip(cycle(OTHERS), cycle(MARKERS), cycle(DASHES), strict=False)
_taken: dict[str, Any] = {}  # a style for each contender, the same on all charts


def draw(result: Result, folder: Path, kinds: Sequence[str] = ("png", "svg")) -> list[Path]:
    """A PNG and an SVG of a result; where they are."""
    loads = result.loads
    lines = len(loads) > 1
    height = 5.2 if lines else 1.4 + 0.42 * len(result.figures)
    figure, axes = plt.subplots(figsize=(8.5, height), layout="constrained")
    (_draw_lines if lines else _draw_bars)(axes, result)
    title = [result.title]
    if result.axis and not lines:
        title += [f"{loads[0]} {result.axis}"]
    axes.set_title(", ".join(title), loc="left", fontweight="bold")
    paths = [folder / f"{result.name}.{kind}" for kind in kinds]
    for path in paths:
        figure.savefig(path, dpi=150)
    plt.close(figure)
    return paths


def _draw_lines(axes: Axes, result: Result) -> None:
    loads = result.loads
    for contender, by_load in result.figures.items():
        style = _style(contender)
        places = [loads.index(load) for load in by_load]
        spreads = [spread for load in by_load if (spread := result.spread(contender, load))]
        axes.plot(places, [one.median for one in spreads], label=contender, **style)
        axes.fill_between(
            places,
            [one.least for one in spreads],
            [one.greatest for one in spreads],
            color=style["color"],
            alpha=0.15,
            linewidth=0,
        )
    if result.ideal is not None:
        axes.axhline(result.ideal, color="black", linewidth=1, label="ideal")
    axes.set_yscale("log")
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_major_formatter("{x:g}")
    axes.yaxis.set_minor_formatter(NullFormatter())
    axes.set_xticks(range(len(loads)), loads)
    axes.set_xlabel(result.axis)
    axes.set_ylabel(f"{result.unit} ({_direction(result)})")
    axes.grid(visible=True, which="major", alpha=0.3)
    axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False)


def _style(contender: str) -> dict[str, Any]:
    if contender.startswith(OUR_NAME):
        return {"color": OURS, "marker": "o", "linewidth": 3, "zorder": 3}
    if contender not in _taken:
        color, marker, dash = next(_left)
        _taken[contender] = {"color": color, "marker": marker, "linestyle": dash, "linewidth": 1.5}
    style: dict[str, Any] = _taken[contender]
    return style


def _draw_bars(axes: Axes, result: Result) -> None:
    (load,) = result.loads
    spreads = {name: result.spread(name, load) for name in result.figures}
    shown = [(name, spread) for name, spread in spreads.items() if spread][::-1]
    medians = [spread.median for _, spread in shown]
    colors = [OURS if name.startswith(OUR_NAME) else "#9aa5b1" for name, _ in shown]
    bars = axes.barh([name for name, _ in shown], medians, color=colors)
    axes.bar_label(bars, [f" {short(median)}" for median in medians])
    if result.ideal is not None:
        axes.axvline(result.ideal, color="black", linewidth=1, label="ideal")
        axes.legend(loc="lower right", frameon=False)
    axes.margins(x=0.12)
    axes.set_xlabel(f"{result.unit} ({_direction(result)})")


def _direction(result: Result) -> str:
    return "more is better" if result.more_is_better else "less is better"
