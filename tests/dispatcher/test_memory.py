"""Memory does not grow with the input: each run in a process of its own, all at the same time."""

import subprocess
import sys

import pytest

from tests.dispatcher.support import PATIENCE, plain_environment

pytestmark = pytest.mark.long
MOST = 10  # MB that the peak may rise above what it was before the run

RUN = """
import itertools, resource, sys, time
from threadllm import Dispatcher, deadline
unit = 2**20 if sys.platform == "darwin" else 2**10
def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit
def fail(n):
    raise ValueError(n)
def fails_with(text):
    raise ValueError(text)
def consume(outcomes, number):
    for n, _ in enumerate(outcomes, 1):
        if n == number:
            break
        if pause and n % 1000 == 0:
            time.sleep(0.01)
pause = False
with Dispatcher(8) as pool:
    consume(pool.outcomes(fail, range(1000)), 1000)
    consume(pool.outcomes(str, range(1000), ordered=True), 1000)
    list(pool.map(str, range(1000)))
    before = peak()
    {run}
    print(peak() - before)
"""
RUNS = {
    "ordered": "consume(pool.outcomes(abs, (n for n in range(300_000)), ordered=True), 300_000)",
    "as finished": "consume(pool.outcomes(abs, (n for n in range(300_000))), 300_000)",
    "with a deadline": (
        "with deadline(600): consume(pool.outcomes(abs, (n for n in range(10**5))), 10**5)"
    ),
    "map": "consume(pool.map(abs, (n for n in range(10**5))), 10**5)",
    "slow reader": "pause = True; consume(pool.outcomes(abs, itertools.count()), 20_000)",
    "slow reader in order": (
        "pause = True; consume(pool.outcomes(abs, itertools.count(), ordered=True), 20_000)"
    ),
    "failing": "consume(pool.outcomes(fail, range(200_000)), 200_000)",
}
# A process inherits the peak of the one that starts it. So a small one comes between.
LAUNCH = "import subprocess, sys; sys.exit(subprocess.call([sys.executable, '-c', sys.argv[1]]))"


@pytest.fixture(scope="module")
def rises():
    """Starts all runs; then gives the rise of the peak, in MB, by run."""
    started = {
        name: subprocess.Popen(
            [sys.executable, "-c", LAUNCH, RUN.replace("{run}", run)],
            stdout=subprocess.PIPE,
            text=True,
            env=plain_environment(),
        )
        for name, run in RUNS.items()
    }
    yield lambda name: float(started[name].communicate(timeout=6 * PATIENCE)[0])
    for process in started.values():
        process.kill()
        process.communicate()


@pytest.mark.parametrize("name", RUNS)
def test_memory_does_not_grow_with_the_input(rises, name):
    """A long input, a slow reader, a run of nothing but failures: the peak stays."""
    assert rises(name) < MOST
