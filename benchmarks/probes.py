"""What is measured without a server: each figure by a fresh interpreter, which prints it."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from contenders import AIOHTTP, REQUESTS, SESSION, THREADLLM
from results import Result

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from scenarios import Scale

ITEMS = 20_000
AT_A_TIME = 1_000
LAZY = 1_000_000
ASKERS = {"REQUESTS": REQUESTS, "SESSION": SESSION, "THREADLLM": THREADLLM, "AIOHTTP": AIOHTTP}

COST = """
import io, sys, time
from concurrent.futures import ThreadPoolExecutor
from threadllm import Dispatcher
sys.stderr = io.StringIO()
def submitted(pool):
    for future in [pool.submit(abs, n) for n in range({items})]:
        future.result()
def handed_out(pool):
    for outcome in pool.outcomes(abs, range({items})):
        outcome.value
with {pool} as pool:
    {run}(pool)
    began = time.perf_counter()
    {run}(pool)
    print(1e6 * (time.perf_counter() - began) / {items})
"""
IMPORT = """
import time
began = time.perf_counter()
import {module}
print(1000 * (time.perf_counter() - began))
"""
MEMORY = """
import asyncio, resource, sys, threading, time
from concurrent.futures import ThreadPoolExecutor
from threadllm import Dispatcher
unit = 1 if sys.platform == "darwin" else 1024
def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
def wait(_=None):
    held.wait()
def in_threads():
    threads = [threading.Thread(target=wait) for _ in range({number})]
    for thread in threads:
        thread.start()
    note()
    for thread in threads:
        thread.join()
def in_pool(made):
    with made({number}) as pool:
        futures = [pool.submit(wait) for _ in range({number})]
        note()
async def in_tasks():
    tasks = [asyncio.create_task(asyncio.sleep(0.5)) for _ in range({number})]
    await asyncio.sleep(0.2)
    note()
def note():
    time.sleep(0.3)
    print((peak() - before) / {number} / 1000)
    held.set()
held = threading.Event()
before = peak()
{run}
"""
ASKING = """
import resource, sys
sys.path.insert(0, {folder!r})
from contenders import {contender} as contender
from transport import allow_open_files
allow_open_files()
unit = 1 if sys.platform == "darwin" else 1024
def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
contender.ask_all(sys.argv[1] + "/plain", 1, 1)
before = peak()
contender.ask_all(sys.argv[1] + "/plain?delay={delay}", 2 * {number}, {number})
print((peak() - before) / {number} / 1000)
"""
LAZILY = """
import resource, sys
from concurrent.futures import ThreadPoolExecutor
from threadllm import Dispatcher
unit = 1 if sys.platform == "darwin" else 1024
def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
with {pool} as pool:
    before = peak()
    for _ in pool.{run}(abs, (n for n in range({items}))):
        pass
    print((peak() - before) / 1e6)
"""
LAUNCH = "import subprocess, sys; sys.exit(subprocess.call([sys.executable, '-c', *sys.argv[1:]]))"


@dataclass(frozen=True, slots=True)
class Probing:
    """A scenario in which each contender is a program that prints a figure; less is better.

    Attributes:
        name: What the command line calls it.
        title: What charts and tables are headed with.
        unit: Of the figure.
        programs: Those of a scale, by contender. The server's URL is their only argument.
        rounds: Turns of each, at most: where one takes minutes.
    """

    name: str
    title: str
    unit: str
    programs: Callable[[Scale], Mapping[str, str]]
    rounds: int = 99

    def run(self, url: str, scale: Scale, wanted: Callable[[str], bool]) -> Iterator[list[Result]]:
        """Let each print its figure in turns; the result so far, after each."""
        result = Result(self.name, self.title, self.unit, "", more_is_better=False)
        programs = [(name, one) for name, one in self.programs(scale).items() if wanted(name)]
        for _ in range(min(scale.rounds, self.rounds)):
            for name, program in programs:
                result.add(name, "", figure_of(program, url))
                yield [result]
            programs.reverse()

    def turns(self, scale: Scale, wanted: Callable[[str], bool]) -> int:
        """How many there will be."""
        return min(scale.rounds, self.rounds) * sum(map(wanted, self.programs(scale)))


def figure_of(program: str, url: str) -> float:
    """What it prints. It is started by a small process, whose peak of memory it begins with."""
    command = [sys.executable, "-c", LAUNCH, program, url]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)  # noqa: S603
    return float(done.stdout)


def costs(scale: Scale) -> dict[str, str]:
    """Of an item that asks nobody."""
    items = ITEMS // 10 if scale.is_quick else ITEMS
    ways = {
        "ThreadPoolExecutor, submit": ("ThreadPoolExecutor(8)", "submitted"),
        "threadllm, submit": ("Dispatcher(8)", "submitted"),
        "threadllm, outcomes": ("Dispatcher(8)", "handed_out"),
        "threadllm, outcomes and progress": ("Dispatcher(8, progress=True)", "handed_out"),
    }
    return {
        name: COST.format(items=items, pool=pool, run=run) for name, (pool, run) in ways.items()
    }


def imports(_: Scale) -> dict[str, str]:
    """Of what one imports to begin with."""
    modules = ("concurrent.futures", "requests", "threadllm", "httpx", "aiohttp")
    return {module: IMPORT.format(module=module) for module in modules}


def memories(_: Scale) -> dict[str, str]:
    """Of what waits."""
    ways = {
        "a thread for each prompt": "in_threads()",
        "ThreadPoolExecutor": "in_pool(ThreadPoolExecutor)",
        "threadllm": "in_pool(Dispatcher)",
        "asyncio, a task each": "asyncio.run(in_tasks())",
    }
    return {name: MEMORY.format(number=AT_A_TIME, run=run) for name, run in ways.items()}


def memories_of_asking(scale: Scale) -> dict[str, str]:
    """Of what waits for an answer, and has had one before."""
    number, delay = (AT_A_TIME // 8, 0.1) if scale.is_quick else (AT_A_TIME, 0.3)
    folder = str(Path(__file__).parent)
    return {
        contender.name: ASKING.format(folder=folder, contender=name, number=number, delay=delay)
        for name, contender in ASKERS.items()
    }


def lazies(scale: Scale) -> dict[str, str]:
    """Of an input that is a generator."""
    items = LAZY // 500 if scale.is_quick else LAZY
    ways = {
        "ThreadPoolExecutor, map": ("ThreadPoolExecutor(8)", "map"),
        "threadllm, map": ("Dispatcher(8)", "map"),
        "threadllm, outcomes": ("Dispatcher(8)", "outcomes"),
    }
    return {
        name: LAZILY.format(items=items, pool=pool, run=run) for name, (pool, run) in ways.items()
    }


PROBES = (
    Probing("item-cost", "An item that asks nobody", "µs from submission to result", costs),
    Probing("import-time", "Importing it", "ms", imports),
    Probing("memory", "Each of a thousand that wait", "kB of memory", memories),
    Probing(
        "memory-asking", "Each of many that ask a server", "kB of memory", memories_of_asking, 3
    ),
    Probing("lazy-input", "A long generator as input", "MB more memory at the peak", lazies, 1),
)
