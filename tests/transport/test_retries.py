"""Retries in place: what is tried again, when, and what the function gets in the end."""

import io
from email.utils import formatdate

import pytest
import requests

import threadllm
from threadllm.simulator import Fault
from threadllm.testing import FakeClock

from .support import CHAT, EXACT, call, chat_body, reply, run, virtually

AT_ONCE = threadllm.Retry(wait_initial=0)
BROKEN = {
    "reset": requests.exceptions.ConnectionError,
    "reset_body": requests.exceptions.ChunkedEncodingError,
    "short_body": requests.exceptions.ChunkedEncodingError,
}


def ask(url):
    return requests.post(url + CHAT, json=chat_body(), timeout=5)


@pytest.mark.parametrize("status", [408, 409, 425, 500, 502, 503, 504, 529])
def test_a_status_that_may_pass_is_tried_again(sim, status):
    """The function sees only the answer; the try is charged to the item."""
    sim.script([Fault(status=status)])

    outcome = run(lambda _: ask(sim.url).status_code, retry=AT_ONCE)[0]

    assert (outcome.value, outcome.error, outcome.attempts) == (200, None, 2)
    assert [(record.status, record.retry) for record in outcome.requests] == [(status, 0), (200, 1)]


@pytest.mark.parametrize("kind", BROKEN)
def test_a_broken_connection_is_tried_again(sim, kind):
    """Whether it broke before the answer or in the midst of it."""
    sim.script([Fault(kind=kind, interval=0.01)])

    outcome = run(lambda _: ask(sim.url).status_code, retry=AT_ONCE)[0]

    assert (outcome.value, outcome.error, outcome.attempts) == (200, None, 2)


def test_an_error_in_a_good_answer_is_tried_again(sim):
    """A 200 with an error in its body counts as what the error says."""
    sim.script([Fault(kind="error_200", status=502)])

    outcome = run(lambda _: "choices" in ask(sim.url).json(), retry=AT_ONCE)[0]

    assert (outcome.value, outcome.attempts) == (True, 2)
    assert [record.status for record in outcome.requests] == [200, 200]


@pytest.mark.parametrize("status", [400, 401, 402, 403, 404, 413, 422])
def test_a_status_that_no_retry_mends_fails_the_item(sim, status):
    """One request is made; the function sees its status, and the item has failed."""
    sim.script([Fault(status=status)])
    seen = []

    outcome = run(lambda _: seen.append(ask(sim.url).status_code))[0]

    assert seen == [status]
    assert outcome.error.response.status_code == status
    assert (outcome.attempts, sim.counts().requests) == (1, 1)


def test_waits_grow_from_try_to_try(serve):
    """In virtual time, to the second: the initial wait, doubled up to the longest."""
    clock, arrivals = FakeClock(start=0), []

    def answer(_):
        arrivals.append(clock.monotonic())
        return reply(status=503)

    server = serve(answer)
    with clock.running():
        outcome = run(
            lambda _: requests.get(server.url, timeout=5).status_code,
            clock=clock,
            retry=threadllm.Retry(jitter="none", wait_initial=1, wait_max=6, attempts=6),
        )[0]

    assert arrivals == [0, 1, 3, 7, 13, 19]
    assert outcome.attempts == 6


@pytest.mark.parametrize(
    ("headers", "body", "waited"),
    [
        ({"retry_after": "7"}, {}, 7),
        ({"retry_after": "1.5"}, {}, 1.5),
        ({"retry_after_ms": "2500", "retry_after": "9"}, {}, 2.5),
        ({"retry_after": formatdate(1_700_000_060, usegmt=True)}, {}, 60),
        (
            {
                "retry_after": "Wed, 21 Oct 2015 07:28:08 GMT",
                "date": "Wed, 21 Oct 2015 07:28:00 GMT",
            },
            {},
            8,
        ),
        (
            {},
            [
                {
                    "error": {
                        "details": [
                            {
                                "@type": "type.googleapis.com/google.rpc.RetryInfo",
                                "retryDelay": "47s",
                            }
                        ]
                    }
                }
            ],
            47,
        ),
        ({"retry_after": "3600"}, {}, 300),
        ({"retry_after": "1e9"}, {}, 300),
        ({"retry_after": "nan"}, {}, 0.5),
        ({"retry_after": "inf"}, {}, 0.5),
        ({"retry_after": "-5"}, {}, 0.5),
        ({"retry_after": ""}, {}, 0.5),
        ({"retry_after": "0"}, {}, 0.5),
    ],
)
@pytest.mark.parametrize("status", [429, 503])
def test_the_wait_that_a_provider_asks_for_is_kept(serve, status, headers, body, waited):
    """In all its spellings; what makes no sense is ignored, and what is too long is capped."""
    server = serve(reply(body, status, **headers), reply(b"well"))

    [outcome], passed = virtually(lambda _: requests.get(server.url, timeout=5).text, retry=EXACT)

    assert (outcome.value, passed) == ("well", pytest.approx(waited))
    assert outcome.attempts == (1 if status == 429 else 2)


def test_tries_used_up_leave_the_last_response(sim):
    """The function gets it as requests gives it, and may raise for it itself."""
    sim.script([Fault(status=503, body=f"answer {n}") for n in range(9)])
    seen = []

    def work(_):
        response = ask(sim.url)
        seen.append(response.text)
        response.raise_for_status()

    outcome = run(work, retry=threadllm.Retry(wait_initial=0, attempts=3))[0]

    assert seen == ["answer 2"]
    assert (type(outcome.error), outcome.attempts) == (requests.HTTPError, 3)
    assert sim.counts().requests == 3


@pytest.mark.parametrize("kind", BROKEN)
@pytest.mark.parametrize("swallowed", [True, False])
def test_tries_used_up_leave_the_last_error(sim, kind, swallowed):
    """It is requests' own; nobody multiplies the tries, whatever the function makes of it."""
    sim.script([Fault(kind=kind, interval=0.01)] * 20)

    def work(_):
        try:
            ask(sim.url)
        except requests.RequestException:
            if not swallowed:
                raise

    outcome = run(work, retry=threadllm.Retry(wait_initial=0, attempts=3))[0]

    assert type(outcome.error) is BROKEN[kind]
    assert (outcome.attempts, sim.counts().requests) == (3, 3)


def test_a_body_that_is_gone_is_sent_again_by_the_dispatcher(serve):
    """A generator cannot be rewound: the call as a whole is repeated, as often as allowed."""
    server = serve(reply(status=503), reply(status=503), reply(b"well"))

    def work(_):
        response = requests.post(server.url, data=iter([b"a", b"b"]), timeout=5)
        return response.text

    outcome = run(work, retry=AT_ONCE)[0]

    assert (outcome.value, outcome.attempts) == ("well", 3)
    assert [request.body for request in server.requests] == [b"ab"] * 3
    assert [record.retry for record in outcome.requests] == [0, 0, 0]


def test_a_body_that_is_gone_does_not_outlast_its_tries(serve):
    """The dispatcher's repetitions are counted, and the error is the request's."""
    server = serve(reply(b"too busy", status=503))

    def work(_):
        requests.post(server.url, data=iter([b"a"]), timeout=5)

    outcome = run(work, retry=threadllm.Retry(wait_initial=0, attempts=3))[0]

    assert str(outcome.error) == f"503 Reason for url: {server.url}/: too busy"
    assert (outcome.attempts, len(server.requests)) == (3, 3)


def test_a_429_to_a_body_that_is_gone_paces_everyone(serve):
    """The origin's gate is shut as for any other 429, which is counted once."""
    server = serve(reply(status=429, retry_after=30), reply(b"well"))
    clock = FakeClock()
    with clock.running(), threadllm.Dispatcher(1, clock=clock) as pool:
        post = pool.submit(lambda: requests.post(server.url, data=iter([b"a"]), timeout=5).text)
        assert post.result() == "well"
        gate = pool.quota.line(server.url).gate
        assert gate.opens_at == clock.monotonic() == 1030
        assert pool.totals.throttled == 1


@pytest.mark.parametrize(
    "make", [io.BytesIO, lambda text: text, lambda text: text.decode(), bytearray, memoryview]
)
def test_a_body_that_can_be_sent_again_is(serve, make):
    """Bytes and text are sent whole each time; a file from where it stood."""
    server = serve(reply(status=503), reply(b"well"))

    def work(_):
        body = make(b"0123456789")
        if isinstance(body, io.BytesIO):
            body.seek(4)
        return requests.post(server.url, data=body, timeout=5).text

    outcome = run(work, retry=AT_ONCE)[0]

    assert (outcome.value, outcome.attempts) == ("well", 2)
    first, second = (request.body for request in server.requests)
    assert first == second == (b"456789" if make is io.BytesIO else b"0123456789")


def test_a_file_that_can_no_longer_seek_leaves_the_last_response(serve):
    """It is not sent again, from wherever it stands."""
    server = serve(reply(status=503))

    class Once(io.BytesIO):
        def seek(self, *_):
            raise OSError

    outcome = call(lambda: requests.post(server.url, data=Once(b"0"), timeout=5), retry=AT_ONCE)

    assert outcome.error.response.status_code == 503
    assert (outcome.attempts, len(server.requests)) == (1, 1)
