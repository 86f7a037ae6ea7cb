"""`bench.sweep`: the same questions, at one number of requests at a time after the other."""

import threading
import time

import pytest

import threadllm
from threadllm import bench
from threadllm.simulator import Fault, Latency, Limits, Simulator


def test_each_level_asks_at_its_own_concurrency():
    """As many at a time as it says, all prompts in turns, and one question before all."""
    lock, running, most, asked = threading.Lock(), [0], [0], []

    def work(prompt):
        with lock:
            running[0] += 1
            most[0] = max(most[0], running[0])
            asked.append(prompt)
        time.sleep(0.01)
        with lock:
            running[0] -= 1
        return prompt

    levels = bench.levels(work, ["a", "b"], (1, 4))
    seen = [(level.concurrency, level.ok, level.failed, most[0]) for level in levels]
    assert seen == [(1, 8, 0, 1), (4, 16, 0, 4)]
    assert (asked.count("a"), asked.count("b")) == (13, 12)


def test_figures_of_a_provider():
    """Throughput goes up with what is in flight, the durations do not; tokens are counted."""
    latency = Latency(mean=0.1, time_to_first_token=0.1)
    with Simulator(latency=latency) as sim:
        report = bench.sweep(bench.Chat(sim.base_url, "m"), ["one", "two"], (1, 8), requests=16)
        counts = sim.counts()
    one, eight = report.levels
    assert (one.ok, eight.ok, counts.requests) == (16, 16, 33)
    assert eight.requests_per_second > 3 * one.requests_per_second
    assert one.requests_per_second == 16 / one.seconds
    for level in report.levels:
        assert 0.2 <= level.first_token.p50 <= level.first_token.p90 <= level.first_token.p99
        assert level.first_token.p50 <= level.latency.p50 <= level.latency.p99
        assert level.tokens_per_second == level.output_tokens / level.seconds > 0
        assert (level.failed, level.throttled, level.errors) == (0, 0, {})


def test_what_fails_is_told_and_not_tried_again():
    """Each error once, by its text; the others count."""
    with Simulator(script=[Fault(kind="ok"), Fault(status=503), Fault(status=503)]) as sim:
        [level] = bench.sweep(bench.Chat(sim.base_url, "m"), ["one"], (1,)).levels
        assert sim.counts().requests == 9
    assert (level.ok, level.failed) == (6, 2)
    [(error, times)] = level.errors.items()
    assert "503" in error
    assert times == 2


def test_a_limit_is_waited_for_and_told():
    """429s are no failures; they pause all, and no pace is learnt from them."""
    limits = Limits(requests_per_minute=600, burst=4, headers=False)
    with Simulator(limits=limits) as sim:
        chat = bench.Chat(sim.base_url, "m")
        [level] = bench.sweep(chat, ["one"], (8,), requests=16).levels
    assert (level.ok, level.failed) == (16, 0)
    assert level.throttled > 0


def test_no_answer_at_all_is_raised_at_once():
    """By the first question, which is not counted."""

    def work(_):
        raise LookupError("nobody there")

    with pytest.raises(LookupError, match="nobody there"):
        bench.sweep(work, ["one"])


def test_a_key_that_is_not_accepted_ends_it():
    """With the same error as any run."""
    with Simulator(api_keys={"sk-planted-another"}) as sim:
        chat = bench.Chat(sim.base_url, "m", api_key="sk-planted-bench")
        with pytest.raises(threadllm.RunStopped):
            bench.sweep(chat, ["one"])


def test_levels_without_one_answer_have_no_durations():
    """And no throughput."""
    calls = []

    def work(_):
        calls.append(1)
        if len(calls) > 1:
            raise LookupError("nobody there")

    [level] = bench.sweep(work, ["one"], (2,)).levels
    assert (level.ok, level.failed, level.requests_per_second) == (0, 8, 0)
    assert (level.latency, level.first_token) == (None, None)
    assert level.errors == {"LookupError: nobody there": 8}


@pytest.mark.parametrize(
    ("prompts", "options", "said"),
    [
        ([], {}, "prompts"),
        (["one"], {"concurrency": ()}, "concurrency"),
        (["one"], {"requests": 0}, "requests=0"),
    ],
)
def test_what_cannot_be_meant_is_refused_at_once(prompts, options, said):
    """Before anything is iterated."""
    with pytest.raises(threadllm.OptionError, match=said):
        bench.levels(str, prompts, **options)


def test_percentiles_are_figures_that_there_were():
    """By nearest rank."""
    assert bench.Percentiles.of([3, 1, 2]) == (2, 3, 3)
    assert bench.Percentiles.of(range(1, 201)) == (100, 180, 198)
    assert bench.Percentiles.of([]) is None
