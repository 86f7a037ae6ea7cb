"""Many threads that take turns as often as they can: nothing lost, nothing left, nothing twice."""

import random
import threading
from collections import Counter
from concurrent.futures import CancelledError, wait

import pytest

from tests.dispatcher.support import PATIENCE, BusyError, Calls
from threadllm import Dispatcher, Retry

pytestmark = pytest.mark.usefixtures("eager_switching")

AT_ONCE = Retry(attempts=3, wait_initial=0)


def fate(future):
    """How a future ended; it must have."""
    try:
        error = future.exception(0)
    except CancelledError:
        return "cancelled"
    return "ok" if error is None else "failed"


@pytest.mark.parametrize("seed", range(10))
def test_no_task_is_lost_among_many_submitters(seed):
    """Every item submitted by whichever thread ends with its own value, and totals are exact."""
    luck = random.Random(seed)
    failures = {
        n: [BusyError() for _ in range(luck.choice([0, 0, 0, 1, 2, 3]))] for n in range(600)
    }
    fails = {n for n, errors in failures.items() if len(errors) == 3}
    calls, futures = Calls(failures), {}

    def submit(numbers):
        for n in numbers:
            futures[n] = pool.submit(calls, n)

    with Dispatcher(luck.choice([1, 2, 7]), concurrency=luck.choice([1, 3]), retry=AT_ONCE) as pool:
        submitters = [
            threading.Thread(target=submit, args=(range(k, 600, 4),), name=f"submitter {k}")
            for k in range(4)
        ]
        for submitter in submitters:
            submitter.start()
        for submitter in submitters:
            submitter.join(PATIENCE)

    assert {n: fate(future) for n, future in futures.items()} == {
        n: "failed" if n in fails else "ok" for n in range(600)
    }
    assert [futures[n].result() for n in range(600) if n not in fails] == [
        n for n in range(600) if n not in fails
    ]
    totals = pool.totals
    assert (totals.ok, totals.failed, totals.retrying) == (600 - len(fails), len(fails), 0)


def test_a_thread_is_found_for_each_single_task():
    """However idle threads come and go, one task after another is run."""
    with Dispatcher(3, retry=AT_ONCE) as pool:
        for n in range(2000):
            calls = Calls({n: [BusyError()]} if n % 3 == 0 else {})
            assert pool.submit(calls, n).result(PATIENCE) == n


def test_runs_of_outcomes_side_by_side_do_not_mix():
    """Several readers on one dispatcher each get their own items, once."""
    found = {}

    def read(name):
        found[name] = Counter(
            (o.item, o.value)
            for o in pool.outcomes(lambda item: item, [(name, n) for n in numbers])
        )

    numbers = range(300)
    with Dispatcher(4) as pool:
        readers = [threading.Thread(target=read, args=(name,)) for name in "abcd"]
        for reader in readers:
            reader.start()
        for reader in readers:
            reader.join(PATIENCE)

    assert found == {name: Counter({((name, n), (name, n)): 1 for n in numbers}) for name in "abcd"}


@pytest.mark.parametrize("cancel", [True, False])
def test_a_shutdown_races_submissions_and_retries(cancel):
    """Whenever it comes, what was taken ends, and what was not is refused."""
    for seed in range(60):
        luck = random.Random(seed)
        failures = {n: [BusyError() for _ in range(luck.randrange(4))] for n in range(300)}
        pool = Dispatcher(luck.choice([1, 3]), retry=AT_ONCE)
        _race(pool, Calls(failures), luck.randrange(200), cancel=cancel)


def _race(pool, calls, moment, *, cancel):
    futures, refused, moments = [], set(), threading.Semaphore(0)

    def submit():
        for n in range(300):
            try:
                futures.append(pool.submit(calls, n))
            except RuntimeError as error:
                refused.add(str(error))
            moments.release()

    submitter = threading.Thread(target=submit)
    submitter.start()
    for _ in range(moment):
        moments.acquire()
    pool.shutdown(cancel_futures=cancel)
    submitter.join(PATIENCE)

    done, pending = wait(futures, PATIENCE)
    fates = Counter(map(fate, done))
    totals = pool.totals
    assert (len(done), pending) == (len(futures), set())
    assert (totals.ok, totals.failed, totals.retrying) == (fates["ok"], fates["failed"], 0)
    assert refused <= {"cannot schedule new futures after shutdown"}
    assert cancel or fates["cancelled"] == 0
