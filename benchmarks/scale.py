"""One process beside two, on this machine: what more of them are good for.

    python benchmarks/scale.py [--quick] [--rounds N]
    python benchmarks/scale.py --crowd

The two are started by threadllm and, with the extra `ray`, by Ray as well. Ways take turns within
each round. Requests go to a server in a process of its own; calls of 50 ms only sleep. Ideals are
what as many threads could do if nothing but the calls took time. A crowd is sixteen workers, each
of whom has little to say at a time: what does that cost their driver?
"""

from __future__ import annotations

import argparse
import statistics
import time
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, NamedTuple

from answering import answering, limit
from contenders import ask
from machine import machine, machine_line
from results import short
from transport import Verdict, allow_open_files, beginning_at, positive, print_table, print_verdicts

import threadllm

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

THREADS, REQUEST_THREADS = 200, 64  # in all
CALL, SLOW = 0.05, 1.0  # seconds
ONE_IN = 20  # calls is a slow one, in the tail
ENGINES: dict[str, Mapping[str, Any]] = {
    "one process": {},
    "two processes": {"engine": "processes", "workers": 2},
}
if find_spec("ray"):
    ENGINES["two of Ray"] = {"engine": "ray", "workers": 2}


class Load(NamedTuple):
    """What a turn is asked for.

    Attributes:
        name: What tables call it.
        fn: The function.
        items: What it is called with.
        threads: Calls in progress.
        ideal: Items a second, at most; None where nobody knows.
    """

    name: str
    fn: Callable[[Any], object]
    items: Sequence[Any]
    threads: int
    ideal: float | None = None


class Figure(NamedTuple):
    """What a turn came to: items a second, and microseconds of this process for each."""

    rate: float
    cpu: float


def loads(url: str, share: float) -> list[Load]:
    """Some thousand items each, or a share of that."""
    quick = [CALL] * round(12_000 * share)
    tail = [SLOW if index % ONE_IN == 0 else CALL for index in range(round(8_000 * share))]
    return [
        Load("requests", ask, [url] * round(12_000 * share), REQUEST_THREADS),
        Load("calls of 50 ms", time.sleep, quick, THREADS, THREADS / CALL),
        Load("a twentieth of 1 s", time.sleep, tail, THREADS, THREADS / statistics.mean(tail)),
    ]


def take_turn(load: Load, engine: Mapping[str, Any]) -> Figure:
    """Run a load, by workers that are warm."""
    with threadllm.Dispatcher(load.threads, **engine) as pool:
        warm = load.items[1 : 2 * load.threads]
        if sum(1 for one in pool.outcomes(load.fn, warm) if one.ok) != len(warm):
            raise RuntimeError(f"{load.name}: not all items were done")
        wall, cpu = time.perf_counter(), time.process_time()
        done = sum(1 for one in pool.outcomes(load.fn, load.items) if one.ok)
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    if done != len(load.items):
        raise RuntimeError(f"{load.name}: {done} of {len(load.items)} items")
    return Figure(done / wall, 1e6 * cpu / done)


def measure(load: Load, rounds: int) -> dict[str, list[Figure]]:
    """Let all ways have their turns."""
    figures: dict[str, list[Figure]] = {name: [] for name in ENGINES}
    for first in range(rounds):
        for name in beginning_at(first, [*ENGINES]):
            figures[name].append(take_turn(load, ENGINES[name]))
    return figures


def show(load: Load, figures: Mapping[str, Sequence[Figure]]) -> None:
    """A table: medians, with the least and the greatest."""
    rows = []
    for name, turns in figures.items():
        rates = [turn.rate for turn in turns]
        spread = f"{short(min(rates))} to {short(max(rates))}"
        cpu = statistics.median(turn.cpu for turn in turns)
        rows.append((name, short(statistics.median(rates)), spread, short(cpu)))
    ideal = "" if load.ideal is None else f", ideally {short(load.ideal)}"
    title = f"{load.name}, {load.threads} at a time (items a second{ideal})"
    print_table(title, ("", "median", "rounds", "µs of this process an item"), rows)


def verdict(what: str, figure: float, least: float) -> Verdict:
    """On a figure that is to be at least so much."""
    return Verdict(what, short(figure), f"at least {short(least)}", figure >= least)


def verdicts(found: Mapping[str, Mapping[str, Sequence[Figure]]], ideal: float) -> list[Verdict]:
    """The goals, by the medians; ratios are those of the rounds."""

    def rates(load: str, name: str) -> list[float]:
        return [turn.rate for turn in found[load][name]]

    judged = []
    for name in found["requests"]:
        if name == "one process":
            continue
        pairs = zip(rates("requests", name), rates("requests", "one process"), strict=True)
        ratio = statistics.median(one / other for one, other in pairs)
        rate = statistics.median(rates("calls of 50 ms", name))
        share = statistics.median(rates("a twentieth of 1 s", name)) / ideal
        judged += [
            verdict(f"{name}: requests over one process's", ratio, 1.8),
            verdict(f"{name}: calls of 50 ms, a second", rate, 3_000),
            verdict(f"{name}: the tail, of the ideal", share, 0.6),
        ]
    return judged


def measure_crowd() -> None:
    """Print what many workers do, and what they cost."""
    load = Load("calls of 2 s", time.sleep, [2.0] * 8_000, 1_600, 800.0)
    engines = {
        name.replace("two", "sixteen"): {**engine, "workers": 16}
        for name, engine in ENGINES.items()
        if engine
    }
    show(load, {name: [take_turn(load, engine)] for name, engine in engines.items()})


def main() -> None:
    """Measure, print, judge."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a tenth of it; figures are rough")
    parser.add_argument("--rounds", type=positive, help="turns of each way; 3, or 1 with --quick")
    parser.add_argument("--crowd", action="store_true", help="sixteen workers, and nothing else")
    given = parser.parse_args()
    allow_open_files()
    print(machine_line(machine()))
    if given.crowd:
        measure_crowd()
        return
    with answering() as url:
        most = limit(f"{url}/plain", REQUEST_THREADS, 0.5)
        print(f"The server gives {short(most)} answers a second at least.")
        found, tail = {}, 0.0
        for load in loads(f"{url}/plain", 0.1 if given.quick else 1.0):
            found[load.name] = measure(load, given.rounds or (1 if given.quick else 3))
            show(load, found[load.name])
            tail = load.ideal or tail
    print_verdicts(verdicts(found, tail))


if __name__ == "__main__":
    main()
