"""What is measured: each scenario lets the contenders do the same, in turns.

Those here ask a server that takes so long for each answer; `probes` has those that ask nobody.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from contenders import (
    AIOHTTP,
    HTTPX,
    HTTPX_CLIENTS,
    RAW_THREADS,
    REQUESTS,
    SEQUENTIAL,
    SESSION,
    THREADLLM,
)
from peers import PEERS, installed
from results import Result
from transport import beginning_at, take_turn

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from contenders import Contender
    from transport import Turn

ALL = (SEQUENTIAL, RAW_THREADS, REQUESTS, SESSION, THREADLLM, HTTPX_CLIENTS, HTTPX, AIOHTTP)
AT_ONCE = (REQUESTS, SESSION, THREADLLM, HTTPX, AIOHTTP)


@dataclass(frozen=True, slots=True)
class Scale:
    """How long it all takes.

    Attributes:
        rounds: Turns of each contender.
        seconds: Of one turn, where as much is asked as fits.
        prompt: Seconds that each of the tutorials' five prompts takes.
        call: Seconds that each of the tutorials' ten calls takes.
        waves: How often as many as there may be at a time are asked for, where each takes long.
        at_a_time: How many at a time, without latency.
        waiting: How many at a time, with latency, and how often as many. That threads and
            connections are made at the beginning counts for little where it is often, as in what
            goes on for minutes; with 1,000 at a time that would take too long.
        is_quick: Whether a rough idea is enough, also where no figure here says how rough.
    """

    rounds: int
    seconds: float
    prompt: float
    call: float
    waves: int
    at_a_time: tuple[int, ...]
    waiting: tuple[tuple[int, int], ...]
    is_quick: bool = False


FULL = Scale(
    3, 1.5, 0.5, 3.0, 8, (1, 4, 16, 64, 256), ((1, 8), (16, 8), (64, 30), (256, 30), (1000, 8))
)
QUICK = Scale(1, 0.1, 0.05, 0.1, 2, (1, 64), ((64, 2),), is_quick=True)


@dataclass(frozen=True, slots=True)
class Load:
    """What one turn is asked for.

    Attributes:
        label: What the axis calls it.
        at_a_time: Requests at a time.
        delay: Seconds that the server takes for each.
        requests: How many; None for as many as fill a turn.
    """

    label: str
    at_a_time: int
    delay: float = 0.0
    requests: int | None = None


@dataclass(frozen=True, slots=True)
class Measure:
    """A figure of each turn.

    Attributes:
        name: What files and verdicts call it.
        title: What charts and tables are headed with; figures of the scale are filled in.
        unit: Of the figure.
        more_is_better: Whether a greater figure is the better one.
        figure: What a turn under a load comes to.
        ideal: The figure that could be reached at best; None where nobody knows.
    """

    name: str
    title: str
    unit: str
    more_is_better: bool
    figure: Callable[[Turn, Load], float]
    ideal: Callable[[Scale], float | None] = lambda _: None

    def result(self, axis: str, scale: Scale) -> Result:
        """What its figures are added to."""
        title = self.title.format(prompt=scale.prompt, call=scale.call)
        return Result(self.name, title, self.unit, axis, self.more_is_better, self.ideal(scale))


@dataclass(frozen=True, slots=True)
class Asking:
    """A scenario in which a server is asked.

    Attributes:
        name: What the command line calls it.
        axis: What the loads are.
        contenders: Who takes part.
        loads: Of a scale.
        measures: What is measured in each turn.
    """

    name: str
    axis: str
    contenders: tuple[Contender, ...]
    loads: Callable[[Scale], list[Load]]
    measures: tuple[Measure, ...]

    def run(self, url: str, scale: Scale, wanted: Callable[[str], bool]) -> Iterator[list[Result]]:
        """Let the contenders have their turns; the results so far, after each."""
        results = [measure.result(self.axis, scale) for measure in self.measures]
        for load in self.loads(scale):
            taking = self._taking(load, wanted)
            at_once = f"{url}/plain"
            address = f"{at_once}?delay={load.delay}" if load.delay else at_once
            requests = {one: requests_for(one, at_once, load, scale) for one in taking}
            for first in range(scale.rounds):
                for one in beginning_at(first, taking):
                    turn = take_turn(one, address, requests[one], load.at_a_time)
                    for measure, result in zip(self.measures, results, strict=True):
                        result.add(one.name, load.label, measure.figure(turn, load))
                    yield results

    def turns(self, scale: Scale, wanted: Callable[[str], bool]) -> int:
        """How many there will be."""
        return scale.rounds * sum(len(self._taking(load, wanted)) for load in self.loads(scale))

    def _taking(self, load: Load, wanted: Callable[[str], bool]) -> list[Contender]:
        return [
            one
            for one in self.contenders
            if wanted(one.name) and (one.most is None or load.at_a_time <= one.most)
        ]


def requests_for(contender: Contender, url: str, load: Load, scale: Scale) -> int:
    """How many a contender's turn has, which is warm then: as many as fit, if nobody says.

    The URL is one that answers at once.
    """
    if load.requests is not None:
        take_turn(contender, url, 1, 1)
        return load.requests
    tried = min(load.at_a_time, 16) if scale.is_quick else load.at_a_time
    turn = take_turn(contender, url, tried, load.at_a_time)
    return max(load.at_a_time, round(tried / turn.wall * scale.seconds))


def seconds(turn: Turn, _: Load) -> float:
    """Of the whole turn."""
    return turn.wall


def requests_a_second(turn: Turn, _: Load) -> float:
    """What got through."""
    return turn.requests / turn.wall


def over_ideal(turn: Turn, load: Load) -> float:
    """How many times as long as the server alone takes."""
    return turn.wall / (load.delay * turn.requests / load.at_a_time)


def cpu(turn: Turn, _: Load) -> float:
    """Milliseconds of this process for each request."""
    return 1000 * turn.cpu / turn.requests


SCENARIOS = (
    Asking(
        "five-prompts",
        "",
        ALL,
        lambda scale: [Load("", 5, scale.prompt, 5)],
        (
            Measure(
                "five-prompts",
                "Five prompts, as in tutorials, {prompt:g} s each",
                "seconds for all",
                more_is_better=False,
                figure=seconds,
                ideal=lambda scale: scale.prompt,
            ),
        ),
    ),
    Asking(
        "ten-calls",
        "",
        (SEQUENTIAL, RAW_THREADS, REQUESTS, THREADLLM, HTTPX, AIOHTTP),
        lambda scale: [Load("", 10, scale.call, 10)],
        (
            Measure(
                "ten-calls",
                "Ten calls, {call:g} s each",
                "seconds for all",
                more_is_better=False,
                figure=seconds,
                ideal=lambda scale: scale.call,
            ),
        ),
    ),
    Asking(
        "throughput",
        "requests at a time",
        (*AT_ONCE[:3], HTTPX_CLIENTS, *AT_ONCE[3:]),
        lambda scale: [Load(str(one), one) for one in scale.at_a_time],
        (
            Measure(
                "throughput",
                "A server that answers at once",
                "requests a second",
                more_is_better=True,
                figure=requests_a_second,
            ),
            Measure(
                "throughput-cpu",
                "CPU of the client, where the server answers at once",
                "ms a request",
                more_is_better=False,
                figure=cpu,
            ),
        ),
    ),
    Asking(
        "latency",
        "requests at a time",
        AT_ONCE,
        lambda scale: [Load(str(one), one, 0.2, waves * one) for one, waves in scale.waiting],
        (
            Measure(
                "latency",
                "A server that takes 200 ms",
                "times the ideal",
                more_is_better=False,
                figure=over_ideal,
                ideal=lambda _: 1.0,
            ),
            Measure(
                "latency-cpu",
                "CPU of the client, where the server takes 200 ms",
                "ms a request",
                more_is_better=False,
                figure=cpu,
            ),
        ),
    ),
    Asking(
        "peers",
        "",
        (THREADLLM, REQUESTS, *installed(PEERS)),
        lambda scale: [Load("", 64, 0.05, 64 * 2 * scale.waves)],
        (
            Measure(
                "peers",
                "64 at a time, 50 ms each",
                "requests a second",
                more_is_better=True,
                figure=requests_a_second,
                ideal=lambda _: 64 / 0.05,
            ),
        ),
    ),
)
