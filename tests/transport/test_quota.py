"""Quotas: what requests on real sockets are charged, and what their answers teach."""

import threading

import pytest
import requests
from requests.adapters import HTTPAdapter

import threadllm
from threadllm.quota import Breaker, KnownLimit, Quota
from threadllm.testing import FakeClock

from .support import EXACT, call, chat_body, get, reply, run, session_on, virtually

SECOND = pytest.approx(1, rel=0.02)  # at 60 a minute; what is known is not used to the full
ASKED_TOKENS = 1000
FRAGILE = Breaker(sliding_window=2, failure_rate=1, cooldown=30, probes=1)


def ask(url, model):
    return requests.post(url, json=chat_body() | {"model": model}, timeout=5).text


def row(quota, origin):
    """How the line of an origin stands, which is asked for one model or none."""
    [line] = [line for line in quota.snapshot().lines if line.origin == origin]
    return line


def until(condition, futures):
    """Returns once it holds, which is to be before any of these is done."""
    while not condition():
        assert [future for future in futures if future.done()] == []


# Charged once


@pytest.mark.parametrize("requests_each", [0, 1, 2])
def test_a_request_is_charged_once_and_so_is_a_call_without(serve, requests_each):
    """Eight of them, of which four may go at once: four wait a second each, one by one."""
    server = serve(reply(b"well"))
    quota = Quota(8, requests_per_minute=60, burst=4)

    def work(_):
        for _ in range(requests_each):
            get(server.url)

    outcomes, passed = virtually(
        work, range(8 // max(1, requests_each)), max_workers=8, quota=quota
    )

    assert [outcome.error for outcome in outcomes if not outcome.ok] == []
    assert len(server.requests) == (8 if requests_each else 0)
    assert passed == pytest.approx(4, rel=0.02)


def test_retries_are_charged_too(serve):
    """The provider counts them as well."""
    server = serve(reply(status=503), reply(status=503), reply(b"well"))
    quota = Quota(requests_per_minute=1, burst=1)

    [outcome], passed = virtually(lambda _: get(server.url), quota=quota, retry=EXACT)

    assert (outcome.value, passed) == ("well", pytest.approx(120, rel=0.02))


def test_dispatchers_that_share_a_quota_share_what_it_allows(serve):
    """What one has sent the other waits for."""
    server, clock = serve(reply(b"well")), FakeClock()
    options = {"quota": Quota(requests_per_minute=60, burst=2), "clock": clock}
    with threadllm.Dispatcher(2, **options) as one, threadllm.Dispatcher(2, **options) as other:
        futures = [one.submit(get, server.url) for _ in range(2)]
        assert [future.result(5) for future in futures] == ["well", "well"]
        late = other.submit(get, server.url)
        assert clock.wait_for_sleepers() == [SECOND]
        clock.advance_to_next()
        assert late.result(5) == "well"


# Quotas by origin


def test_an_origin_may_have_a_quota_of_its_own(serve):
    """It holds nobody back elsewhere, and who waits for it takes no slot from others."""
    together, done = threading.Barrier(3), threading.Event()
    in_flight, most = [], []

    def one_by_one(request):
        in_flight.append(request)
        most.append(len(in_flight))
        assert done.wait(5)
        in_flight.remove(request)
        return reply(b"slow")

    def all_at_once(_):
        together.wait(5)
        done.set()
        return reply(b"fast")

    slow, fast = serve(one_by_one), serve(all_at_once)
    with threadllm.Dispatcher(6, concurrency=3, quotas={slow.url: Quota(1)}) as pool:
        futures = [pool.submit(get, server.url) for server in (slow, fast) for _ in range(3)]

        assert [future.result(5) for future in futures] == ["slow"] * 3 + ["fast"] * 3
    assert most == [1, 1, 1]


def test_an_origins_rates_are_its_own(serve):
    """Requests to it wait for each other, and those of the same calls to others do not."""
    limited, free = serve(reply(b"well")), serve(reply(b"well"))

    def work(_):
        get(limited.url)
        get(free.url)

    outcomes, passed = virtually(
        work,
        range(4),
        max_workers=4,
        quota=Quota(requests_per_minute=60, burst=4),
        quotas={limited.url: Quota(requests_per_minute=30, burst=2)},
    )

    assert [outcome.ok for outcome in outcomes] == [True] * 4
    assert passed == pytest.approx(4, rel=0.02)


def test_a_quota_may_be_that_of_some_paths(serve):
    """The rest of the origin goes by the dispatcher's."""
    server = serve(reply(b"well"))
    own = Quota()
    with threadllm.Dispatcher(1, quotas={f"{server.url}/v1": own}) as pool:
        for path in ("/v1/chat?key=k", "/v1", "/v10"):
            pool.submit(get, server.url + path).result(5)

        seen = [[line.origin for line in one.snapshot().lines] for one in (own, pool.quota)]
    assert seen == [[server.url], [server.url]]


# What answers say


@pytest.mark.parametrize("streamed", [True, False])
def test_what_the_headers_leave_holds_the_next_request_back(serve, streamed):
    """Nobody has stated a limit: the provider tells it, and that nothing is left."""
    headers = {"x-ratelimit-limit-requests": 60, "x-ratelimit-remaining-requests": 0}
    server = serve(reply(b"well", **headers))
    quota = Quota()

    outcomes, passed = virtually(lambda _: get(server.url, stream=streamed), range(4), quota=quota)

    assert [outcome.value for outcome in outcomes] == ["well"] * 4
    assert passed == pytest.approx(3, rel=0.02)
    [limit] = row(quota, server.url).limits
    assert limit == KnownLimit("requests", 60, 60, "provider", limit.left)


def test_a_stream_tells_its_limits_with_its_headers(serve):
    """Before its body is read: others are not to wait for that."""
    headers = {"x_ratelimit_limit_tokens": 5000, "x_ratelimit_remaining_tokens": 4000}
    server = serve(reply(b"well", **headers))
    with threadllm.Dispatcher(1) as pool:

        def work():
            with requests.get(server.url, stream=True, timeout=5) as response:
                [limit] = row(pool.quota, server.url).limits
                return limit.kind, limit.figure, response.text

        assert pool.submit(work).result(5) == ("tokens", 5000, "well")


def test_a_limit_that_is_known_is_known_to_the_next_quota(serve):
    """For the process, by origin and model."""
    server = serve(reply(b"well", x_ratelimit_limit_requests=60))
    call(lambda: get(server.url))
    quota = Quota()
    call(lambda: get(server.url), quota=quota)

    assert [limit.figure for limit in row(quota, server.url).limits] == [60]


def test_a_429_for_one_model_does_not_pause_the_other(serve):
    """Providers limit each model for itself."""
    left = [reply(status=429, retry_after=30)]
    server = serve(
        lambda request: left.pop() if left and b'"small"' in request.body else reply(b"well")
    )
    clock = FakeClock()
    with threadllm.Dispatcher(2, clock=clock, retry=EXACT) as pool:
        waiting = pool.submit(ask, server.url, "small")
        assert clock.wait_for_sleepers() == [30]
        assert [pool.submit(ask, server.url, "large").result(5) for _ in range(3)] == ["well"] * 3
        assert not waiting.done()
        clock.advance(30)
        assert waiting.result(5) == "well"


def test_a_429_beside_others_that_names_no_wait_makes_fewer_of_them(serve):
    """No pause explains it better than their number: it is sent again when one has ended."""
    arrivals, leave = [], threading.Event()

    def answer(_):
        arrivals.append(None)
        if len(arrivals) == 4:
            return reply(status=429)
        assert leave.wait(5)
        return reply(b"well")

    server, clock = serve(answer), FakeClock()
    with threadllm.Dispatcher(4, clock=clock) as pool:
        futures = []
        for number in range(1, 5):
            futures.append(pool.submit(get, server.url))
            until(lambda number=number: len(arrivals) == number, futures)
        until(lambda: pool.quota.line(server.url).entrance.waiting, futures)
        stood = row(pool.quota, server.url)
        leave.set()
        assert [future.result(5) for future in futures] == ["well"] * 4

    assert (stood.slots, stood.slots_in_use, stood.paused, stood.pace) == (3, 3, 0, None)
    assert (len(arrivals), pool.totals.throttled, pool.totals.retries) == (5, 1, 0)


def test_tokens_are_reserved_before_and_settled_after(serve):
    """As much as the request allows, and then what the answer says was used."""
    quota, seen = Quota(tokens_per_minute=6000, adaptive=False), []

    def left():
        return row(quota, server.url).limits[0].left

    def answer(request):
        seen.append((left(), len(request.body)))
        return reply({"usage": {"prompt_tokens": 10, "completion_tokens": 20}})

    server, clock = serve(answer), FakeClock()

    def work(_):
        body = chat_body(max_tokens=ASKED_TOKENS)
        return requests.post(server.url, json=body, timeout=5).ok

    [outcome] = run(work, quota=quota, clock=clock)
    [(reserved, size)] = seen

    assert outcome.ok
    assert reserved == pytest.approx(6000 - ASKED_TOKENS - size / 4)
    assert left() == pytest.approx(6000 - 30)


def test_tokens_that_are_not_there_are_waited_for(serve):
    """The second request allows itself as much as there is, and the first has used half."""
    server = serve(reply({"usage": {"prompt_tokens": 1000, "completion_tokens": 2000}}))
    quota = Quota(tokens_per_minute=6000, adaptive=False)

    def work(_):
        return requests.post(server.url, json=chat_body(max_tokens=2000), timeout=5).ok

    outcomes, passed = virtually(work, range(4), quota=quota)

    assert [outcome.ok for outcome in outcomes] == [True] * 4
    assert 30 < passed < 90  # 12,000 tokens, half of which were there


# Outages


def outage(*probes):
    """Answers that open a fragile breaker, and those to its probes."""
    return reply(b"well"), reply(status=503), reply(status=503), *probes


@pytest.mark.parametrize("failing", [reply(status=500), None], ids=["500", "broken"])
def test_probes_that_fail_are_not_charged(serve, failing):
    """A breaker that is open asks now and then; the item waits that out, and loses no attempt."""
    server = serve(*outage(*[failing] * 20, reply(b"mended")))
    retry = threadllm.Retry(jitter="none", attempts=3)
    quota = Quota(breaker=FRAGILE)
    outcomes, passed = virtually(lambda _: get(server.url), range(2), retry=retry, quota=quota)

    assert [outcome.value for outcome in outcomes] == ["well", "mended"]
    assert [outcome.attempts for outcome in outcomes] == [1, 3]
    assert len(outcomes[1].requests) == 2 + 20 + 1
    assert passed == 0.5 + 21 * FRAGILE.cooldown
    assert row(quota, server.url).breaker == "closed"


def test_an_outage_without_end_is_given_up(serve):
    """Within `give_up_after` from the first probe that failed; the item has its last answer."""
    server = serve(*outage(reply(status=502)))
    retry = threadllm.Retry(jitter="none", attempts=3, give_up_after=100)
    outcomes, passed = virtually(
        lambda _: get(server.url), range(2), retry=retry, quota=Quota(breaker=FRAGILE)
    )

    assert outcomes[1].error.response.status_code == 502
    assert passed == 0.5 + 30 + 90


@pytest.mark.parametrize(
    ("probe", "error"),
    [
        (reply(status=400), requests.HTTPError),
        (reply(b"no gzip", content_encoding="gzip"), requests.exceptions.ContentDecodingError),
    ],
    ids=["400", "garbled"],
)
def test_a_probe_that_shows_a_fault_of_the_item_is_its_last_try(serve, probe, error):
    """No outage is behind that, and no other try mends it."""
    server = serve(*outage(probe))
    retry = threadllm.Retry(jitter="none", attempts=3)
    outcomes, _ = virtually(
        lambda _: get(server.url), range(2), retry=retry, quota=Quota(breaker=FRAGILE)
    )

    assert type(outcomes[1].error) is error
    assert len(server.requests) == 4


@pytest.mark.parametrize("streamed", [True, False])
def test_a_stream_counts_as_let_in_once_its_headers_have_come(serve, streamed):
    """If its body breaks later, that is no sign of an outage; an answer that breaks is one."""
    broken = [reply(b"half", content_length=9), None]
    server = serve(reply(b"well"), broken, broken, reply(b"well"))
    quota = Quota(breaker=FRAGILE)
    with threadllm.Dispatcher(1, quota=quota, retry=threadllm.Retry(attempts=1)) as pool:
        pool.submit(get, server.url).result(5)
        for _ in range(2):
            error = pool.submit(get, server.url, stream=streamed).exception(5)
            assert isinstance(error, requests.exceptions.ChunkedEncodingError)

    assert row(quota, server.url).breaker == ("closed" if streamed else "open")


def test_an_error_that_cannot_be_asked_leaves_its_slot(serve):
    """An adapter of the user's may raise anything, be it that its attributes raise in turn."""

    class OddError(Exception):
        @property
        def response(self):
            raise RuntimeError("not even that")

    class Adapter(HTTPAdapter):
        def send(self, *_, **__):
            raise OddError

    with threadllm.Dispatcher(1) as pool:

        def work():
            with session_on(Adapter()) as session, pytest.raises(OddError):
                session.get("http://127.0.0.1:9/")
            return pool.quota.slots.in_use

        assert pool.submit(work).result(5) == 0
