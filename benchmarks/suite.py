"""Threads beside sequential code and asyncio, measured on this machine.

    python -m benchmarks [--quick] [--only SCENARIO …] [--contenders WORD …] [--out FOLDER]

The server runs in a process of its own, and its limit is measured first, so that nobody measures
the server. Contenders take turns within each round; tables show the median of the rounds, with the
least and the greatest. results.json and the charts go to the folder; scenarios that are run alone
take the place of those that it has already.
"""

from __future__ import annotations

import argparse
import sys
from contextlib import ExitStack
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from answering import answering, limit
from interrupts import Interrupting
from machine import LIBRARIES, machine, machine_line
from peers import OF_PEERS, PEERS
from probes import PROBES
from results import read, short, write
from scenarios import FULL, QUICK, SCENARIOS
from storms import STORMS
from streaming import Streaming
from tqdm import tqdm
from transport import allow_open_files, positive, print_verdicts
from verdicts import claims, verdicts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from results import Result
    from scenarios import Scale

AT_A_TIME = 64


class Scenario(Protocol):
    """What is measured: contenders in turns."""

    @property
    def name(self) -> str:
        """What the command line calls it."""

    def run(self, url: str, scale: Scale, wanted: Callable[[str], bool]) -> Iterator[list[Result]]:
        """Measure it; the results so far, after each turn."""

    def turns(self, scale: Scale, wanted: Callable[[str], bool]) -> int:
        """How many there will be."""


EVERY: tuple[Scenario, ...] = (*SCENARIOS, Streaming(), *STORMS, Interrupting(), *PROBES)


def options() -> argparse.Namespace:
    """The command line."""
    names = [one.name for one in EVERY]
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description=__doc__.splitlines()[0]
    )
    add = parser.add_argument
    add(
        "--quick",
        action="store_true",
        help="within a minute: rough, and with the peers only where something is chosen by name",
    )
    add("--rounds", type=positive, metavar="N", help="turns of each contender (3; 1 with --quick)")
    add("--only", nargs="+", choices=names, metavar="SCENARIO", help=", ".join(names))
    add("--contenders", nargs="+", metavar="WORD", help="those whose names have it")
    add("--out", type=Path, default=Path("benchmark-results"), metavar="FOLDER")
    return parser.parse_args()


def takes_part(contender: str, given: argparse.Namespace) -> bool:
    """Whether the command line wants it."""
    if given.contenders:
        return any(word in contender for word in given.contenders)
    return not given.quick or bool(given.only) or contender not in OF_PEERS


def measure(
    scenarios: list[Scenario], url: str, scale: Scale, wanted: Callable[[str], bool]
) -> list[Result]:
    """Run them all, behind a bar; each table is shown as soon as it is complete."""
    results: list[Result] = []
    total = sum(one.turns(scale, wanted) for one in scenarios)
    with tqdm(total=total, unit="turn", dynamic_ncols=True) as bar:
        for scenario in scenarios:
            bar.set_description(scenario.name)
            found: list[Result] = []
            for found in scenario.run(url, scale, wanted):  # noqa: B007
                bar.update()
            for result in found:
                tqdm.write(f"\n{result.table()}", file=sys.stdout)
            results += found
    return results


def gone_on_with(
    given: argparse.Namespace, here: dict[str, Any], measured: list[Result]
) -> tuple[list[Result], list[str]]:
    """What is measured once more takes the place of what the folder has, from this machine.

    Returns:
        All results, and the titles of those that are of a later run than the rest.
    """
    try:
        about, earlier = read(given.out / "results.json")
    except FileNotFoundError:
        return measured, []
    if not given.only or (about["machine"], about["quick"]) != (here, given.quick):
        return measured, []
    new = {result.name: result for result in measured}
    both = [new.pop(result.name, result) for result in earlier] + [*new.values()]
    return both, [*dict.fromkeys([*about["again"], *(result.title for result in measured)])]


def main() -> None:
    """Measure, print, write, draw."""
    given = options()

    def wanted(contender: str) -> bool:
        return takes_part(contender, given)

    scale = QUICK if given.quick else FULL
    scale = replace(scale, rounds=given.rounds or scale.rounds)
    scenarios = [one for one in EVERY if not given.only or one.name in given.only]
    if not any(one.turns(scale, wanted) for one in scenarios):
        raise SystemExit("--contenders: no name of theirs has such a word in it")
    allow_open_files()
    here = machine([*LIBRARIES, "httpx", *(one.needs for one in PEERS if one.needs)])
    print(machine_line(here))
    with ExitStack() as stack:
        url = stack.enter_context(answering())
        most = limit(f"{url}/plain", AT_A_TIME, scale.seconds)
        print(f"The server gives {short(most)} answers a second at least.")
        measured = measure(scenarios, url, scale, wanted)
    results, again = gone_on_with(given, here, measured)
    by_name = {result.name: result for result in results}
    reached, found = verdicts(by_name), claims(by_name)
    if reached:
        print_verdicts(reached)
    if found:
        print("\nWhat tutorials claim, and what was found")
        for claim, figures in found:
            print(f"- {claim}:\n  {figures}")
    given.out.mkdir(parents=True, exist_ok=True)
    write(
        results,
        given.out / "results.json",
        machine=here,
        quick=given.quick,
        server_limit=most,
        verdicts=[asdict(one) for one in reached],
        claims=found,
        again=again,
    )
    try:
        from charts import draw
    except ImportError:
        print('No charts: they need matplotlib, of the extra "bench".')
    else:
        for result in measured:
            draw(result, given.out)
    print(f"\nAll figures and charts are in {given.out}.")
