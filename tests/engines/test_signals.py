"""Ctrl-C, to the process or to all of its group; and the driver's end, however it comes."""

import os
import signal
import subprocess
import sys
import time

import pytest

from tests.engines.conftest import ENGINES

pytestmark = pytest.mark.long

PROGRAM = """
import sys, threadllm
from tests.engines import jobs
items = [(sys.argv[1], {seconds}, str(n)) for n in range(200)]
with threadllm.Dispatcher(4, engine={engine!r}, workers=2, grace=5) as pool:
    for outcome in pool.outcomes(jobs.marked_after, items, unpack="args", journal={journal!r}):
        print(outcome.value, flush=True)
"""


EITHER = pytest.mark.parametrize("engine", ENGINES)


def start(engine, marks, seconds, journal=None):
    program = PROGRAM.format(engine=engine, seconds=seconds, journal=journal)
    return subprocess.Popen(
        [sys.executable, "-c", program, str(marks)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env={**os.environ, "RAY_ADDRESS": "local"},  # and no cluster that others have left
    )


def lines_of(path):
    return path.read_text().split() if path.exists() else []


def begun(process, marks):
    end = time.monotonic() + 60
    while not lines_of(marks):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < end
        time.sleep(0.02)


def nobody_writes(marks):
    """See that no worker goes on."""
    before = len(lines_of(marks))
    time.sleep(1.0)
    return len(lines_of(marks)) == before


@pytest.mark.parametrize(
    ("engine", "number", "to_group", "status"),
    [
        ("processes", signal.SIGINT, False, -2),
        ("processes", signal.SIGINT, True, -2),
        ("processes", signal.SIGTERM, False, 143),
        ("processes", signal.SIGTERM, True, 143),
        # Ray's own ways out of a program.
        pytest.param("ray", signal.SIGINT, True, 1, marks=pytest.mark.ray),
        pytest.param("ray", signal.SIGTERM, False, 15, marks=pytest.mark.ray),
    ],
)
def test_a_signal_lets_what_is_in_flight_end(tmp_path, engine, number, to_group, status):
    """All that has ended is handed over, and no worker stays."""
    marks = tmp_path / "marks"
    process = start(engine, marks, 0.5)
    begun(process, marks)
    (os.killpg if to_group else os.kill)(process.pid, number)
    out, err = process.communicate(timeout=60)
    assert process.returncode == status, err
    assert sorted(out.split()) == sorted(lines_of(marks))
    assert len(out.split()) < 20
    assert "stopping; up to 5 s for the calls in flight" in err
    assert nobody_writes(marks)


@EITHER
def test_a_second_signal_breaks_off(tmp_path, engine):
    """At once."""
    marks = tmp_path / "marks"
    process = start(engine, marks, 60)
    begun(process, marks)
    process.send_signal(signal.SIGINT)
    time.sleep(0.3)
    began = time.monotonic()
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    assert process.returncode in {-signal.SIGINT, 1}
    assert time.monotonic() - began < 20


@pytest.mark.parametrize(
    ("engine", "after"),
    [
        ("processes", 0.3),
        ("processes", 0.5),
        ("processes", 0.7),
        pytest.param("ray", 2.5, marks=pytest.mark.ray),  # Ray comes up
        pytest.param("ray", 5.5, marks=pytest.mark.ray),
    ],
)
def test_a_signal_while_workers_start_ends_them(tmp_path, engine, after):
    """Whatever they have come to."""
    process = start(engine, tmp_path / "marks", 0.2)
    time.sleep(after)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=60)
    assert process.returncode in {-signal.SIGINT, 1}  # 1 is of an import that was interrupted
    assert nobody_writes(tmp_path / "marks")


@EITHER
def test_a_driver_that_is_killed_is_gone_on_with(tmp_path, engine):
    """Its workers end; what its journal has is not bought again."""
    marks, journal = tmp_path / "marks", str(tmp_path / "run.db")
    process = start(engine, marks, 0.05, journal)
    begun(process, marks)
    time.sleep(0.5)
    process.kill()
    process.communicate()
    time.sleep(1.0)
    first = lines_of(marks)
    assert nobody_writes(marks)
    again = start(engine, marks, 0.05, journal)
    out, err = again.communicate(timeout=60)
    assert again.returncode == 0, err
    assert sorted(out.split(), key=int) == [str(n) for n in range(200)]
    bought_twice = len(lines_of(marks)) - 200
    assert bought_twice <= 6 + 4  # what was in flight, and what had not been journalled yet
    assert first
