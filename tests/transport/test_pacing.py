"""429: a pace for everyone at that origin, charged to nobody; and waits that hold no slot."""

import threading
from email.utils import formatdate

import pytest
import requests

import threadllm
from tests.support import until
from threadllm.simulator import Fault, Latency, Simulator
from threadllm.testing import FakeClock

from .support import CHAT, EXACT, chat_body, get, reply, run, virtually

WORKERS = 8


def steady(concurrency=WORKERS, **options):
    """A quota that pauses for a 429, and learns no pace from it."""
    return threadllm.Quota(concurrency, adaptive=False, **options)


def test_one_429_closes_the_gate_once_for_all(serve):
    """A storm of them is one pause: all wait it out together, and then all get through."""
    clock = FakeClock(start=0)
    together = threading.Barrier(WORKERS)
    arrivals = []

    def answer(_):
        arrivals.append(clock.monotonic())
        if clock.monotonic() == 0:
            together.wait(5)
            return reply(status=429, retry_after=30)
        return reply(b"well")

    server = serve(answer)
    with threadllm.Dispatcher(WORKERS, quota=steady(), clock=clock, retry=EXACT) as pool:
        futures = [pool.submit(get, server.url) for _ in range(40)]
        while pool.totals.parked < WORKERS:
            assert not any(future.done() for future in futures)
        assert clock.wait_for_sleepers() == [30]  # the first in the line; it wakes the next
        clock.advance(30)
        assert [future.result(5) for future in futures] == ["well"] * 40

    assert (pool.totals.throttled, pool.totals.retries) == (WORKERS, 0)
    assert arrivals == [0] * WORKERS + [30] * 40


def test_calls_to_another_origin_go_on(serve):
    """A gate is its origin's alone; even another port of the same host is another origin."""
    busy, well = serve(reply(status=429, retry_after=60), reply(b"well")), serve(reply(b"well"))
    clock = FakeClock()
    with threadllm.Dispatcher(2, clock=clock, retry=EXACT) as pool:
        waiting = pool.submit(get, busy.url)
        assert clock.wait_for_sleepers() == [60]
        assert [pool.submit(get, well.url).result(5) for _ in range(5)] == ["well"] * 5
        assert not waiting.done()
        assert pool.totals.parked == 1
        clock.advance(60)
        assert waiting.result(5) == "well"
    assert pool.totals.parked == 0


@pytest.mark.parametrize("status", [429, 503])
def test_who_waits_holds_no_slot(serve, status):
    """With one slot and one call waiting for its retry, another call gets through."""
    busy, well = serve(reply(status=status, retry_after=60), reply(b"well")), serve(reply(b"well"))
    clock = FakeClock()
    with threadllm.Dispatcher(2, concurrency=1, clock=clock, retry=EXACT) as pool:
        waiting = pool.submit(get, busy.url)
        clock.wait_for_sleepers()
        assert pool.submit(get, well.url).result(5) == "well"
        clock.advance(60)
        assert waiting.result(5) == "well"


def test_a_wait_for_the_gate_is_prolonged_while_it_lasts(serve):
    """Who waits looks again on waking: a later 429 may have shut the gate for longer."""
    server = serve(reply(b"well"))
    clock = FakeClock(start=0)
    with threadllm.Dispatcher(1, clock=clock) as pool:
        gate = pool.quota.line(server.url).gate
        gate.shut(10, now=0, sent=0, asked=True)
        future = pool.submit(get, server.url)
        assert clock.wait_for_sleepers() == [10]
        gate.shut(25, now=5, sent=5, asked=True)
        clock.advance(10)
        assert clock.wait_for_sleepers() == [15]
        clock.advance(15)
        assert future.result(5) == "well"


def test_any_number_of_429s_leaves_the_attempts_untouched(serve):
    """Far more of them than a policy has attempts; then a 503 is still the first charged."""
    many = [reply(status=429, retry_after=1)] * 50
    server = serve(*many, reply(status=503), *many, reply(b"well"))

    retry = threadllm.Retry(jitter="none", attempts=2)
    [outcome], passed = virtually(lambda _: get(server.url), retry=retry, quota=steady())

    assert (outcome.value, outcome.attempts, len(outcome.requests)) == ("well", 2, 102)
    assert [record.retry for record in outcome.requests] == [*range(102)]
    assert passed == pytest.approx(100.5)


def test_pauses_grow_where_the_provider_says_nothing(serve):
    """To the second, as waits do, but without jitter: everyone waits them."""
    clock, arrivals = FakeClock(start=0), []

    def answer(_):
        arrivals.append(clock.monotonic())
        return reply(status=429) if len(arrivals) < 8 else reply(b"well")

    server = serve(answer)
    with clock.running():
        [outcome] = run(lambda _: get(server.url), clock=clock)

    assert outcome.value == "well"
    assert arrivals == [0, 0.5, 1.5, 3.5, 7.5, 15.5, 31.5, 61.5]


def test_an_endless_429_is_given_up(serve):
    """After `give_up_after` the function gets the last one, and the item has failed with it."""
    server = serve(reply(status=429, retry_after=10))
    seen = []

    [outcome], passed = virtually(
        lambda _: seen.append(requests.get(server.url, timeout=5).status_code),
        retry=threadllm.Retry(give_up_after=60),
    )

    assert (seen, outcome.error.response.status_code, outcome.attempts) == ([429], 429, 1)
    assert (passed, len(server.requests)) == (60, 7)


@pytest.mark.parametrize("asked", ["3600", "1e9", "nan", "inf", "-5", "", "0", formatdate(0)])
def test_no_wait_that_a_provider_asks_for_hangs(serve, asked):
    """What is absurd is capped or ignored, however often it comes."""
    server = serve(reply(status=429, retry_after=asked))

    [outcome], passed = virtually(
        lambda _: get(server.url), retry=threadllm.Retry(give_up_after=1000)
    )

    assert outcome.error.response.status_code == 429
    assert 900 <= passed <= 1000


def test_a_wait_that_is_not_respected_is_not_waited(serve):
    """Our own pauses hold then, and a storm does not prolong them."""
    server = serve(reply(status=429, retry_after=200), reply(b"well"))

    [outcome], passed = virtually(
        lambda _: get(server.url), retry=threadllm.Retry(respect_retry_after=False)
    )

    assert (outcome.value, passed) == ("well", 0.5)


@pytest.mark.parametrize("stream", [True, False])
def test_no_credit_is_not_waited_for(serve, stream):
    """A 429 that no wait mends fails its item at once, streamed or not, and shuts no gate."""
    body = {"error": {"type": "insufficient_quota", "code": None, "message": "pay"}}
    server = serve(reply(body, 429, retry_after=60))
    seen = []

    def work(_):
        with requests.get(server.url, stream=stream, timeout=5) as response:
            seen.append(b"".join(response.iter_lines()))

    [outcome], passed = virtually(work)

    assert outcome.error.response.json() == body
    assert seen == [reply(body).partition(b"\r\n\r\n")[2]]
    assert (passed, len(server.requests)) == (0, 1)


def test_five_hundred_that_wait_leave_the_slots_to_others(held):
    """Parked for two seconds, they hold no slot: the others run at full concurrency."""
    waiting = [f"waiting {n}" for n in range(500)]
    fault = Fault(status=503, retry_after=2)
    clock = FakeClock()
    quota = steady(50, breaker=None, retry_budget=None)
    retry = threadllm.Retry(wait_initial=0)
    with (
        Simulator(script={prompt: [fault] for prompt in waiting}, latency=Latency(mean=0.1)) as sim,
        threadllm.Dispatcher(600, quota=quota, retry=retry, clock=clock) as pool,
    ):

        def work(prompt):
            url, body = sim.url + CHAT, chat_body(prompt)
            with requests.post(url, json=body, timeout=20, stream=True) as response:
                held.wait()
                return response.status_code

        parked = [pool.submit(work, prompt) for prompt in waiting]
        assert clock.wait_for_sleepers(500) == [2] * 500
        sim.reset()
        others = [pool.submit(work, f"other {n}") for n in range(200)]
        until(lambda: quota.slots.in_use == 50)
        held.set()
        assert [future.result(60) for future in others] == [200] * 200
        assert sim.counts().max_in_flight <= 50
        assert pool.totals.parked == 500
        clock.advance(2)
        assert [future.result(60) for future in parked] == [200] * 500
        assert sim.counts().max_in_flight <= 50


def test_a_stopped_dispatcher_ends_waits_with_what_they_waited_for(serve):
    """A call that waits for a retry ends with its last answer, one before a gate with the stop."""
    server = serve(reply(status=503, retry_after=100))
    gated = serve(reply(status=429, retry_after=100))
    clock = FakeClock()
    with threadllm.Dispatcher(2, clock=clock, retry=EXACT) as pool:
        futures = [pool.submit(get, server.url), pool.submit(get, gated.url)]
        clock.wait_for_sleepers(2)
        pool.shutdown(wait=True, cancel_futures=True)

    assert [future.exception().response.status_code for future in futures] == [503, 429]


def test_a_stopped_dispatcher_sends_no_first_request_through_a_shut_gate(serve):
    """The call ends with CallCancelled, which it cannot swallow."""
    server = serve(reply(b"well"))
    clock = FakeClock()

    def work():
        try:
            get(server.url)
        except threadllm.CallCancelled:
            return "swallowed"

    with threadllm.Dispatcher(1, clock=clock) as pool:
        now = clock.monotonic()
        pool.quota.line(server.url).gate.shut(now + 60, now=now, sent=now, asked=True)
        future = pool.submit(work)
        clock.wait_for_sleepers()
        pool.shutdown(wait=True, cancel_futures=True)

    assert type(future.exception()) is threadllm.CallCancelled
    assert server.requests == []
