"""An origin that fails is left alone for a while: its requests wait, or fail at once."""

import socket

import pytest
import requests

import threadllm
from threadllm.testing import FakeClock

from .support import get, reply

ONCE = threadllm.Retry(attempts=1)
RETRY = threadllm.Retry(attempts=2, jitter="none", wait_initial=1)
BREAKER = threadllm.Breaker(sliding_window=4, failure_rate=1, cooldown=30, probes=2)


def quota(action="park"):
    return threadllm.Quota(8, breaker=BREAKER, breaker_action=action)


def test_requests_may_fail_at_once(serve):
    """With an error of requests that says why, and is the item's though it is swallowed."""
    server = serve(reply(status=503))
    seen = []

    def call(_):
        try:
            return get(server.url)
        except requests.ConnectionError as error:
            seen.append(error)

    with threadllm.Dispatcher(1, quota=quota("fail"), retry=ONCE, clock=FakeClock()) as pool:
        with pytest.raises(requests.HTTPError):
            list(pool.map(get, [server.url] * 4))
        [pool.submit(call, None).exception(5) for _ in range(3)]
        last = pool.submit(call, None).exception(5)

    assert len(server.requests) == 4
    assert isinstance(last, threadllm.BreakerOpen)
    assert (last, last.request.url) == (seen[-1], server.url + "/")
    assert str(last) == (
        f"{server.url}: not sent, as too many requests failed before it; the breaker is open"
    )


def test_a_retry_that_may_not_be_sent_ends_with_its_last_error(serve):
    """Which says more than that nothing was sent."""
    server = serve(reply(status=503))
    clock = FakeClock()
    with threadllm.Dispatcher(4, quota=quota("fail"), retry=RETRY, clock=clock) as pool:
        futures = [pool.submit(get, server.url) for _ in range(4)]
        assert clock.wait_for_sleepers(4) == [1] * 4
        clock.advance(1)
        errors = [future.exception(5) for future in futures]

    assert [error.response.status_code for error in errors] == [503] * 4
    assert len(server.requests) == 4


def test_requests_wait_and_a_few_find_out(serve):
    """As long as those fail nobody else is sent, and none is charged; then all are sent."""
    clock = FakeClock(start=0)
    arrivals = []

    def answer(_):
        arrivals.append(clock.monotonic())
        return reply(b"well") if clock.monotonic() >= 90 else reply(status=503)

    server = serve(answer)
    with threadllm.Dispatcher(4, quota=quota(), retry=RETRY, clock=clock) as pool:
        futures = [pool.submit(get, server.url) for _ in range(12)]
        assert clock.wait_for_sleepers(4) == [1] * 4
        clock.advance(1)
        while pool.totals.parked < 4:
            assert not any(future.done() for future in futures)
        with clock.running():
            assert [future.result(5) for future in futures] == ["well"] * 12

    probes = [at for at in arrivals if 0 < at < 90]
    assert arrivals[:4] == [0] * 4
    assert 2 <= len(probes) <= 4  # of which two may be under way at a time
    assert min(probes) == 30
    assert pool.totals.retries == 4


def test_a_host_that_was_never_there_is_not_waited_for():
    """Its requests fail after their attempts: a wrong address mends itself no more than a key."""
    with socket.create_server(("127.0.0.1", 0)) as nobody:
        url = f"http://127.0.0.1:{nobody.getsockname()[1]}"
    clock = FakeClock()
    retry = threadllm.Retry(attempts=2, jitter="none")
    with threadllm.Dispatcher(4, quota=quota(), retry=retry, clock=clock) as pool, clock.running():
        outcomes = list(pool.outcomes(get, [url] * 20))

    assert {type(outcome.error) for outcome in outcomes} == {requests.ConnectionError}


def test_a_streamed_probe_has_done_its_part_when_its_answer_begins(serve):
    """Its function may take its time to read it, and ask for something else meanwhile."""
    server = serve(reply(b"well"), *[reply(status=503)] * 4, reply(b"well"))
    fragile = threadllm.Quota(8, breaker=threadllm.Breaker(sliding_window=5, probes=1, cooldown=30))
    clock = FakeClock()

    def stream():
        with requests.get(server.url, stream=True, timeout=5) as response:
            return get(server.url), response.text

    with threadllm.Dispatcher(
        1, quota=fragile, retry=ONCE, clock=clock, on_stop="continue"
    ) as pool:
        [pool.submit(get, server.url).exception(5) for _ in range(5)]
        future = pool.submit(stream)
        assert clock.wait_for_sleepers() == [30]
        clock.advance(30)
        assert future.result(5) == ("well", "well")
