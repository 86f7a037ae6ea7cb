"""`--deadline`: an item that takes too long fails, and nobody waits for what it does."""

import os
import subprocess
import sys

import pytest

from threadllm.cli import main
from threadllm.simulator import Fault, Simulator

from .conftest import PATIENCE, records

STUCK = """
import threading
held = threading.Event()

def wait(item):
    return item if item == "quick" else held.wait(600)
"""
ERROR = "threadllm.transport.deadline.DeadlineExceeded"
TEXT = "the call's deadline of 0.2 s has passed"


@pytest.fixture
def stuck(write):
    """A script whose function cannot be broken off."""
    yield write("stuck.py", STUCK)
    module = sys.modules.get("stuck")
    if module is not None:
        module.held.set()


@pytest.fixture
def items(write):
    return write("in.txt", "slow\nquick\n")


def test_a_function_that_cannot_be_broken_off_is_abandoned(cli, stuck, items):
    """Its item has the deadline's error, and the summary says that it may go on."""
    done = cli(
        "call", f"{stuck}:wait", items, "-o", "out.jsonl", "--no-progress", "--deadline", 0.2
    )

    slow, quick = records("out.jsonl")
    assert (done.status, quick["value"]) == (1, "quick")
    assert slow["error"] == {"type": ERROR, "message": TEXT, "status": None}
    abandoned = "1 call abandoned at the deadline, as no request of theirs could be broken off"
    assert abandoned in done.err.splitlines()


def test_the_program_ends_though_a_call_goes_on(stuck, items):
    """What is written is whole."""
    command = ["call", f"{stuck}:wait", items, "-o", "-", "--deadline", "0.2", "--no-progress"]
    done = subprocess.run(
        [sys.executable, "-m", "threadllm", *map(str, command)],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )

    assert (done.returncode, len(done.stdout.splitlines())) == (1, 2)
    assert done.stderr.splitlines()[0] == "2 items: 1 ok, 1 failed -> stdout"


@pytest.mark.parametrize(("deadline", "left"), [("0.2", [1]), ("600", [])])
def test_it_is_left_where_python_would_wait(stuck, write, monkeypatch, deadline, left):
    """And only there."""
    items = write("in.txt", "slow\n" if left else "quick\n")
    command = ["threadllm", "call", f"{stuck}:wait", items, "-o", "out.jsonl"]
    monkeypatch.setattr(sys, "argv", [*map(str, command), "--deadline", deadline])
    statuses = []
    monkeypatch.setattr(os, "_exit", statuses.append)

    assert main() == (1 if left else 0)
    assert statuses == left


def test_requests_are_broken_off(cli, write):
    """Those of `run` are its own, so that none is abandoned."""
    prompts = write("in.jsonl", '{"prompt": "hangs"}\n{"prompt": "answers"}\n')
    with Simulator(script={"hangs": [Fault(kind="hang")]}) as sim:
        done = cli(
            *("run", prompts, "-o", "out.jsonl", "--base-url", sim.base_url, "--model", "m"),
            *("--deadline", 0.5, "--no-progress"),
        )

    errors = [record["error"] for record in records("out.jsonl")]
    assert (done.status, [error and error["code"] for error in errors]) == (
        1,
        [ERROR, None],
    )
    assert "abandoned" not in done.err
