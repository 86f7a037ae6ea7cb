"""Any other executor as an engine: second best, and the same in what comes of it."""

import os
import time
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context

import pytest

import threadllm
from tests.dispatcher.support import PATIENCE
from tests.engines import jobs
from tests.engines.conftest import printed_by
from threadllm import Dispatcher, Quota, WorkerLost
from threadllm.engines import chunks, fleet, stopping
from threadllm.engines.chunks import work
from threadllm.engines.travel import pack
from threadllm.engines.wire import Order, Parcel
from threadllm.engines.worker import Spec
from threadllm.simulator import Simulator

SPEC = Spec(None, 2, pack({}), {"": Quota(2).settings}, leases=False)


@pytest.fixture(scope="module")
def processes():
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as executor:
        yield executor


@pytest.fixture
def threads():
    """They are here, and so easily looked into."""
    with ThreadPoolExecutor(2) as executor:
        yield executor
    for worker in [*chunks._WORKERS.values()]:
        worker.close()
    chunks._WORKERS.clear()


def test_the_standard_librarys_processes(processes, tmp_path):
    """Lists, outcomes with what they took, lambdas, failures and a journal."""
    factor, path = 3, tmp_path / "run.db"
    assert threadllm.map(lambda n: factor * n, range(50), max_workers=8, engine=processes) == [
        3 * n for n in range(50)
    ]
    with Simulator() as sim, Dispatcher(8, engine=processes, workers=2) as pool:
        asked = list(pool.outcomes(jobs.ask, [sim.base_url] * 20))
        mixed = list(pool.outcomes(jobs.fail, range(30), journal=path))
        again = list(pool.outcomes(jobs.fail, range(30), journal=path))
        assert os.getpid() not in {*pool.map(jobs.where, range(8))}
    assert all(one.ok and len(one.requests) == 1 and one.usage.total_tokens for one in asked)
    assert sum(one.ok for one in mixed) == 20
    assert {type(one.error) for one in mixed if not one.ok} == {ValueError}
    assert sum(one.from_journal for one in again) == 20


def test_each_worker_is_initialised_first(processes):
    """Wherever its chunk happens to be run."""
    engine = threadllm.connect(processes, workers=2, init="tests.engines.jobs:initialise")
    assert threadllm.map(jobs.initialised, range(40), max_workers=4, engine=engine) == ["done"] * 40
    broken = threadllm.connect(processes, init="tests.engines.jobs:break_init")
    with pytest.raises(WorkerLost, match=r"cannot be started: RuntimeError: .*\[redacted\]"):
        threadllm.map(jobs.double, range(3), engine=broken)


def test_each_has_its_part_of_the_limits(threads):
    """No more than all of them together is ever asked for."""
    quota = Quota(4, requests_per_minute=60 * 40, burst=2)
    began = time.monotonic()
    with Simulator() as sim, Dispatcher(4, engine=threads, quota=quota) as pool:
        list(pool.outcomes(jobs.ask, [sim.base_url] * 60))
        assert len(chunks._WORKERS) == 2
        for worker in chunks._WORKERS.values():
            stated = worker._quotas[""].settings
            assert (stated.requests_per_minute, stated.concurrency, stated.burst) == (1200, 2, 1)
    assert time.monotonic() - began > 60 / 40 * 0.8


def test_an_executor_that_breaks_ends_the_run():
    """It is its owner's to mend; each item is told."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as executor:
        with Dispatcher(2, engine=executor) as pool:
            outcomes = list(pool.outcomes(jobs.die, [13, 1, 2]))
        assert all(isinstance(one.error, WorkerLost) for one in outcomes)
        assert "the executor is of no use: BrokenProcessPool" in str(outcomes[0].error)
    with ThreadPoolExecutor(1) as executor:
        executor.shutdown()
    with pytest.raises(WorkerLost, match="of no use: RuntimeError: cannot schedule"):
        threadllm.map(jobs.double, [1], engine=executor)


def test_a_run_is_cancelled_though_its_chunk_goes_on(threads, monkeypatch):
    """Nobody waits for it longer than for the grace."""
    monkeypatch.setattr(stopping, "_LAST_GRACE", 0.05)
    began = time.monotonic()
    with Dispatcher(1, engine=threads, workers=1, grace=0.0) as pool:
        future = pool.submit(jobs.after, 3.0)
        while not any(worker._tasks for worker in [*chunks._WORKERS.values()]):
            time.sleep(0.001)
        pool.cancel()
        with pytest.raises(threadllm.RunStopped):
            future.result(PATIENCE)
        assert time.monotonic() - began < 2.9


def test_a_few_items_are_waited_for(threads, monkeypatch):
    """Lest the first of them keep a worker to itself."""
    sizes = []

    def noted(name, spec, order):
        sizes.append(len(order.parcels))
        return work(name, spec, order)

    monkeypatch.setattr(chunks, "work", noted)
    monkeypatch.setattr(fleet, "_MOMENT", 1.0)  # a busy machine may take its time
    with Dispatcher(8, engine=threads, workers=1) as pool:
        for future in [pool.submit(jobs.double, n) for n in range(16)]:
            future.result(PATIENCE)
        pool.submit(jobs.double, 1).result(PATIENCE)
    assert sizes == [0, 16, 1]


def test_old_workers_are_let_go(monkeypatch):
    """A process keeps a few."""
    monkeypatch.setattr(chunks, "_KEPT", 1)
    monkeypatch.setattr(chunks, "_WORKERS", type(chunks._WORKERS)())
    order = Order([Parcel(1, 0, 0, pack(((4,), {}, None)), None)], {0: pack(jobs.double)}, [], 0.0)
    first = work("first", SPEC, order)
    assert [one.number for one in first.envelopes] == [1]
    [worker] = chunks._WORKERS.values()
    work("second", SPEC, Order([], {}, [], 0.0))
    assert [*chunks._WORKERS] == ["second"]
    with pytest.raises(RuntimeError, match="shutdown"):
        worker._pool.submit(int)
    chunks._WORKERS["second"].close()


def test_as_many_workers_as_there_are_cores(threads):
    """Where an executor does not say how many it has."""

    class Silent(Executor):
        def submit(self, *words):
            return threads.submit(*words)

    with Dispatcher(64, engine=Silent()) as pool:
        assert pool.submit(jobs.double, 1).result(PATIENCE) == 2
        assert pool._staff.workers._roster._number == os.cpu_count()


OTHERS = """
import os, loky, distributed, threadllm
from tests.engines import jobs
from tests.engines.conftest import places_of
if __name__ == "__main__":
    executor = loky.get_reusable_executor(2)
    print(threadllm.map(jobs.double, range(9), max_workers=8, engine=executor))
    executor.shutdown()
    options = {"n_workers": 2, "threads_per_worker": 1, "dashboard_address": None}
    with distributed.Client(**options) as client:
        engine = threadllm.connect(client.get_executor(), workers=2)
        with threadllm.Dispatcher(4, engine=engine) as pool:
            places = places_of(pool, 2)
    print(len(places), os.getpid() in places)
"""


@pytest.mark.sdks
def test_those_of_loky_and_dask():
    """They are what their users have."""
    for name in ("loky", "distributed"):
        pytest.importorskip(name)
    assert printed_by(OTHERS) == "[0, 2, 4, 6, 8, 10, 12, 14, 16]\n2 False\n"
