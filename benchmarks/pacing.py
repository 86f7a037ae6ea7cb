"""How close to what a provider allows each way of asking comes, and how often it is refused.

    python benchmarks/pacing.py [--quick] [--only SCENARIO ...] [--contenders A,B] [--items N]
                                [--rounds N] [--speed S]

The provider is the simulator, over HTTP. Its time and that of its clients passes faster than real
time, and so whatever a way computes takes the longer: the column "core" says how much of a core
its process took. Where that is near 1 a lower speed does it more justice, and ways that need much
of one have a lower speed from the outset. A way whose items fail has less to do, and may so come
below the ideal, which is that of all items. The peers are in the extra `peers`; those that are not
installed are named as such.
"""

from __future__ import annotations

import argparse
import math
import statistics
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from machine import LIBRARIES, machine, machine_line, version_of
from pacing_contenders import CONTENDERS, Contender, Plan
from pacing_scenarios import SCENARIOS, Scenario
from pacing_turns import Result, Turn, take_turn
from transport import Verdict, positive, print_table, print_verdicts

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

ITEMS, QUICK_ITEMS = 3_000, 300
SPEED = 20.0
COLUMNS = (
    "way",
    "x ideal",
    "min to max",
    "seconds",
    "429s an item",
    "429s of requests",
    "failed",
    "speed",
    "core",
    "ended",
)
JUDGED = CONTENDERS[0].name


@dataclass(frozen=True, slots=True)
class Asked:
    """What the command line asks for."""

    scenarios: Sequence[Scenario]
    contenders: Sequence[Contender]
    items: int
    rounds: int
    speed: float


@dataclass(frozen=True, slots=True)
class Series:
    """What became of one origin's items in all rounds, by one way."""

    about: str
    origin: int
    speed: float
    turns: list[Turn] = field(default_factory=list)

    def figures(self, figure: Callable[[Result], float]) -> list[float]:
        """A figure of each round."""
        return [figure(turn.results[self.origin]) for turn in self.turns]

    def median(self, figure: Callable[[Result], float]) -> float:
        """The middle one of the rounds' figures."""
        return statistics.median(self.figures(figure))

    @property
    def failed(self) -> int:
        """The most items that failed in a round: one round in which some do is one too many."""
        return round(max(self.figures(lambda result: result.failed)))

    @property
    def ended(self) -> str:
        """How the turns ended, if not all in time."""
        return ", ".join(sorted({turn.ended for turn in self.turns} - {"in time"})) or "in time"


def all_series(contender: Contender, scenario: Scenario, asked: Asked) -> list[Series]:
    """One way in one scenario: a series for each origin."""
    speed = asked.speed * min(scenario.pace, contender.pace)
    several = len(scenario.origins) > 1
    names = [
        contender.about + (f", {limits.requests_per_minute:,.0f}/min" if several else "")
        for limits in scenario.origins
    ]
    series = [Series(name, number, speed) for number, name in enumerate(names)]
    plan = Plan(scenario.at_a_time, len(scenario.origins), speed, scenario.quota)
    for _ in range(asked.rounds):
        turn = take_turn(contender, scenario, plan, asked.items)
        for one in series:
            one.turns.append(turn)
    return series


def row(series: Series) -> tuple[str, ...]:
    """What is printed of a series."""
    times = series.figures(lambda result: result.over_ideal)
    cores = [turn.core for turn in series.turns if turn.core is not None]
    return (
        series.about,
        f"{statistics.median(times):.3f}",
        f"{min(times):.3f} to {max(times):.3f}",
        f"{series.median(lambda result: result.makespan):.1f}",
        f"{series.median(lambda result: result.refused_an_item):.3f}",
        f"{series.median(lambda result: result.refused_share):.2%}",
        f"{series.failed:,}",
        f"{series.speed:g}",
        f"{statistics.median(cores):.2f}" if cores else "-",
        series.ended,
    )


def verdicts_on(scenario: Scenario, series: Sequence[Series]) -> list[Verdict]:
    """Whether the goals of a scenario are reached, for each origin; none are for peers."""
    verdicts = []
    for one in series:
        what = f"{scenario.name}: {one.about}"
        if scenario.most is not None:
            ratio = one.median(lambda result: result.over_ideal)
            goal, reached = f"at most {scenario.most:.2f} x", ratio <= scenario.most
            verdicts.append(Verdict(f"{what}, ideal", f"{ratio:.3f} x", goal, reached))
        if scenario.refused is not None:
            share = one.median(lambda result: result.refused_share)
            goal, reached = f"at most {scenario.refused:.1%}", share <= scenario.refused
            verdicts.append(Verdict(f"{what}, 429s of requests", f"{share:.2%}", goal, reached))
        verdicts.append(Verdict(f"{what}, failed", f"{one.failed:,}", "none", one.failed == 0))
    return verdicts


def measured(scenario: Scenario, asked: Asked) -> list[Verdict]:
    """Measure and print one scenario."""
    rows, verdicts, ideals = [], [], ""
    for contender in asked.contenders:
        if version_of(contender.name) is None:
            rows.append((contender.about, *["-"] * (len(COLUMNS) - 2), "not installed"))
            continue
        series = all_series(contender, scenario, asked)
        rows += map(row, series)
        ideals = " and ".join(f"{one.median(lambda result: result.ideal):.1f}" for one in series)
        if contender.name == JUDGED:
            verdicts += verdicts_on(scenario, series)
    print_table(
        f"{scenario.name}: {scenario.about}\n"
        f"{asked.items:,} items, {scenario.at_a_time} at a time, ideally {ideals or '-'} s, "
        f"rounds: {asked.rounds}",
        COLUMNS,
        rows,
    )
    sys.stdout.flush()  # the next one takes its time
    return verdicts


def above_zero(text: str) -> float:
    """A figure above zero."""
    if not 0 < (figure := float(text)) < math.inf:
        raise ValueError
    return figure


def asked_for() -> Asked:
    """The options of the command line."""
    scenarios = {scenario.name: scenario for scenario in SCENARIOS}
    contenders = {contender.name: contender for contender in CONTENDERS}

    def among(text: str) -> list[Contender]:
        if unknown := set(text.split(",")) - set(contenders):
            raise argparse.ArgumentTypeError(f"there is no {', '.join(sorted(unknown))}")
        return [contenders[name] for name in text.split(",")]

    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true", help=f"{QUICK_ITEMS} items; a rough idea")
    parser.add_argument("--only", nargs="+", choices=scenarios, help="scenarios; all of them")
    parser.add_argument(
        "--contenders", type=among, help=f"some of {','.join(contenders)}; all of them"
    )
    parser.add_argument("--items", type=positive, help=f"for each origin; {ITEMS:,}")
    parser.add_argument("--rounds", type=positive, default=1, help="turns of each; %(default)s")
    parser.add_argument(
        "--speed", type=above_zero, default=SPEED, help="times as fast as real time; %(default)g"
    )
    args = parser.parse_args()
    return Asked(
        scenarios=[scenarios[name] for name in args.only or scenarios],
        contenders=args.contenders or CONTENDERS,
        items=args.items or (QUICK_ITEMS if args.quick else ITEMS),
        rounds=args.rounds,
        speed=args.speed,
    )


def main() -> None:
    """Measure, print, judge."""
    asked = asked_for()
    names = (contender.name for contender in asked.contenders)
    print(machine_line(machine([*names, *LIBRARIES])), flush=True)
    verdicts = []
    for scenario in asked.scenarios:
        verdicts += measured(scenario, asked)
    if verdicts:
        print_verdicts(verdicts)


if __name__ == "__main__":
    main()
