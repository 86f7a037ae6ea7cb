"""A provider that limits, as `pacing` measures it: a storm of 429s, and how close to the limit.

The figures are those of a few hundred items, and of the ways of `pacing_contenders` that are
installed; `pacing` itself has more of all.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from machine import version_of
from pacing import SPEED
from pacing_contenders import CONTENDERS, Plan
from pacing_scenarios import SCENARIOS, Scenario, limits_of
from pacing_turns import take_turn
from results import Result

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pacing_contenders import Contender
    from scenarios import Scale

STORM = Scenario(
    "storm",
    "600 requests a minute, 256 threads, nothing known; 429s say how long to wait",
    (limits_of(600),),
    at_a_time=256,
)
TOLD = next(one for one in SCENARIOS if one.name == "told")


@dataclass(frozen=True, slots=True)
class Storming:
    """A scenario of pacing. Rounds are at most two.

    Attributes:
        name: What the command line calls it.
        title: What charts and tables are headed with.
        scenario: What the provider allows.
        items: How many there are, and how many where a rough idea is enough: 0 for no turn.
    """

    name: str
    title: str
    scenario: Scenario
    items: tuple[int, int]

    def run(self, _url: str, scale: Scale, wanted: Callable[[str], bool]) -> Iterator[list[Result]]:
        """Let the contenders have their turns; the results so far, after each."""
        items = self._items(scale)
        answered = Result(
            f"{self.name}-answered", self.title, "% of items answered", "", more_is_better=True
        )
        refused = Result(
            f"{self.name}-refused", self.title, "429s for each item", "", more_is_better=False
        )
        times = Result(
            f"{self.name}-time", self.title, "times the ideal", "", more_is_better=False, ideal=1.0
        )
        scenario = self.scenario
        for _ in range(self._rounds(scale)):
            for contender in _taking(wanted):
                speed = SPEED * min(scenario.pace, contender.pace)
                plan = Plan(scenario.at_a_time, 1, speed, scenario.quota)
                [result] = take_turn(contender, scenario, plan, items).results
                answered.add(contender.about, "", 100 * (1 - result.failed / result.items))
                refused.add(contender.about, "", result.refused_an_item)
                times.add(contender.about, "", result.over_ideal)
                yield [answered, refused, times]

    def turns(self, scale: Scale, wanted: Callable[[str], bool]) -> int:
        """How many there will be."""
        return self._rounds(scale) * len(_taking(wanted))

    def _items(self, scale: Scale) -> int:
        return self.items[scale.is_quick]

    def _rounds(self, scale: Scale) -> int:
        return min(1 if scale.is_quick else 2, self._items(scale))


def _taking(wanted: Callable[[str], bool]) -> list[Contender]:
    return [one for one in CONTENDERS if wanted(one.about) and version_of(one.name)]


STORMS = (
    Storming(
        "storm", "A storm: 600 requests a minute allowed, 256 threads, untold", STORM, (300, 50)
    ),
    Storming("pacing", "500 requests a minute allowed, 64 threads, untold", TOLD, (1_000, 0)),
)
