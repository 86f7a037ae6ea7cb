"""What holds for a ThreadPoolExecutor's `map` holds for a Dispatcher's, and for its end."""

import gc
import threading
from concurrent.futures import TimeoutError as LateError

import pytest

from tests.dispatcher.support import PATIENCE, python

EXIT = """
import time
from concurrent.futures import ThreadPoolExecutor
from threadllm import Dispatcher
def call(n):
    time.sleep(0.02)
    print(f"{{n}}\\n", end="", flush=True)
pool = {executor}(2)
for n in range(20):
    pool.submit(call, n)
"""
RETRY_AT_EXIT = """
from threadllm import Dispatcher, Retry
tries = []
def call(n):
    tries.append(n)
    if tries.count(n) < 3:
        raise ConnectionError
    print(f"{n}\\n", end="", flush=True)
pool = Dispatcher(2, retry=Retry(wait_initial=0.05, jitter="none"))
for n in range(10):
    pool.submit(call, n)
"""


@pytest.mark.parametrize(
    ("inputs", "values"),
    [
        ([[2, 3, 4], [5, 2]], [32, 9]),
        ([[2, 3, 4], {5: 0, 2: 0, 1: 0}, (7, 7, 7)], [4, 2, 4]),
        ([[]], []),
        ([], []),
    ],
)
def test_values_come_in_order_until_the_shortest_input_ends(executor, inputs, values):
    """Any number of inputs is taken, none included."""
    with executor(3) as pool:
        assert [*pool.map(pow, *inputs)] == values


def test_the_first_failure_is_raised_in_its_place(executor):
    """Values before it are handed over; after it the iterator has ended."""

    def call(n):
        if n in {2, 4}:
            raise ValueError(n)
        return n

    with executor(2) as pool:
        results = pool.map(call, range(6), chunksize=2)
        assert [next(results), next(results)] == [0, 1]
        with pytest.raises(ValueError, match="2"):
            next(results)
        assert [*results] == []


def test_it_begins_before_it_is_iterated(executor, held):
    """The first call runs while nobody asks for its value."""
    with executor(1) as pool:
        results = pool.map(lambda event: event.set() or "begun", [held])
        assert held.wait(PATIENCE)
        assert [*results] == ["begun"]


def test_a_late_value_is_an_error_and_ends_the_run(executor, held):
    """Past the timeout the iterator raises, and what has not begun is cancelled."""
    ran = []

    def call(n):
        ran.append(n)
        held.wait()

    with executor(1) as pool:
        with pytest.raises(LateError):
            next(pool.map(call, range(4), timeout=0.05))
        held.set()

    assert ran == [0]


def test_values_can_be_read_after_the_block(executor):
    """An iterator that was made within the block gives all its values after it."""
    with executor(2) as pool:
        results = pool.map(str, range(50))

    assert [*results] == [str(n) for n in range(50)]


def test_an_iterator_that_nobody_reads_runs_whole(executor):
    """Every item is run by the end of the block, read or not."""
    ran = []
    with executor(2) as pool:
        pool.map(ran.append, range(50))

    assert sorted(ran) == [*range(50)]


def test_closing_the_iterator_cancels_what_has_not_begun(executor, held):
    """A reader who leaves early pays for no more calls than have begun."""
    ran, second = [], threading.Event()

    def call(n):
        ran.append(n)
        if n == 1:
            second.set()
            held.wait()
        return n

    with executor(1) as pool:
        results = pool.map(call, range(9))
        assert next(results) == 0
        second.wait()
        results.close()
        held.set()

    assert ran == [0, 1]


@pytest.mark.parametrize("name", ["ThreadPoolExecutor", "Dispatcher"])
def test_the_program_ends_after_everything_submitted(name):
    """Without a shutdown, calls that are queued when the program ends are run."""
    printed = python(EXIT.format(executor=name))

    assert sorted(printed.split(), key=int) == [str(n) for n in range(20)]


def test_the_program_ends_after_retries():
    """Calls that wait for another try when the program ends are tried."""
    assert sorted(python(RETRY_AT_EXIT).split(), key=int) == [str(n) for n in range(10)]


def test_an_executor_that_is_dropped_ends_its_threads(executor):
    """Without a shutdown, and without the collector's help, threads end with their executor."""
    gc.disable()
    try:
        pool = executor(2)
        thread = pool.submit(threading.current_thread).result()
        assert [*pool.map(str, range(9))] == [*"012345678"]
        assert thread.is_alive()
        del pool
        thread.join(PATIENCE)
        assert not thread.is_alive()
    finally:
        gc.enable()
