"""Ctrl-C in the midst of 60 calls, 8 at a time: what still runs after it, and for how long.

Each way is a program of its own, which writes a line as each call begins and is sent a SIGINT
after a while.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from machine import version_of
from results import Result

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from scenarios import Scale

CALLS = 60
AT_A_TIME = 8
LATENCY = 0.25  # seconds
LONGEST = 60.0  # seconds that a program may take to end

PROGRAM = """
import os, signal, sys, time
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background ignores it
sys.path.insert(0, {folder!r})
from contenders import ask
def begin():
    os.write(int(sys.argv[2]), b"%f\\n" % time.monotonic())
def work(_):
    begin()
    return ask(sys.argv[1])
{run}
"""
WAYS = {
    "ThreadPoolExecutor, map": """
from concurrent.futures import ThreadPoolExecutor
with ThreadPoolExecutor({at_a_time}) as pool:
    list(pool.map(work, range({calls})))
""",
    "ThreadPoolExecutor, as_completed": """
from concurrent.futures import ThreadPoolExecutor, as_completed
with ThreadPoolExecutor({at_a_time}) as pool:
    for future in as_completed([pool.submit(work, n) for n in range({calls})]):
        future.result()
""",
    "threadllm": """
import threadllm
threadllm.map(work, range({calls}), max_workers={at_a_time})
""",
    "asyncio, httpx, one client": """
import asyncio, httpx
from contenders import ask_by, gather
async def main():
    async def call():
        begin()
        return await ask_by(client, sys.argv[1])
    async with httpx.AsyncClient(timeout=60) as client:
        await gather({calls}, {at_a_time}, call)
asyncio.run(main())
""",
    "tqdm thread_map": """
from tqdm.contrib.concurrent import thread_map
thread_map(work, range({calls}), max_workers={at_a_time})
""",
    "joblib, threads": """
from joblib import Parallel, delayed
Parallel({at_a_time}, backend="threading")(delayed(work)(n) for n in range({calls}))
""",
    "more-executors": """
from more_executors import Executors
with Executors.thread_pool(max_workers={at_a_time}).with_retry(max_attempts=5) as pool:
    list(pool.map(work, range({calls})))
""",
    "langchain batch": """
from langchain_core.runnables import RunnableLambda
RunnableLambda(work).batch(list(range({calls})), config={{"max_concurrency": {at_a_time}}})
""",
    "dspy ParallelExecutor": """
from dspy.utils.parallelizer import ParallelExecutor
ParallelExecutor(num_threads={at_a_time}, max_errors=99).execute(work, list(range({calls})))
""",
}
NEEDS = {
    "joblib, threads": "joblib",
    "more-executors": "more-executors",
    "langchain batch": "langchain-core",
    "dspy ParallelExecutor": "dspy",
}


@dataclass(frozen=True, slots=True)
class Interrupting:
    """The scenario. Rounds are at most three: each turn takes seconds, and they differ little."""

    name: str = "ctrl-c"

    def run(self, url: str, scale: Scale, wanted: Callable[[str], bool]) -> Iterator[list[Result]]:
        """Interrupt each in its turn; the results so far, after each."""
        begun = Result(
            "ctrl-c-calls",
            f"Ctrl-C in the midst of {CALLS} calls, {AT_A_TIME} at a time",
            "calls that begin after it",
            "",
            more_is_better=False,
        )
        ended = Result(
            "ctrl-c-seconds",
            f"Ctrl-C while calls of {LATENCY:g} s run",
            "seconds until the program has ended",
            "",
            more_is_better=False,
        )
        for _ in range(_rounds(scale)):
            for name in filter(wanted, _installed()):
                calls, seconds = interrupted(WAYS[name], f"{url}/plain?delay={LATENCY}")
                begun.add(name, "", calls)
                ended.add(name, "", seconds)
                yield [begun, ended]

    def turns(self, scale: Scale, wanted: Callable[[str], bool]) -> int:
        """How many there will be."""
        return _rounds(scale) * sum(map(wanted, _installed()))


def interrupted(way: str, url: str) -> tuple[int, float]:
    """How many calls a way still begins after a signal, and the seconds that it takes to end."""
    run = way.format(calls=CALLS, at_a_time=AT_A_TIME)
    program = PROGRAM.format(folder=str(Path(__file__).parent), run=run)
    reading, writing = os.pipe()
    process = subprocess.Popen(  # noqa: S603 our own program
        [sys.executable, "-c", program, url, str(writing)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        pass_fds=[writing],
    )
    os.close(writing)
    with process, os.fdopen(reading) as lines:
        begun = [float(lines.readline()) for _ in range(AT_A_TIME)]
        time.sleep(LATENCY / 2)
        process.send_signal(signal.SIGINT)
        signalled = time.monotonic()
        try:
            process.wait(LONGEST)
        finally:
            process.kill()
        seconds = time.monotonic() - signalled
        begun += map(float, lines)
    return sum(moment > signalled for moment in begun), seconds


def _rounds(scale: Scale) -> int:
    return min(scale.rounds, 1 if scale.is_quick else 3)


def _installed() -> list[str]:
    return [name for name in WAYS if name not in NEEDS or version_of(NEEDS[name])]
