"""What a journal costs: a run of some 2,000 outcomes a second, with one and without, by turns.

    python benchmarks/journal.py --items 6000 --rounds 5

A call takes 30 ms, in which it holds no lock, as one that waits for an answer does; 64 threads. The
journal is on the disk of the working directory.
"""

from __future__ import annotations

import argparse
import platform
import statistics
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import threadllm

THREADS = 64
LATENCY = 0.03  # seconds
ANSWER = "It returns a new list of all items from the iterable in ascending order. " * 6
MOST = 1.10  # times as long, with a journal


class Turn(NamedTuple):
    """What one run came to.

    Attributes:
        seconds: From its beginning to its last outcome.
        cpu: Seconds of processor time.
        kept: How many outcomes the journal then has; None without one.
    """

    seconds: float
    cpu: float
    kept: int | None


def call(prompt: str) -> str:
    """What is remembered: some 450 characters for each prompt."""
    time.sleep(LATENCY)
    return f"{prompt}: {ANSWER}"


def turn(items: int, journal: Path | None) -> Turn:
    """Run so many items, and count what was kept of them."""
    prompts = (f"prompt {number}" for number in range(items))
    began, cpu = time.perf_counter(), time.process_time()
    with threadllm.Dispatcher(THREADS) as pool:
        done = sum(outcome.ok for outcome in pool.outcomes(call, prompts, journal=journal))
    result = Turn(time.perf_counter() - began, time.process_time() - cpu, None)
    if done != items:
        raise SystemExit(f"{items - done} items failed")
    return result if journal is None else result._replace(kept=kept_of(items, journal))


def kept_of(items: int, journal: Path) -> int:
    """How many outcomes are handed back without a call."""
    prompts = (f"prompt {number}" for number in range(items))
    with threadllm.Dispatcher(1) as pool:
        return sum(one.from_journal for one in pool.outcomes(call, prompts, journal=journal))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--items", type=int, default=6000, help="of a run (%(default)s)")
    parser.add_argument("--rounds", type=int, default=5, help="of both (%(default)s)")
    options = parser.parse_args()
    print(
        f"{options.items} items, {THREADS} threads, {1000 * LATENCY:g} ms a call, "
        f"Python {platform.python_version()}, threadllm {threadllm.__version__}\n"
        f"{'round':<8}{'without':>18}{'with':>18}{'ratio':>8}{'CPU of each outcome':>24}"
    )
    ratios = []
    with tempfile.TemporaryDirectory(dir=".") as folder:
        for number in range(options.rounds):
            runs = {}
            for path in [None, Path(folder) / f"{number}.db"][:: (-1) ** number]:
                runs[path is not None] = turn(options.items, path)
            without, with_one = runs[False], runs[True]
            if with_one.kept != options.items:
                raise SystemExit(f"{with_one.kept} outcomes kept of {options.items}")
            ratios.append(with_one.seconds / without.seconds)
            speeds = [f"{options.items / run.seconds:,.0f} a second" for run in (without, with_one)]
            cpu = [f"{1e6 * run.cpu / options.items:,.0f}" for run in (without, with_one)]
            print(
                f"{number + 1:<8}{speeds[0]:>18}{speeds[1]:>18}{ratios[-1]:>8.3f}"
                f"{f'{cpu[0]} and {cpu[1]} µs':>24}",
                flush=True,
            )
    ratio = round(statistics.median(ratios), 3)
    verdict = "reached" if ratio <= MOST else "MISSED"
    print(f"median {ratio:.3f} times as long with a journal, {MOST:.2f} at most: {verdict}")


if __name__ == "__main__":
    main()
