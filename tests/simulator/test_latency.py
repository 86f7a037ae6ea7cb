import json
from statistics import fmean, pstdev

import pytest
import requests

from tests.simulator.support import CHAT, chat, chat_body, connect
from tests.support import until
from threadllm.clock import SYSTEM
from threadllm.exceptions import OptionError
from threadllm.simulator import Fault, Latency, Simulator, answer_to
from threadllm.simulator.latency import Pace


def test_without_spread_every_answer_takes_the_mean():
    """Without spread the pace is the figures given."""
    latency = Latency(mean=1.0, time_to_first_token=0.5, tokens_per_second=4)
    assert latency.pace(0.1) == latency.pace(0.9) == Pace(first=1.5, token=0.25)
    assert Pace(first=1.5, token=0.25).total(10) == 4.0


def test_each_other_request_makes_an_answer_longer():
    """The pace is slower by `load` for each request beside it, in all its parts."""
    latency = Latency(mean=1.0, time_to_first_token=1.0, tokens_per_second=4, load=0.05)
    paces = [latency.pace(0.5, others) for others in (0, 1, 20)]
    assert [(pace.first, pace.token) for pace in paces] == [(2.0, 0.25), (2.1, 0.2625), (4.0, 0.5)]


def test_the_load_is_that_of_the_whole_simulator(monkeypatch):
    """Whatever is in flight when a request arrives counts, whichever its path, key or fate."""
    seen = []
    pace = Latency.pace
    monkeypatch.setattr(
        Latency, "pace", lambda self, roll, others: seen.append(others) or pace(self, roll, others)
    )
    with Simulator(script=[Fault(kind="hang")] * 2) as sim:
        with connect(sim), connect(sim):
            until(lambda: sim.counts().in_flight == 2)
            chat(sim, headers={"x-api-key": "another"})
        until(lambda: sim.counts().in_flight == 0)
        chat(sim)
    assert seen == [2, 0]


def test_the_spread_keeps_the_mean():
    """Draws have the mean and the relative deviation asked for, and a tail to the right."""
    latency = Latency(mean=2.0, spread=0.5)
    draws = [latency.pace((place + 0.5) / 10_000).first for place in range(10_000)]
    assert fmean(draws) == pytest.approx(2.0, rel=0.01)
    assert pstdev(draws) == pytest.approx(1.0, rel=0.02)
    assert draws[5000] < 2.0


@pytest.mark.parametrize(
    "name", ["mean", "spread", "time_to_first_token", "tokens_per_second", "load"]
)
@pytest.mark.parametrize("value", [-1, float("nan"), float("inf")])
def test_figures_that_cannot_be(name, value):
    """A figure that is negative or not finite is refused by name."""
    with pytest.raises(OptionError) as caught:
        Latency(**{name: value})
    assert str(caught.value) == f"{name}={value!r}: give a finite number of at least 0"


def test_an_answer_takes_its_time_and_an_error_does_not():
    """An answer comes after its latency; an error comes at once."""
    latency = Latency(mean=0.02, time_to_first_token=0.02, tokens_per_second=200)
    with Simulator(latency=latency, script=[Fault(status=503), Fault(kind="ok")]) as sim:
        started = SYSTEM.monotonic()
        assert chat(sim).status_code == 503
        assert SYSTEM.monotonic() - started < 1
        started = SYSTEM.monotonic()
        assert [chat(sim).status_code, chat(sim).status_code] == [200, 200]
        assert SYSTEM.monotonic() - started >= 0.16


def test_a_stream_comes_a_token_at_a_time():
    """A paced stream hands over its tokens one by one, and takes as long as the whole."""
    with (
        Simulator(latency=Latency(tokens_per_second=200)) as sim,
        requests.post(
            sim.url + CHAT, json=chat_body(stream=True), stream=True, timeout=5
        ) as response,
    ):
        started = SYSTEM.monotonic()
        lines = [line for line in response.iter_lines() if line.startswith(b"data: {")]
        elapsed = SYSTEM.monotonic() - started
    deltas = [json.loads(line[6:])["choices"][0]["delta"].get("content", "") for line in lines]
    assert "".join(deltas) == answer_to("hello")
    assert elapsed >= 0.03
