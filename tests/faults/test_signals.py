"""Row 22: real signals to real processes whose calls hang: within what time they are gone.

Whatever way the calls were begun.
"""

import signal
import subprocess
import time

import pytest

from tests.dispatcher.support import PATIENCE, plain_environment
from tests.support import until
from tests.transport.support import reply

CALLS = 64
SCRIPT = """
import os, sys, requests, threadllm

def call(prompt):
    return requests.post(
        os.environ["OPENAI_BASE_URL"] + "/chat/completions", json={"prompt": prompt}
    ).text

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
            print(prompts[futures.index(future)], future.result(), flush=True)

by_way = globals()["by_" + sys.argv[1]]
by_way([*range(1000)])
"""
ENDS = [(signal.SIGINT, -signal.SIGINT), (signal.SIGTERM, 143)]
CASES = [
    *((way, "http", *end) for way in ("map", "outcomes", "submit") for end in ENDS),
    *(("outcomes", "https", *end) for end in ENDS),
]
each_case = pytest.mark.parametrize(
    ("way", "tls", "number", "status"), CASES, indirect=["tls"], ids=str
)


@pytest.fixture
def server(serve, held):
    """Where they hang, until they are let go."""

    def answer(_):
        held.wait(PATIENCE)
        return reply(b"well")

    return serve(answer)


@pytest.fixture
def start(tmp_path, server, spawn):
    """Starts the script, and waits until all its calls hang."""
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)

    def process(way):
        environment = plain_environment() | {"OPENAI_BASE_URL": server.url}
        started = spawn(script, way, env=environment, stdout=subprocess.PIPE)
        until(lambda: len(server.requests) == CALLS)
        return started

    return process


@each_case
def test_fault_22_the_second_signal_ends_calls_that_hang(start, server, way, number, status):
    """Within half a second, with 64 of them; the process ends as one does that a signal ends."""
    process = start(way)
    process.send_signal(number)
    time.sleep(0.3)
    assert process.poll() is None
    began = time.monotonic()
    process.send_signal(number)
    process.communicate(timeout=PATIENCE)
    took = time.monotonic() - began

    assert process.returncode == status
    assert len(server.requests) == CALLS
    assert took < 0.5


@each_case
def test_fault_22_the_first_signal_lets_them_end(start, server, held, way, number, status):
    """No more are sent; `outcomes` hands back what was paid for."""
    process = start(way)
    process.send_signal(number)
    time.sleep(0.3)
    held.set()
    out, err = process.communicate(timeout=PATIENCE)

    assert process.returncode == status
    assert len(server.requests) == CALLS
    assert (len(out.splitlines()) == CALLS) is (way == "outcomes")
    assert ("stopping; up to 10 s" in err) is (way != "submit")
