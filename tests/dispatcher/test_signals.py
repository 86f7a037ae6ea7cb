"""Real signals to real processes whose calls hang at a real server: within what time they are gone.

Whatever way the calls were begun, over http and https.
"""

import signal
import subprocess
import sys
import time

import pytest

from tests.dispatcher.support import PATIENCE, plain_environment, until
from threadllm.simulator import Fault, Latency, Simulator

CALLS = 64
SCRIPT = """
import os, sys, requests, threadllm

def call(prompt):
    return requests.post(
        os.environ["OPENAI_BASE_URL"] + "/chat/completions",
        json={"model": "m", "messages": [{"role": "user", "content": prompt}]},
    ).json()["choices"][0]["message"]["content"]

def by_map(prompts):
    threadllm.map(call, prompts, max_workers=64)

def by_outcomes(prompts):
    with threadllm.Dispatcher(64) as pool:
        for outcome in pool.outcomes(call, prompts):
            print(outcome.item, flush=True)

def by_submit(prompts):
    with threadllm.Dispatcher(64) as pool:
        futures = [pool.submit(call, prompt) for prompt in prompts]
        for future in futures:
            print(prompts[futures.index(future)], future.result() and "", flush=True)

by_way = globals()["by_" + sys.argv[1]]
by_way([f"{sys.argv[2]} {n}" for n in range(1000)])
"""
ENDS = [(signal.SIGINT, -signal.SIGINT), (signal.SIGTERM, 143)]


@pytest.fixture
def start(tmp_path):
    """Starts the script in a process of its own, with signals as a shell sets them."""
    started = []
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)

    def process(sim, way, prompts):
        started.append(
            subprocess.Popen(
                [sys.executable, str(script), way, prompts],
                env=plain_environment() | {"OPENAI_BASE_URL": sim.base_url},
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
        )
        return started[-1]

    handler = signal.signal(signal.SIGINT, signal.default_int_handler)  # not ignored: inherited
    yield process
    signal.signal(signal.SIGINT, handler)
    for one in started:
        one.kill()
        one.communicate()


@pytest.mark.parametrize("way", ["map", "outcomes", "submit"])
@pytest.mark.parametrize(("number", "status"), ENDS)
def test_the_second_signal_ends_calls_that_hang(start, way, number, status):
    """Within half a second, with 64 of them; the process ends as one does that a signal ends."""
    with Simulator(script={f"hangs {n}": [Fault(kind="hang")] for n in range(CALLS)}) as sim:
        process = start(sim, way, "hangs")
        until(lambda: sim.counts().in_flight == CALLS)
        process.send_signal(number)
        time.sleep(0.3)
        assert process.poll() is None
        began = time.monotonic()
        process.send_signal(number)
        process.communicate(timeout=PATIENCE)
        took = time.monotonic() - began
        assert sim.counts().requests == CALLS

    assert process.returncode == status
    assert took < 0.5


@pytest.mark.parametrize("way", ["map", "outcomes", "submit"])
@pytest.mark.parametrize(("number", "status"), ENDS)
def test_the_first_signal_lets_calls_in_flight_end(start, way, number, status):
    """No more are sent; `outcomes` hands back what was paid for."""
    with Simulator(latency=Latency(mean=0.8)) as sim:
        process = start(sim, way, "slow")
        until(lambda: sim.counts().in_flight == CALLS)
        process.send_signal(number)
        out, err = process.communicate(timeout=PATIENCE)
        counts = sim.counts()

    assert process.returncode == status
    assert (counts.requests, counts.by_status) == (CALLS, {200: CALLS})
    assert (len(out.splitlines()) == CALLS) is (way == "outcomes")
    assert ("stopping; up to 10 s" in err) is (way != "submit")
