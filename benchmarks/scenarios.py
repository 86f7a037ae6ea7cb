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
        waiting: How many at a time, with latency.
    """

    rounds: int
    seconds: float
    prompt: float
    call: float
    waves: int
    at_a_time: tuple[int, ...]
    waiting: tuple[int, ...]


FULL = Scale(5, 1.5, 0.5, 3.0, 8, (1, 4, 16, 64, 256), (1, 16, 64, 256, 1000))
QUICK = Scale(2, 0.15, 0.05, 0.3, 2, (1, 16, 64), (16, 256))


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
class Asking:
    """A scenario in which a server is asked.

    Attributes:
        name: What the command line calls it.
        title: What charts and tables are headed with; figures of the scale are filled in.
        unit: Of the figure.
        axis: What the loads are.
        more_is_better: Whether a greater figure is the better one.
        contenders: Who takes part.
        loads: Of a scale.
        figure: What a turn under a load comes to.
        ideal: The figure that could be reached at best; None where nobody knows.
    """

    name: str
    title: str
    unit: str
    axis: str
    more_is_better: bool
    contenders: tuple[Contender, ...]
    loads: Callable[[Scale], list[Load]]
    figure: Callable[[Turn, Load], float]
    ideal: Callable[[Scale], float | None] = lambda _: None

    def run(self, url: str, scale: Scale, wanted: Callable[[str], bool]) -> Iterator[Result]:
        """Let the contenders have their turns; the result so far, after each."""
        title = self.title.format(prompt=scale.prompt, call=scale.call)
        result = Result(
            self.name, title, self.unit, self.axis, self.more_is_better, self.ideal(scale)
        )
        taking = [one for one in self.contenders if wanted(one.name)]
        for load in self.loads(scale):
            address = f"{url}/plain?delay={load.delay}" if load.delay else f"{url}/plain"
            requests = {one: requests_for(one, address, load, scale) for one in taking}
            for first in range(scale.rounds):
                for one in beginning_at(first, taking):
                    turn = take_turn(one, address, requests[one], load.at_a_time)
                    result.add(one.name, load.label, self.figure(turn, load))
                    yield result

    def turns(self, scale: Scale, wanted: Callable[[str], bool]) -> int:
        """How many there will be."""
        taking = sum(wanted(one.name) for one in self.contenders)
        return scale.rounds * len(self.loads(scale)) * taking


def requests_for(contender: Contender, url: str, load: Load, scale: Scale) -> int:
    """How many a contender's turn has, which is warm then: as many as fit, if nobody says."""
    if load.requests is not None:
        take_turn(contender, url, 1, 1)
        return load.requests
    turn = take_turn(contender, url, load.at_a_time, load.at_a_time)
    return max(load.at_a_time, round(load.at_a_time / turn.wall * scale.seconds))


def seconds(turn: Turn, _: Load) -> float:
    """Of the whole turn."""
    return turn.wall


def requests_a_second(turn: Turn, _: Load) -> float:
    """What got through."""
    return turn.requests / turn.wall


def over_ideal(turn: Turn, load: Load) -> float:
    """How many times as long as the server alone takes."""
    return turn.wall / (load.delay * turn.requests / load.at_a_time)


SCENARIOS = (
    Asking(
        "five-prompts",
        "Five prompts, as in tutorials, {prompt:g} s each",
        "seconds for all",
        "",
        more_is_better=False,
        contenders=ALL,
        loads=lambda scale: [Load("", 5, scale.prompt, 5)],
        figure=seconds,
        ideal=lambda scale: scale.prompt,
    ),
    Asking(
        "ten-calls",
        "Ten calls, {call:g} s each",
        "seconds for all",
        "",
        more_is_better=False,
        contenders=(SEQUENTIAL, RAW_THREADS, REQUESTS, THREADLLM, HTTPX, AIOHTTP),
        loads=lambda scale: [Load("", 10, scale.call, 10)],
        figure=seconds,
        ideal=lambda scale: scale.call,
    ),
    Asking(
        "throughput",
        "A server that answers at once",
        "requests a second",
        "requests at a time",
        more_is_better=True,
        contenders=(*AT_ONCE[:3], HTTPX_CLIENTS, *AT_ONCE[3:]),
        loads=lambda scale: [Load(str(one), one) for one in scale.at_a_time],
        figure=requests_a_second,
    ),
    Asking(
        "latency",
        "A server that takes 200 ms",
        "times the ideal",
        "requests at a time",
        more_is_better=False,
        contenders=AT_ONCE,
        loads=lambda scale: [Load(str(one), one, 0.2, scale.waves * one) for one in scale.waiting],
        figure=over_ideal,
        ideal=lambda _: 1.0,
    ),
)
