"""Workers in another executor's processes, such as loky's or Dask's: second best.

An executor runs a call and hands back its value; meanwhile nothing more can be said to it. So a
worker is given a chunk of items, and answers once all of them have ended: whoever is done waits
for the slowest. Of limits each has its part. What has begun cannot be broken off there; and an
executor that breaks is another's to mend, so that what is left of the run fails.
"""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from concurrent.futures import BrokenExecutor, CancelledError
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING
from uuid import uuid4

from threadllm.engines.fleet import Fleet
from threadllm.engines.wire import Order, Report
from threadllm.engines.worker import Worker, problem_with
from threadllm.exceptions import WorkerLost

if TYPE_CHECKING:
    from concurrent.futures import Executor, Future

    from threadllm.dispatcher.hiring import Post, Workforce
    from threadllm.engines.wire import Envelope
    from threadllm.engines.worker import Spec

_KEPT = 8  # workers that a process keeps, with their connections and what they have learnt
_LONGEST = 60.0  # seconds after which a worker looks whether all has ended


@dataclass(frozen=True, slots=True)
class Chunks:
    """Workers in so many processes, or threads, of an executor: see `threadllm.connect`."""

    executor: Executor
    workers: int | None = None
    init: str | None = None

    def hire(self, post: Post) -> Workforce:
        """See `Engine.hire`."""
        told: int | None = getattr(self.executor, "_max_workers", None)  # as the standard ones say
        number = self.workers or told or os.cpu_count() or 1
        link = partial(ChunkLink, self.executor)
        return Fleet(post, number, link, self.init, is_told=False)


class ChunkLink:
    """The way to a worker that an executor runs, in whichever process: see `Link`."""

    def __init__(self, executor: Executor, spec: Spec) -> None:
        self._executor = executor
        self._spec = spec
        self._name = uuid4().hex
        self._ended = threading.Event()
        self._was_killed = False

    def start(self) -> None:
        """See `Link.start`."""
        self._work(Order([], {}, [], 0.0))

    def exchange(self, order: Order) -> Report:
        """See `Link.exchange`: all that it is told is done then."""
        return self._work(order)

    def nudge(self) -> None:
        """See `Link.nudge`: it cannot be reached."""

    def close(self) -> None:
        """See `Link.close`: it has ended with its chunk."""

    def kill(self) -> None:
        """See `Link.kill`: it is waited for no longer."""
        self._was_killed = True
        self._ended.set()

    def _work(self, order: Order) -> Report:
        self._ended.clear()
        try:
            future = self._executor.submit(work, self._name, self._spec, order)
            future.add_done_callback(self._end)
            self._ended.wait()
            if self._was_killed:
                future.cancel()
                raise WorkerLost("a worker was waited for no longer")
            report = future.result()
        except (BrokenExecutor, CancelledError, RuntimeError) as error:
            if isinstance(error, WorkerLost):
                raise
            reason = f"{type(error).__name__}: {error}"
            raise WorkerLost(f"the executor is of no use: {reason}", while_starting=True) from None
        if isinstance(report, str):
            raise WorkerLost(f"a worker cannot be started: {report}", while_starting=True)
        return report

    def _end(self, _: Future[Report | str]) -> None:
        self._ended.set()


_LOCK = threading.Lock()
_WORKERS: OrderedDict[str, Worker] = OrderedDict()  # of this process, by name; guarded by it


def work(name: str, spec: Spec, order: Order) -> Report | str:
    """Do what an order says, to its end; a text says why it cannot be done."""
    try:
        worker = _worker(name, spec)
    except BaseException as error:
        return problem_with(error)
    envelopes: list[Envelope] = []
    figures: dict[str, float] = {}
    report, told = None, order
    while report is None or len(envelopes) < len(order.parcels):
        report = worker.exchange(told)
        envelopes += report.envelopes
        for figure, by in report.figures.items():
            figures[figure] = figures.get(figure, 0) + by
        told = Order([], {}, [], _LONGEST)
    return report._replace(envelopes=envelopes, figures=figures)


def _worker(name: str, spec: Spec) -> Worker:
    with _LOCK:
        worker = _WORKERS.get(name) or Worker(spec)
        _WORKERS[name] = worker
        _WORKERS.move_to_end(name)
        spare = _WORKERS.popitem(last=False)[1] if len(_WORKERS) > _KEPT else None
    if spare is not None:
        spare.finish()
    return worker
