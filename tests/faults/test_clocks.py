"""Rows 26 to 28: what must not touch a run as a whole, and a quota that does."""

import random

import pytest

from tests.quota.simulated import Provider, Simulation, lognormal
from tests.transport.support import EXACT, get, reply, run
from threadllm.quota import forget
from threadllm.testing import FakeClock

A_SECOND = 500 / 60  # requests that the provider lets through
HALVED, DOUBLED = 120, 240  # seconds from the beginning


@pytest.mark.parametrize("kind", [SystemExit, KeyboardInterrupt, GeneratorExit])
def test_fault_26_what_would_end_a_program_fails_its_item_alone(kind):
    """The pool lives, and every item has its outcome."""

    def call(item):
        if item % 3 == 0:
            raise kind
        return item

    outcomes = run(call, range(30), max_workers=4)
    assert [one.value for one in outcomes] == [n if n % 3 else None for n in range(30)]
    assert {type(one.error) for one in outcomes if one.item % 3 == 0} == {kind}


class Stepping(FakeClock):
    """Its wall clock is set anew whenever somebody looks: by up to a year, back or forward."""

    def __init__(self, seed):
        super().__init__()
        self._dice = random.Random(seed)

    def time(self):
        """See `FakeClock.time`."""
        return super().time() + self._dice.uniform(-1, 1) * 365 * 86_400


@pytest.mark.parametrize("seed", [1, 2])
def test_fault_27_a_wall_clock_that_steps_has_no_effect(serve, seed):
    """Pauses, waits and deadlines take what they take by one that does not."""

    def seconds(clock):
        forget()  # what was learnt by the other clock
        answers = [reply(status=429, retry_after="7"), reply(status=503), reply(b"well")] * 3
        server = serve(*answers)
        began = clock.monotonic()
        with clock.running():
            outcomes = run(
                lambda _: get(server.url), range(3), clock=clock, retry=EXACT, deadline=60
            )
        assert [one.value for one in outcomes] == ["well"] * 3
        return clock.monotonic() - began

    steady = seconds(FakeClock())
    assert steady > 3 * 7.5
    assert seconds(Stepping(seed)) == pytest.approx(steady, abs=0.1)


@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize("names_the_wait", [True, False])
def test_fault_28_the_pace_follows_a_quota_that_moves(names_the_wait, seed):
    """Down within seconds, up within a minute."""
    provider = Provider(500, moves=((HALVED, 0.5), (DOUBLED, 1.0)), names_the_wait=names_the_wait)
    simulation = Simulation(provider, latency=lognormal(1.0), seed=seed)

    def pace(since, until):
        return sum(since <= at < until for at in simulation.started) / (until - since) / A_SECOND

    assert simulation.done == 3000
    assert 0.9 < pace(60, HALVED) < 1.1
    assert 0.4 < pace(HALVED + 10, HALVED + 40) < 0.6
    assert 0.4 < pace(HALVED + 40, DOUBLED) < 0.6
    assert 0.85 < pace(DOUBLED + 60, DOUBLED + 100) < 1.1
