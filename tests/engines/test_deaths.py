"""Workers that die: nothing is lost, nothing hangs, and whoever is to blame is found."""

import os
import signal
import time

import pytest

import threadllm
from tests.engines import jobs
from threadllm import Dispatcher, WorkerLost

pytestmark = pytest.mark.long


def test_a_worker_that_is_killed_loses_no_item(there, tmp_path):
    """What it had in flight is run again, and no more than that."""
    items = [(str(tmp_path / "marks"), 0.02, str(n)) for n in range(300)]
    with Dispatcher(8, **there) as pool:
        outcomes = pool.outcomes(jobs.marked_after, items, unpack="args")
        values = [next(outcomes).value]
        victim = pool.submit(jobs.where).result()
        values += [next(outcomes).value for _ in range(20)]
        os.kill(victim, signal.SIGKILL)
        values += [outcome.unwrap() for outcome in outcomes]
    assert sorted(values, key=int) == [str(n) for n in range(300)]
    begun = (tmp_path / "marks").read_text().split()
    assert {*begun} == {*values}
    assert len(begun) - 300 <= 8


def test_an_item_that_kills_its_worker_fails_alone(there):
    """All others have their values."""
    with Dispatcher(4, **there) as pool:
        outcomes = {one.item: one for one in pool.outcomes(jobs.die, range(40))}
    error = outcomes.pop(13).error
    assert isinstance(error, WorkerLost)
    assert str(error).startswith("a worker process has died: ")
    assert str(error).endswith(", as it ran this item alone")
    assert [one.value for one in outcomes.values()] == [one.item for one in outcomes.values()]


def test_an_item_whose_worker_dies_by_chance_is_run_again(there, tmp_path):
    """It is not to blame."""
    items = [(str(tmp_path / "died"), n) for n in range(40)]
    values = threadllm.map(jobs.die_once, items, unpack="args", max_workers=4, **there)
    assert values == [*range(40)]


@pytest.mark.parametrize(
    ("init", "reason"),
    [
        ("tests.engines.jobs:break_init", "RuntimeError: no settings, and api_key=[redacted]"),
        ("tests.engines.jobs:exit_init", ""),  # processes and Ray say it in their words
        ("tests.engines.jobs:nothing", "OptionError: init='tests.engines.jobs:nothing': module"),
    ],
)
def test_a_worker_that_dies_as_it_starts_is_told_of(engine, init, reason, capfd):
    """At once, and not tried again and again."""
    began = time.monotonic()
    with Dispatcher(4, engine=threadllm.connect(engine, workers=2, init=init)) as pool:
        with pytest.raises(WorkerLost) as caught:
            list(pool.map(jobs.double, range(100)))
        with pytest.raises(WorkerLost):
            pool.submit(jobs.double, 1)
    assert str(caught.value).startswith(f"a worker process cannot be started: {reason}")
    assert time.monotonic() - began < 40
    assert "planted" not in str(capfd.readouterr())


def test_each_worker_is_initialised_first(engine):
    """By a function that is named, such as django:setup."""
    initialised = threadllm.connect(engine, workers=2, init="tests.engines.jobs:initialise")
    assert threadllm.map(jobs.initialised, range(10), engine=initialised) == ["done"] * 10


def test_functions_that_always_kill_come_to_an_end(engine):
    """However many items there are."""
    with Dispatcher(2, engine=engine, workers=1) as pool:
        outcomes = list(pool.outcomes(jobs.die, [13] * 4))
    assert len(outcomes) == 4
    assert all(isinstance(one.error, WorkerLost) for one in outcomes)
