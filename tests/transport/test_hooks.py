"""Hooks, elapsed times and authentication: what sits above the transport sees what it knows."""

import threading
from datetime import timedelta

import pytest
import requests
from requests.auth import HTTPDigestAuth

import threadllm
from threadllm.testing import FakeClock

from .support import call, reply, run

AT_ONCE = threadllm.Retry(wait_initial=0)
CHALLENGE = 'Digest realm="r", nonce="n", qop="auth", algorithm=MD5'


def test_a_hook_sees_the_final_response_once(serve):
    """However many tries it took, and with its body there to be read."""
    server = serve(reply(status=503), reply(status=500), reply(b"well"))
    seen = []

    def work():
        hooks = {"response": lambda response, **_: seen.append(response.text)}
        return requests.get(server.url, hooks=hooks, timeout=5).status_code

    assert call(work, retry=AT_ONCE).value == 200
    assert seen == ["well"]


def test_a_hook_may_put_another_response_in_its_place(serve):
    """The function gets what the last hook hands on."""
    server = serve(reply(b"well"))
    other = requests.Response()
    other.status_code = 299

    def work():
        hooks = {"response": [lambda *_, **__: other, lambda *_, **__: None]}
        return requests.get(server.url, hooks=hooks, timeout=5)

    outcome = call(work)

    assert outcome.value is other
    assert other.elapsed == timedelta(0)


@pytest.mark.parametrize("status", [429, 503])
def test_elapsed_is_that_of_the_last_exchange(serve, status):
    """The waits before it are not in it, for hooks and for the function."""
    clock = FakeClock()

    def answer(_):
        clock.advance(1 if len(server.requests) == 1 else 2)
        return reply(status=status, retry_after=60) if len(server.requests) == 1 else reply(b"a")

    server = serve(answer)
    seen = []

    def work(_):
        with requests.Session() as session:
            session.hooks["response"].append(lambda response, **_: seen.append(response.elapsed))
            return session.get(server.url, timeout=5).elapsed

    with clock.running():
        [outcome] = run(work, clock=clock)

    assert seen == [outcome.value] == [timedelta(seconds=2)]
    assert [record.elapsed for record in outcome.requests] == [1, 2]


def test_elapsed_of_each_hop_is_its_own(serve):
    """A redirect's hops have their own times."""
    clock = FakeClock()

    def answer(request):
        clock.advance(3 if request.target == "/" else 4)
        return reply(status=302, location="/a") if request.target == "/" else reply(b"well")

    server = serve(answer)

    def work(_):
        response = requests.get(server.url, timeout=5)
        return [hop.elapsed.total_seconds() for hop in (*response.history, response)]

    assert run(work, clock=clock)[0].value == [3, 4]


def test_a_prepared_request_keeps_its_hooks(serve):
    """It can be sent in a call and again outside, by several threads, and is what it was."""
    server = serve(reply(b"well"))
    seen = []
    request = requests.Request(
        "GET", server.url, hooks={"response": lambda response, **_: seen.append(response.text)}
    ).prepare()
    hooks = dict(request.hooks)

    def work(_):
        with requests.Session() as session:
            return session.send(request, timeout=5).text

    assert [outcome.value for outcome in run(work, range(3), max_workers=3)] == ["well"] * 3
    assert work(None) == "well"
    assert seen == ["well"] * 4
    assert request.hooks == hooks


def test_a_request_that_an_adapter_was_handed_keeps_its_times_apart(serve):
    """Sent past the session first, and then with it, it is answered and timed each time anew."""
    server = serve(reply(b"well"))
    request = requests.Request("GET", server.url).prepare()

    def work():
        with requests.Session() as session:
            first = session.get_adapter(server.url).send(request)
            first.elapsed = timedelta(seconds=99)
            second = session.send(request, timeout=5)
            return first.elapsed, second.elapsed < timedelta(seconds=9), request.hooks

    assert call(work).value == (timedelta(seconds=99), True, {"response": []})


@pytest.mark.parametrize("hooks", [None, {}, {"response": len}])
def test_hooks_may_be_missing_or_bare(serve, hooks):
    """As plainly: None, an empty dict, or a callable in place of a list."""
    server = serve(reply(b"well"))
    request = requests.Request("GET", server.url).prepare()
    request.hooks = hooks if hooks != {"response": len} else {"response": lambda *_, **__: None}

    def work():
        with requests.Session() as session:
            return session.send(request, timeout=5).text

    assert call(work).value == "well"


def digest(request):
    if "authorization" not in request.headers:
        return reply(b"who?", 401, www_authenticate=CHALLENGE)
    return reply(b"well")


def test_digest_authentication_answers_its_challenge(serve):
    """Both exchanges are on record, the refusal is taken back, and no hook is left behind."""
    server = serve(digest)

    def work():
        response = requests.get(server.url, auth=HTTPDigestAuth("user", "word"), timeout=5)
        hooks = response.request.hooks["response"]
        return response.text, [hop.status_code for hop in response.history], len(hooks)

    outcome = call(work)

    assert (outcome.value, outcome.error) == (("well", [401], 2), None)
    assert [record.status for record in outcome.requests] == [401, 200]


def test_a_challenge_answered_is_tried_again_in_place(serve):
    """What a hook sends has its slots and retries too."""
    busy = [True]

    def answer(request):
        if "authorization" in request.headers and busy:
            busy.clear()
            return reply(status=503)
        return digest(request)

    server = serve(answer)

    def work():
        return requests.get(server.url, auth=HTTPDigestAuth("user", "word"), timeout=5).text

    outcome = call(work, retry=AT_ONCE, concurrency=1)

    assert (outcome.value, outcome.attempts) == ("well", 2)
    assert [record.status for record in outcome.requests] == [401, 503, 200]


def test_each_hop_gives_its_slot_back(serve):
    """A chain of redirects passes through a single slot, streamed or not."""
    server = serve(
        lambda request: (
            reply(b"well") if request.target == "/5" else hop(int(request.target[1:] or 0) + 1)
        )
    )

    def work(stream):
        with requests.get(server.url, stream=stream, timeout=5) as response:
            return response.text, len(response.history)

    outcomes = run(work, [True, False], concurrency=1)

    assert [outcome.value for outcome in outcomes] == [("well", 5)] * 2
    assert [[record.status for record in outcome.requests] for outcome in outcomes] == [
        [302] * 5 + [200]
    ] * 2
    assert [record.bytes for record in outcomes[0].requests] == [5, 5, 5, 5, 5, 4]


def hop(number):
    return reply(b"moved", 302, location=f"/{number}")


def test_sessions_shared_by_many_calls_at_once_keep_their_hooks_apart(serve):
    """A hundred requests of one session: each is seen once by its hook."""
    server = serve(reply(b"well"))
    seen, lock = [], threading.Lock()

    def note(response, **_):
        with lock:
            seen.append(response.request.path_url)

    with requests.Session() as session:
        session.hooks["response"].append(note)
        run(lambda n: session.get(f"{server.url}/{n}", timeout=5), range(100), max_workers=8)
        assert session.hooks == {"response": [note]}

    assert sorted(seen) == sorted(f"/{n}" for n in range(100))
