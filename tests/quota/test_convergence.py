"""How close a line comes to what a provider's limits allow, and how often it is refused."""

import pytest

from tests.quota.simulated import Provider, Simulation, lognormal
from tests.quota.support import most_in_any_window
from threadllm.quota import Quota

A_SECOND = 500 / 60
HALVED_AND_DOUBLED = ((120, 0.5), (240, 1.0))


def ideal(latency, moves=()):
    """Seconds in which 3,000 items could be done: the burst first, and then the rate."""
    lost = 0.5 * 120 if moves else 0.0
    return (3000 - 20) / A_SECOND + lost + latency


# Each row: the provider, the workers, the ideal for a latency, the bar for that and for 429s.
BARS = {
    "with a Retry-After": ({"per_minute": 500}, 64, ideal, 1.10, 0.05),
    "silent": ({"per_minute": 500, "names_the_wait": False}, 64, ideal, 1.15, 0.08),
    "halved, then doubled": (
        {"per_minute": 500, "moves": HALVED_AND_DOUBLED},
        64,
        lambda latency: ideal(latency, HALVED_AND_DOUBLED),
        1.15,
        0.05,
    ),
    "halved, then doubled, silent": (
        {"per_minute": 500, "moves": HALVED_AND_DOUBLED, "names_the_wait": False},
        64,
        lambda latency: ideal(latency, HALVED_AND_DOUBLED),
        1.15,
        0.08,
    ),
    "20 at a time": ({"together": 20}, 128, lambda latency: 150 * latency, 1.15, 0.05),
}


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("latency", [0.2, 1.0, 5.0])
@pytest.mark.parametrize(
    ("provider", "workers", "ideal_for", "slower", "refused"), BARS.values(), ids=BARS
)
def test_an_unknown_limit_is_found(provider, workers, ideal_for, slower, refused, latency, seed):
    """Within some percent of the ideal, and without a storm of 429s, however long answers take."""
    run = Simulation(Provider(**provider), workers=workers, latency=lognormal(latency), seed=seed)
    assert run.done == 3000
    assert run.makespan / ideal_for(latency) <= slower
    assert run.refused <= refused


@pytest.mark.parametrize("seed", [1, 2])
def test_a_stated_limit_is_kept(seed):
    """With hardly a 429, and within a few percent of the ideal."""
    quota = Quota(64, requests_per_minute=500, burst=20)
    run = Simulation(Provider(500), seed=seed, quota=quota)
    assert run.makespan / ideal(1.0) <= 1.03
    assert run.refused <= 0.005
    assert most_in_any_window(run.started, A_SECOND) <= 20 + 1e-6


def test_what_was_learnt_is_not_learnt_again():
    """A second quota of the process begins with it, and is refused less."""
    first = Simulation(Provider(500), items=1000)
    again = Simulation(Provider(500), items=1000, seed=2)
    assert again.statuses[429] < first.statuses[429]
    assert again.line.pace.meter is not None


@pytest.mark.parametrize("latency", [0.2, 1.0, 5.0])
def test_a_limit_that_is_told_by_503s_is_found(latency):
    """As one by 429s; the breaker may open once before, and no item uses up its attempts."""
    run = Simulation(Provider(together=20, too_many=503), workers=128, latency=lognormal(latency))
    assert run.done == 3000
    assert run.makespan <= 30 + 1.1 * 150 * latency
    assert 16 <= run.line.origin.concurrency.size <= 26
    assert run.failures < 8


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_503s_that_fall_at_random_do_not_shrink_the_window_for_long(seed):
    """One of ten requests fails for no reason: nearly as many stay in flight, and none is paced."""
    run = Simulation(Provider(fails=0.1), items=6000, seed=seed)
    assert run.done == 6000
    assert run.average_size() >= 0.9 * 64
    assert run.makespan / (6000 / 64) <= 1.15
    assert [run.line.pace.meter, run.line.origin.circuit.state] == [None, "closed"]


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize(("share", "slower"), [(0.005, 1.5), (0.02, 1.3), (0.1, 1.7), (0.3, 1.1)])
@pytest.mark.parametrize("names_the_wait", [True, False])
def test_429s_that_fall_at_random_do_not_slow_it_down_for_long(names_the_wait, share, slower, seed):
    """A provider that is short of capacity refuses now and then, whatever the pace."""
    provider = Provider(refuses=share, names_the_wait=names_the_wait)
    run = Simulation(provider, items=6000, seed=seed)
    assert run.done == 6000
    assert run.makespan / (6000 / 64) <= slower / (1 - share)


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("names_the_wait", [True, False])
def test_a_limit_is_kept_though_429s_fall_at_random_as_well(names_the_wait, seed):
    """It is found nonetheless, and hardly more is refused than has to be."""
    provider = Provider(500, refuses=0.1, names_the_wait=names_the_wait)
    run = Simulation(provider, seed=seed)
    assert run.done == 3000
    assert run.makespan / ideal(1.0) <= 1.2
    assert run.refused <= 0.18


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("names_the_wait", [True, False])
def test_a_high_limit_is_found_soon(names_the_wait, seed):
    """The first pace may be far below it."""
    provider = Provider(5000, names_the_wait=names_the_wait)
    run = Simulation(provider, latency=lognormal(0.2), seed=seed)
    assert run.done == 3000
    assert run.makespan / (2980 / (5000 / 60)) <= 1.5
    assert run.refused <= 0.01


@pytest.mark.parametrize(("latency", "slower"), [(0.2, 1.5), (1.0, 1.6), (5.0, 2.1)])
def test_one_at_a_time_but_often_is_no_limit_on_the_number_in_flight(latency, slower):
    """A provider that says nothing, and lets in one request each 120 ms, however long they take."""
    provider = Provider(500, burst=1, names_the_wait=False)
    run = Simulation(provider, latency=lognormal(latency))
    assert run.done == 3000
    assert run.makespan / (3000 / A_SECOND) <= slower
    assert run.refused <= 0.05
