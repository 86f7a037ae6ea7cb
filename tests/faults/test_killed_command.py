"""Row 21 at the command line: `threadllm call … --journal`, killed by -9 and started again."""

import json
import random
import time
from pathlib import Path

import pytest

from tests.conftest import PATIENCE
from tests.dispatcher.support import plain_environment
from threadllm.simulator import Latency, Simulator

ITEMS = 400
WORKERS = 8
KILLS = 5
FUNCTION = """
import os, requests

def ask(prompt):
    body = {"model": "m", "messages": [{"role": "user", "content": prompt}]}
    response = requests.post(os.environ["BASE_URL"] + "/chat/completions", json=body)
    response.raise_for_status()
    return response.json()["choices"][0]["message"]["content"]
"""


@pytest.fixture
def sim():
    with Simulator(latency=Latency(mean=0.02)) as running:
        yield running


@pytest.fixture
def start(tmp_path, sim, spawn):
    """Starts the command in a folder."""
    (tmp_path / "f.py").write_text(FUNCTION)
    items = [{"id": n, "prompt": f"prompt {n}"} for n in range(ITEMS)]
    (tmp_path / "in.jsonl").write_text("".join(f"{json.dumps(item)}\n" for item in items))

    def begin(folder):
        words = ["-m", "threadllm", "call", "../f.py:ask", "../in.jsonl", "-o", "results.jsonl"]
        options = ["-c", WORKERS, "--journal", "run.db", "--no-progress"]
        environment = plain_environment() | {"BASE_URL": sim.base_url}
        return spawn(*words, *options, cwd=folder, env=environment)

    return begin


def results(folder):
    """The lines, sorted, without the seconds that each took."""
    lines = [json.loads(line) for line in (folder / "results.jsonl").read_text().splitlines()]
    return sorted(json.dumps(line | {"elapsed": None}, sort_keys=True) for line in lines)


def await_size(file: Path, size):
    """Wait until a file is as long as that."""
    end = time.monotonic() + PATIENCE
    while not file.exists() or file.stat().st_size < size:
        assert time.monotonic() < end
        time.sleep(0.002)


def test_fault_21_a_command_that_was_killed_gives_the_same_results(start, tmp_path, sim):
    """Line for line after sorting; what is bought again was in flight at a kill."""
    undisturbed, killed = tmp_path / "undisturbed", tmp_path / "killed"
    undisturbed.mkdir()
    killed.mkdir()
    assert start(undisturbed).communicate()[1].startswith(f"{ITEMS} items: {ITEMS} ok, 0 failed")
    wanted = results(undisturbed)
    size = (undisturbed / "results.jsonl").stat().st_size
    bought = sim.counts().requests

    dice, statuses = random.Random(5), []
    for n in range(KILLS):
        process = start(killed)
        # Somewhere in its part of the whole, even in the middle of a line.
        await_size(killed / "results.jsonl", size * (n + dice.random() * 0.8) / (KILLS + 1))
        process.kill()
        statuses.append(process.wait())
    said = start(killed).communicate()[1]

    assert statuses == [-9] * KILLS
    assert results(killed) == wanted
    assert said.startswith(f"{ITEMS} items: {ITEMS} ok, 0 failed, ")
    assert "of them remembered" in said
    assert bought == ITEMS < sim.counts().requests <= 2 * ITEMS + KILLS * WORKERS
