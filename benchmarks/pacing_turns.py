"""One turn of one way: a simulator for each origin and the way itself, a process for each.

Time passes as fast for all of them. A way that takes too long is stopped; what the simulators
have counted tells how far it got.
"""

from __future__ import annotations

import logging
import multiprocessing
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple

from fast_time import FastTime, hurry
from pacing_scenarios import LATENCY, Question, ideal, questions

from threadllm.simulator import Counts, Fault, Latency, Simulator

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from multiprocessing.connection import Connection

    from pacing_contenders import Contender, Plan
    from pacing_scenarios import Scenario

PATIENCE = 4.0  # times the ideal, after which a way is stopped
TO_BEGIN = 120.0  # real seconds to import what there is to import, and to ask a first question
TO_END = 10.0  # real seconds, likewise, once all is reported
FULL = 429


class Service(NamedTuple):
    """A simulator in another process."""

    url: str
    pipe: Connection

    def counts(self) -> Counts:
        """What it has served."""
        self.pipe.send(None)
        counts: Counts = self.pipe.recv()
        return counts


class Run(NamedTuple):
    """What a way says of its run: seconds, and how many questions got their answers."""

    makespan: float
    answered: int


class Report(NamedTuple):
    """What a way says of its turn: its runs, and its process's CPU time over real time."""

    runs: list[Run]
    core: float


@dataclass(frozen=True, slots=True)
class Result:
    """What became of one origin's items.

    Attributes:
        makespan: Seconds of the simulator's; when it was stopped, until then.
        ideal: What it would have been at best.
        items: How many there were.
        failed: How many were not answered, or wrongly.
        requests: How many requests the simulator got.
        refused: How many of these it answered 429.
    """

    makespan: float
    ideal: float
    items: int
    failed: int
    requests: int
    refused: int

    @property
    def over_ideal(self) -> float:
        """Makespan over the ideal."""
        return self.makespan / self.ideal

    @property
    def refused_an_item(self) -> float:
        """429s for each item."""
        return self.refused / self.items

    @property
    def refused_share(self) -> float:
        """429s as a share of all requests."""
        return self.refused / max(1, self.requests)


@dataclass(frozen=True, slots=True)
class Turn:
    """One way in one scenario, once.

    Attributes:
        results: What became of each origin's items.
        core: How much of a core its process took; None if it did not end by itself.
        ended: "in time", or how else.
    """

    results: list[Result]
    core: float | None
    ended: str


def simulate(pipe: Connection, settings: Mapping[str, Any]) -> None:
    """The process of a simulator: its URL, then its counts whenever asked, until nobody can ask."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is its parent's, whose end ends it
    with Simulator(**settings) as simulator:
        pipe.send(simulator.url)
        while True:
            try:
                pipe.recv()
            except EOFError:
                return
            pipe.send(simulator.counts())


@contextmanager
def simulating(**settings: Any) -> Iterator[Service]:
    """A simulator in a process of its own, for as long as the block lasts."""
    spawning = multiprocessing.get_context("spawn")
    ours, theirs = spawning.Pipe()
    process = spawning.Process(target=simulate, args=(theirs, settings))
    process.start()
    theirs.close()
    try:
        yield Service(ours.recv(), ours)
    finally:
        ours.close()
        process.join()


def take_part(
    pipe: Connection,
    contender: Contender,
    plan: Plan,
    first: Question,
    batches: Sequence[Sequence[Question]],
) -> None:
    """The process of a way: it gets ready by asking a first question, says so, runs, reports."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    logging.disable()  # thousands of failures are said in thousands of lines
    fast, cpu = FastTime(plan.speed), time.process_time
    if contender.hurried:
        hurry(fast)
    with contender.opened(replace(plan, runs=1, quota={})) as ask_all:
        ask_all([first])
    with contender.opened(plan) as ask_all, ThreadPoolExecutor(len(batches)) as pool:
        pipe.send(None)
        began, used = fast.monotonic(), cpu()

        def run(batch: Sequence[Question]) -> Run:
            texts = ask_all(batch)
            makespan = fast.monotonic() - began
            pairs = zip(batch, texts, strict=True)
            return Run(makespan, sum(text == question.answer for question, text in pairs))

        runs = list(pool.map(run, batches))
        core = (cpu() - used) * plan.speed / max(one.makespan for one in runs)
    pipe.send(Report(runs, core))


def report_of(
    contender: Contender,
    plan: Plan,
    first: Question,
    batches: Sequence[Sequence[Question]],
    limit: float,
) -> Report | str:
    """What a way says of its turn, or how else it ended, after so many real seconds at most."""
    spawning = multiprocessing.get_context("spawn")
    ours, theirs = spawning.Pipe()
    process = spawning.Process(target=take_part, args=(theirs, contender, plan, first, batches))
    process.start()
    theirs.close()
    try:
        if not ours.poll(TO_BEGIN):
            return "did not begin"
        ours.recv()
        if not ours.poll(limit):
            return "stopped"
        report: Report = ours.recv()
        process.join(TO_END)
    except EOFError:
        return "broke off"
    finally:
        process.kill()
        process.join()
        ours.close()
    return report


def take_turn(contender: Contender, scenario: Scenario, plan: Plan, items: int) -> Turn:
    """Let a way ask all its questions, of simulators that nobody has asked anything yet."""
    with ExitStack() as stack:
        faults = [Fault(status=FULL, rate=scenario.by_chance)] if scenario.by_chance else []
        services = [
            stack.enter_context(
                simulating(latency=LATENCY, limits=limits, faults=faults, speed=plan.speed)
            )
            for limits in scenario.origins
        ]
        unlimited = stack.enter_context(simulating(latency=Latency(), speed=plan.speed))
        first = Question(unlimited.url, "Is there anybody?")
        batches = [questions(one.url, items, varied=scenario.varied) for one in services]
        ideals = [
            ideal(limits, batch, plan.at_a_time)
            for limits, batch in zip(scenario.origins, batches, strict=True)
        ]
        stopped = PATIENCE * max(ideals)
        report = report_of(contender, plan, first, batches, stopped / plan.speed)
        counts = [service.counts() for service in services]
    ended = report if isinstance(report, str) else "in time"
    runs = (
        [Run(stopped, sum(map(len, one.answered.values()))) for one in counts]
        if isinstance(report, str)
        else report.runs
    )
    results = [
        Result(
            makespan=run.makespan,
            ideal=best,
            items=items,
            failed=items - run.answered,
            requests=count.requests,
            refused=count.by_status.get(FULL, 0),
        )
        for run, best, count in zip(runs, ideals, counts, strict=True)
    ]
    return Turn(results, None if isinstance(report, str) else report.core, ended)
