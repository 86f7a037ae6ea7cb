"""Signals to a real process, with a real provider at the other end."""

import json
import os
import signal
import subprocess

import pytest

from tests.cli.conftest import PATIENCE
from tests.support import until
from threadllm.clock import SYSTEM
from threadllm.simulator import Fault, Latency, Simulator

SIGNALS = [(signal.SIGINT, 130), (signal.SIGTERM, 143)]
STOPPING = "{}: stopping; up to 10 s for the calls in flight, once more leaves at once\n"


@pytest.fixture
def start(llm, spawn):
    """Starts `threadllm call` in a process of its own."""

    def process(sim, source, *options, **pipes):
        words = ["-m", "threadllm", "call", f"{llm}:ask", source, "-o", "out.jsonl"]
        environment = os.environ | {"OPENAI_BASE_URL": sim.base_url}
        return spawn(*words, "--no-progress", *options, env=environment, **pipes)

    return process


def lines(folder):
    return [json.loads(line) for line in (folder / "out.jsonl").read_text().splitlines()]


@pytest.mark.parametrize(("number", "status"), SIGNALS)
def test_calls_in_flight_are_finished_and_no_more_are_sent(start, write, tmp_path, number, status):
    """What was sent is answered and in the file; what was queued is not sent."""
    source = write("in.txt", "".join(f"{n}\n" for n in range(40)))
    with Simulator(latency=Latency(mean=0.7)) as sim:
        process = start(sim, source, "-c", "4")
        until(lambda: sim.counts().in_flight == 4)
        process.send_signal(number)
        _, err = process.communicate(timeout=PATIENCE)
        counts = sim.counts()

    assert process.returncode == status
    assert (counts.requests, counts.by_status) == (4, {200: 4})
    assert [line["error"] for line in lines(tmp_path)] == [None] * 4
    assert err.startswith(
        f"{STOPPING.format(signal.Signals(number).name)}4 items: 4 ok, 0 failed -> out.jsonl\n"
    )


@pytest.mark.parametrize(("number", "status"), SIGNALS)
def test_the_second_signal_ends_at_once_though_calls_hang(start, write, tmp_path, number, status):
    """Within half a second the process is gone; what had been written stays."""
    source = write("in.txt", "quick\nhangs\nhangs too\n")
    hang = [Fault(kind="hang")]
    with Simulator(script={"hangs": hang, "hangs too": hang}) as sim:
        process = start(sim, source, "-c", "3")
        until(lambda: sim.counts().in_flight == 2 and (tmp_path / "out.jsonl").read_text())
        process.send_signal(signal.SIGINT)
        assert process.stderr.readline() == STOPPING.format("SIGINT")
        began = SYSTEM.monotonic()
        process.send_signal(number)
        process.communicate(timeout=PATIENCE)
        took = SYSTEM.monotonic() - began

    assert process.returncode == status
    assert took < 0.5
    assert [line["id"] for line in lines(tmp_path)] == [1]


@pytest.mark.parametrize(("number", "status"), SIGNALS)
def test_a_signal_ends_the_wait_for_a_silent_pipe(start, tmp_path, number, status):
    """While the input delivers nothing the first signal ends the run; results are kept."""
    with Simulator() as sim:
        process = start(sim, "-", stdin=subprocess.PIPE)
        process.stdin.write('{"prompt": "a"}\n')
        process.stdin.flush()
        until(lambda: sim.counts().by_status == {200: 1})
        process.send_signal(number)
        status_then = process.wait(timeout=PATIENCE)  # while the pipe is open still
        process.communicate()

    assert status_then == status
    assert [line["id"] for line in lines(tmp_path)] == [1]
