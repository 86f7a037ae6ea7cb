"""What the figures come to: threadllm beside its goals, and what tutorials claim beside what is.

Ratios are those of the rounds, each of which had all contenders, and their median.
"""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from typing import TYPE_CHECKING

from contenders import AIOHTTP, HTTPX_CLIENTS, REQUESTS, SEQUENTIAL, THREADLLM
from results import short
from transport import Verdict

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from results import Result

    Results = Mapping[str, Result]


@dataclass(frozen=True, slots=True)
class Goal:
    """A figure that threadllm is to reach on a machine with two cores.

    Attributes:
        what: It is about.
        result: Which holds the figures.
        ours: The contender that is judged.
        theirs: The one that it is measured by; None for the figure itself.
        load: Under which.
        bound: The figure, or times theirs.
        at_least: Whether it is the least; else it is the most.
        unit: Behind the figures.
    """

    what: str
    result: str
    ours: str
    theirs: str | None
    load: str
    bound: float
    at_least: bool = False
    unit: str = "x"

    def verdict(self, results: Results) -> Verdict | None:
        """Whether it is reached; None where it was not measured."""
        figures = self._figures(results.get(self.result))
        if not figures:
            return None
        figure = statistics.median(figures)
        reached = figure >= self.bound if self.at_least else figure <= self.bound
        word = "at least" if self.at_least else "at most"
        return Verdict(
            self.what, f"{short(figure)} {self.unit}", f"{word} {self.bound:g} {self.unit}", reached
        )

    def _figures(self, result: Result | None) -> Sequence[float]:
        if result is None:
            return []
        ours = result.figures.get(self.ours, {}).get(self.load, [])
        if self.theirs is None:
            return ours
        theirs = result.figures.get(self.theirs, {}).get(self.load, [])
        return [one / other for one, other in zip(ours, theirs, strict=False)]


OURS, BARE, ASYNC = THREADLLM.name, REQUESTS.name, AIOHTTP.name
FULLY = "threadllm, outcomes and progress"
GOALS = (
    Goal(
        "no latency, 64 threads: throughput over a bare ThreadPoolExecutor's",
        *("throughput", OURS, BARE, "64", 5.0, True),
    ),
    Goal("200 ms, 256 at a time: wall time over the ideal", "latency", OURS, None, "256", 1.06),
    Goal("200 ms, 256 at a time: wall time over aiohttp's", "latency", OURS, ASYNC, "256", 1.0),
    Goal("200 ms, 1,000 at a time: wall time over aiohttp's", "latency", OURS, ASYNC, "1000", 1.05),
    Goal(
        "an item without network, outcomes and progress on, over ThreadPoolExecutor's",
        *("item-cost", FULLY, "ThreadPoolExecutor, submit", "", 2.5),
    ),
    Goal("memory of a thread that waits", "memory", "threadllm", None, "", 64, unit="kB"),
    Goal("memory of a thread that asks a server", "memory-asking", OURS, None, "", 64, unit="kB"),
    Goal(
        "a million lazy items: more memory at the peak",
        *("lazy-input", "threadllm, outcomes", None, "", 20.0),
        unit="MB",
    ),
)


def verdicts(results: Results) -> list[Verdict]:
    """On all goals that were measured."""
    return [one for goal in GOALS if (one := goal.verdict(results)) is not None]


def claims(results: Results) -> list[tuple[str, str]]:
    """What tutorials claim, and what was found; those alone that were measured."""
    told = (_of_ten_calls(results), _of_asyncio(results), _of_memory(results), _of_rates(results))
    return [(claim, found) for claim, found in zip(CLAIMS, told, strict=True) if found is not None]


CLAIMS = (
    "ten sequential calls of 3 s take 30 s, and under 3 s concurrently",
    "asyncio cuts latency by 80 % and gives 40 % more throughput at high latency",
    "a thread costs 8 MB, and 1,000 of them 8 GB",
    "concurrent.futures does 50 to 100 requests a second, asyncio 1,000 and more, Ray 5,000",
)


def _median(results: Results, name: str, contender: str, load: str = "") -> float | None:
    result = results.get(name)
    spread = None if result is None else result.spread(contender, load)
    return None if spread is None else spread.median


def _of_ten_calls(results: Results) -> str | None:
    one_by_one = _median(results, "ten-calls", SEQUENTIAL.name)
    ours, bare = (_median(results, "ten-calls", name) for name in (OURS, BARE))
    if one_by_one is None or ours is None or bare is None:
        return None
    ideal = results["ten-calls"].ideal
    return (
        f"calls of {ideal:g} s: {one_by_one:.2f} s one after another; {bare:.2f} s in a "
        f"ThreadPoolExecutor, {ours:.2f} s with threadllm: never less than one call"
    )


def _of_asyncio(results: Results) -> str | None:
    bare, best = (_median(results, "latency", name, "256") for name in (BARE, ASYNC))
    ours = _median(results, "latency", OURS, "256")
    if bare is None or best is None or ours is None:
        return None
    return (
        f"256 at a time, 200 ms each: {bare:.2f} times the ideal in a ThreadPoolExecutor, "
        f"{best:.2f} with aiohttp, {ours:.2f} with threadllm. aiohttp's throughput is "
        f"{bare / best - 1:+.0%} of the bare pool's, {ours / best - 1:+.0%} of threadllm's; no "
        "answer comes sooner"
    )


def _of_memory(results: Results) -> str | None:
    raw = _median(results, "memory", "a thread for each prompt")
    ours = _median(results, "memory-asking", OURS)
    if raw is None:
        return None
    asking = "" if ours is None else f"; {short(ours)} kB with threadllm and a connection"
    return f"{short(raw)} kB of memory a thread that waits{asking}; 8 MB are addresses alone"


def _of_rates(results: Results) -> str | None:
    names = (BARE, OURS, ASYNC, HTTPX_CLIENTS.name)
    rates = [_median(results, "throughput", name, "64") for name in names]
    if None in rates:
        return None
    bare, ours, best, clients = (short(rate) for rate in rates if rate is not None)
    return (
        f"a second, 64 at a time: {bare} in a bare pool, {ours} with threadllm, {best} with "
        f"aiohttp, {clients} with httpx and a client for each call"
    )
