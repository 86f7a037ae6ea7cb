"""How fast unmodified functions are under a dispatcher, beside the other ways to make requests.

    python benchmarks/transport.py [--quick] [--rounds N] [--threads N]

All ways run in one process and in turns, against a server in another that answers far faster than
any of them asks. Figures are medians over the rounds, with the least and the greatest.
"""

from __future__ import annotations

import argparse
import gc
import resource
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

from answering import TEXT, answering, limit
from contenders import AIOHTTP, HTTP_CLIENT, REQUESTS, SESSION, THREADLLM, URLLIB3
from machine import machine, machine_line
from results import spread_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from contenders import Contender
    from results import Spread

T = TypeVar("T")

SHAPES = {"Content-Length": "/plain", "chunked gzip": "/gzip"}
CONTENDERS = (REQUESTS, SESSION, THREADLLM, URLLIB3, HTTP_CLIENT, AIOHTTP)
DELAY = 0.2  # seconds
OPEN_FILES = 8_192
OVER_REQUESTS = 5.0  # goal: times the throughput of requests.post
OVER_SESSION = 3.5  # goal: times the throughput of a session per thread
OF_SERVER = 0.5  # goal: share of the server's limit that the fastest may take


@dataclass(frozen=True, slots=True)
class Scale:
    """How long the benchmark takes."""

    rounds: int
    threads: int
    seconds: float  # of one contender's turn without latency
    at_a_time: int  # requests at a time with latency
    requests: int  # in one turn with latency


@dataclass(frozen=True, slots=True)
class Turn:
    """What one contender took for its requests once, in seconds."""

    requests: int
    wall: float
    cpu: float


@dataclass(frozen=True, slots=True)
class Series:
    """The turns of one contender."""

    contender: Contender
    turns: list[Turn] = field(default_factory=list)

    def spread(self, figure: Callable[[Turn], float]) -> Spread:
        """A figure's median, least and greatest."""
        return spread_of([figure(turn) for turn in self.turns])

    @property
    def throughput(self) -> Spread:
        """Requests a second."""
        return self.spread(lambda turn: turn.requests / turn.wall)

    @property
    def wall(self) -> Spread:
        """Seconds."""
        return self.spread(lambda turn: turn.wall)

    @property
    def cpu(self) -> float:
        """Milliseconds of this process's CPU a request."""
        return self.spread(lambda turn: 1_000 * turn.cpu / turn.requests).median


@dataclass(frozen=True, slots=True)
class Verdict:
    """A figure beside its goal."""

    what: str
    figure: str
    goal: str
    reached: bool


def take_turn(contender: Contender, url: str, requests: int, at_a_time: int) -> Turn:
    """Let a contender make its requests, and see that it got all the answers."""
    gc.collect()
    wall, cpu = time.perf_counter(), time.process_time()
    texts = contender.ask_all(url, requests, at_a_time)
    turn = Turn(requests, time.perf_counter() - wall, time.process_time() - cpu)
    if texts != [TEXT] * requests:
        raise RuntimeError(f"{contender.name}: not the answers that the server gave")
    return turn


def beginning_at(first: int, contenders: Sequence[T]) -> Sequence[T]:
    """All of them, beginning with another one in each round."""
    start = first % max(1, len(contenders))
    return [*contenders[start:], *contenders[:start]]


def in_turns(
    contenders: Sequence[Contender], rounds: int, take: Callable[[Contender], Turn]
) -> dict[Contender, Series]:
    """Each contender once a round, each round beginning with another one."""
    series = {contender: Series(contender) for contender in contenders}
    for first in range(rounds):
        for contender in beginning_at(first, contenders):
            series[contender].turns.append(take(contender))
    return series


def fitting(contender: Contender, url: str, scale: Scale) -> int:
    """How many requests fill a contender's turn, found by ever longer ones that warm it up."""
    requests = scale.threads
    for share in (0.3, 1.0):
        turn = take_turn(contender, url, requests, scale.threads)
        requests = max(requests, round(requests / turn.wall * share * scale.seconds))
    return requests


def at_once(url: str, scale: Scale) -> dict[Contender, Series]:
    """All contenders, where the answers come at once."""
    requests = {contender: fitting(contender, url, scale) for contender in CONTENDERS}
    return in_turns(
        CONTENDERS,
        scale.rounds,
        lambda contender: take_turn(contender, url, requests[contender], scale.threads),
    )


def with_latency(url: str, scale: Scale) -> dict[Contender, Series]:
    """Many at a time, where each answer takes its time; requests.post only once, as it is slow."""

    def take(contender: Contender) -> Turn:
        return take_turn(contender, url, scale.requests, scale.at_a_time)

    series = in_turns((THREADLLM, AIOHTTP), scale.rounds, take)
    return series | in_turns((REQUESTS,), 1, take)


def print_table(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Names to the left, figures to the right."""
    print(f"\n{title}")
    widths = [max(map(len, column)) for column in zip(columns, *rows, strict=True)]
    for name, *figures in (columns, *rows):
        cells = (f"{figure:>{width}}" for figure, width in zip(figures, widths[1:], strict=True))
        print("   ".join([f"{name:<{widths[0]}}", *cells]))


def print_throughput(shape: str, series: dict[Contender, Series], scale: Scale) -> None:
    """The table of one shape of answers."""
    rates = {contender: one.throughput for contender, one in series.items()}
    rows = [
        (
            contender.name,
            f"{rate.median:,.0f}",
            f"{rate.least:,.0f} to {rate.greatest:,.0f}",
            f"{series[contender].cpu:.3f}",
            f"{rate.median / rates[REQUESTS].median:.2f}",
            f"{rate.median / rates[SESSION].median:.2f}",
        )
        for contender, rate in rates.items()
    ]
    print_table(
        f"{shape}, no latency, {scale.threads} at a time, rounds: {scale.rounds}",
        ("way", "req/s", "min to max", "CPU ms/req", "x requests.post", "x session"),
        rows,
    )


def print_latency(series: dict[Contender, Series], scale: Scale) -> None:
    """The table of answers that take their time."""
    ideal = DELAY * scale.requests / scale.at_a_time
    rows = [
        (
            one.contender.name,
            f"{one.wall.median:.2f}",
            f"{one.wall.least:.2f} to {one.wall.greatest:.2f}",
            f"{one.wall.median / ideal:.2f}",
            f"{one.cpu:.3f}",
            str(len(one.turns)),
        )
        for one in series.values()
    ]
    print_table(
        f"Content-Length, {DELAY * 1_000:.0f} ms latency, {scale.at_a_time:,} at a time, "
        f"{scale.requests:,} requests, ideally {ideal:.2f} s",
        ("way", "wall s", "min to max", "x ideal", "CPU ms/req", "rounds"),
        rows,
    )


def throughput_verdicts(shape: str, series: dict[Contender, Series], most: float) -> list[Verdict]:
    """Whether the goals without latency are reached, and the server kept out of the way."""
    rates = {contender: one.throughput.median for contender, one in series.items()}
    verdicts = []
    for other, goal in ((REQUESTS, OVER_REQUESTS), (SESSION, OVER_SESSION)):
        ratio = rates[THREADLLM] / rates[other]
        what = f"{shape}: threadllm over {other.name}"
        verdicts.append(Verdict(what, f"{ratio:.2f} x", f"at least {goal} x", ratio >= goal))
    share = max(rates.values()) / most
    what = f"{shape}: share of the server's limit that the fastest took"
    bound = f"at most {OF_SERVER:.0%}"
    return [*verdicts, Verdict(what, f"{share:.0%}", bound, share <= OF_SERVER)]


def latency_verdict(series: dict[Contender, Series]) -> Verdict:
    """Whether threads are level with asyncio where many wait."""
    ratio = series[THREADLLM].wall.median / series[AIOHTTP].wall.median
    what = f"{DELAY * 1_000:.0f} ms latency: threadllm's wall time over aiohttp's"
    return Verdict(what, f"{ratio:.2f} x", "at most 1 x", ratio <= 1)


def print_verdicts(verdicts: Sequence[Verdict]) -> None:
    """One line each."""
    said = {True: "reached", False: "not reached"}
    rows = [(one.what, one.figure, one.goal, said[one.reached]) for one in verdicts]
    print_table("Verdicts", ("what", "figure", "goal", "so"), rows)


def allow_open_files() -> None:
    """A thousand connections need more open files than many a shell allows."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = OPEN_FILES if hard == resource.RLIM_INFINITY else min(OPEN_FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def positive(text: str) -> int:
    """A whole number of at least 1."""
    if (number := int(text)) < 1:
        raise ValueError
    return number


def scale_asked_for() -> Scale:
    """The options of the command line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true", help="a few seconds; figures are rough")
    parser.add_argument("--rounds", type=positive, help="turns of each way; 5, or 2 with --quick")
    parser.add_argument("--threads", type=positive, default=64, help="requests at a time")
    args = parser.parse_args()
    if args.quick:
        return Scale(args.rounds or 2, args.threads, seconds=0.1, at_a_time=100, requests=200)
    return Scale(args.rounds or 5, args.threads, seconds=1.5, at_a_time=1_000, requests=10_000)


def main() -> None:
    """Measure, print, judge."""
    scale = scale_asked_for()
    allow_open_files()
    print(machine_line(machine()))
    verdicts = []
    with answering() as url:
        for shape, path in SHAPES.items():
            most = limit(url + path, scale.threads, scale.seconds)
            series = at_once(url + path, scale)
            print_throughput(shape, series, scale)
            print(f"The server gives {most:,.0f} answers a second at least.")
            verdicts += throughput_verdicts(shape, series, most)
        series = with_latency(f"{url}/plain?delay={DELAY}", scale)
        print_latency(series, scale)
        print_verdicts([*verdicts, latency_verdict(series)])


if __name__ == "__main__":
    main()
