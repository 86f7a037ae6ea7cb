import json
from email.utils import parsedate_to_datetime

import pytest
import requests

from tests.simulator.support import CHAT, chat, chat_body, connect, post, read_all
from threadllm.clock import SYSTEM
from threadllm.simulator import Fault, Latency, Limits, Simulator, answer_to
from threadllm.simulator import clock as room
from threadllm.simulator.clock import FastClock
from threadllm.testing import FakeClock

HOUR = 3600.0
# An hour of these simulators' time is over in 36 ms, so what would take one really ends.
SPEED = 100_000.0


@pytest.fixture
def system(monkeypatch):
    """The machine's clock, which stands still."""
    clock = FakeClock(start=1000.0, wall=1_700_000_000.0)
    monkeypatch.setattr(room, "SYSTEM", clock)
    return clock


def test_its_time_passes_faster(system):
    """Seconds pass `speed` times as fast, and dates do from where they were."""
    clock = FastClock(20.0)
    assert (clock.now(), clock.time(), clock.date()) == (
        0.0,
        1_700_000_000.0,
        "Tue, 14 Nov 2023 22:13:20 GMT",
    )
    system.advance(3)
    assert (clock.now(), clock.time()) == (60.0, 1_700_000_060.0)
    assert clock.date() == "Tue, 14 Nov 2023 22:14:20 GMT"
    assert clock.real(60.0) == 3.0


def test_at_speed_one_it_is_the_machines(system):
    """By default the clock tells what the machine's tells."""
    clock = FastClock()
    system.advance(7.5)
    assert (clock.now(), clock.time()) == (7.5, system.time())


def test_limits_are_of_its_time(system):
    """The wait that is told is over after its `speed`-th part."""
    with Simulator(limits=Limits(requests_per_minute=1), speed=20.0) as sim:
        assert chat(sim).status_code == 200
        system.advance(2)
        refused = chat(sim)
        assert (refused.status_code, refused.headers["retry-after"]) == (429, "20")
        system.advance(1)
        assert chat(sim).status_code == 200


def test_dates_are_of_its_time(system):
    """The date of an answer and the reset beside it are told by one clock."""
    body = {**chat_body(), "max_tokens": 100}
    with Simulator(limits=Limits(requests_per_minute=1), speed=20.0) as sim:
        system.advance(3)
        headers = post(sim, "/v1/messages", body).headers
    assert headers["date"] == "Tue, 14 Nov 2023 22:14:20 GMT"
    assert headers["anthropic-ratelimit-requests-reset"] == "2023-11-14T22:15:20Z"


def test_an_answer_is_dated_now():
    """Without haste the date of an answer is the machine's."""
    before = int(SYSTEM.time())
    with Simulator() as sim:
        dated = parsedate_to_datetime(chat(sim).headers["date"]).timestamp()
    assert before <= dated <= SYSTEM.time()


@pytest.mark.parametrize("latency", [Latency(mean=HOUR), Latency(tokens_per_second=8 / HOUR)])
def test_a_latency_is_of_its_time(latency):
    """An answer that takes an hour comes well before that."""
    with Simulator(latency=latency, speed=SPEED) as sim:
        assert chat(sim).status_code == 200


def test_a_stream_is_paced_in_its_time():
    """A token an hour is soon a text."""
    latency = Latency(time_to_first_token=HOUR, tokens_per_second=1 / HOUR)
    with Simulator(latency=latency, speed=SPEED) as sim:
        response = requests.post(sim.url + CHAT, json=chat_body(stream=True), timeout=60)
    lines = [line[6:] for line in response.text.split("\n") if line.startswith("data: {")]
    deltas = [json.loads(line)["choices"][0]["delta"].get("content", "") for line in lines]
    assert "".join(deltas) == answer_to("hello")


@pytest.mark.parametrize("kind", ["reset_body", "short_body"])
def test_a_fault_is_paced_in_its_time(kind):
    """A connection that breaks after an hour soon breaks."""
    with (
        Simulator(script=[Fault(kind=kind, interval=HOUR)], speed=SPEED) as sim,
        pytest.raises((requests.ConnectionError, requests.exceptions.ChunkedEncodingError)),
    ):
        chat(sim)


def test_a_body_drips_in_its_time():
    """A byte every ten seconds is soon an answer."""
    with Simulator(script=[Fault(kind="body_drip", interval=10)], speed=SPEED) as sim:
        assert chat(sim).status_code == 200


def test_an_idle_connection_is_closed_in_its_time():
    """A connection that may idle for an hour is soon closed."""
    with Simulator(keep_alive=HOUR, speed=SPEED) as sim:
        request = f"GET /search?q=a HTTP/1.1\r\nHost: 127.0.0.1:{sim.port}\r\n\r\n"
        with connect(sim, request) as sock:
            assert read_all(sock).startswith(b"HTTP/1.1 200 OK\r\n")
