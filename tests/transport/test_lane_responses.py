"""What comes back by the lane: responses, redirects, cookies, times and errors of requests."""

import pickle
import threading
from datetime import timedelta
from unittest import mock

import pytest
import requests
from requests.adapters import HTTPAdapter
from requests.auth import HTTPDigestAuth

import threadllm
from threadllm.call import Exchange
from threadllm.testing import FakeClock
from threadllm.transport import lane

from .support import call, chunked, reply, run, virtually
from .test_hooks import CHALLENGE

KEY = {"Authorization": "Bearer sk-planted"}
ONCE = threadllm.Retry(attempts=1)
AT_ONCE = threadllm.Retry(wait_initial=0)


@pytest.fixture(autouse=True)
def left_to_requests(monkeypatch, tmp_path):
    """No credentials are set; what the lane leaves to requests is counted."""
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    left, by_lane = [], lane.request

    def watched(now, found, method, url, options):
        def counted(*args, **kwargs):
            left.append(url)
            return found(*args, **kwargs)

        return by_lane(now, counted, method, url, options)

    monkeypatch.setattr(lane, "request", watched)
    return left


def told(request):
    """What there is to see of a request that was sent."""
    return {
        **vars(request),
        "headers": [type(request.headers), *request.headers.items()],
        "_cookies": [type(request._cookies), *map(vars, request._cookies)],
    }


def shown(response):
    """What there is to see of a response, and of those before it."""
    return [[type(response.history), *map(shown_alone, response.history)], shown_alone(response)]


def shown_alone(response):
    """What there is to see of a response, but for what measures or sends."""
    return {
        **vars(response),
        "headers": [type(response.headers), *response.headers.items()],
        "cookies": [type(response.cookies), *map(vars, response.cookies)],
        "elapsed": type(response.elapsed),
        "history": (type(response.history), len(response.history)),
        "request": told(response.request),
        "connection": isinstance(response.connection, requests.adapters.BaseAdapter),
        "raw": (type(response.raw), response.raw.status, response.raw.closed, response.raw.read()),
        "_next": response.next and told(response.next),
        "kind": (type(response), response.ok, response.is_redirect, response.links),
    }


def seen(ask):
    """What comes of it: the response, or the error with what it carries."""
    try:
        return shown(ask())
    except (requests.RequestException, ValueError) as error:
        carried = getattr(error, "request", None), getattr(error, "response", None)
        return (
            type(error),
            str(error),
            [thing and show(thing) for thing, show in zip(carried, (told, shown), strict=True)],
        )


def inside(fn):
    """What a function returns within a call, whether or not the call has failed."""
    results = []
    call(lambda: results.append(fn()), retry=ONCE)
    return results[0]


def plainly_and_in_a_call(server, ask):
    """What comes of it, and what reaches the server."""
    server.requests.clear()
    plain, asked = seen(ask), [*server.requests]
    server.requests.clear()
    return (plain, asked), (inside(lambda: seen(ask)), [*server.requests])


ANSWERS = [
    reply({"a": 1}, content_type="application/json"),
    reply(b"text", content_type="text/plain; charset=latin-1", set_cookie="a=b; Path=/v1"),
    reply(b"", link='<http://llm.test/2>; rel="next"'),
    chunked(b"one", b"two"),
    reply(status=204),
    reply(b"no", 404),
    reply(b"no", 302),
    b"HTTP/1.1 200 OK\r\nset-cookie: a=b\r\nset-cookie: c=d\r\ncontent-length: 0\r\n\r\n",
]


@pytest.mark.parametrize("answer", ANSWERS)
@pytest.mark.parametrize("method", ["get", "post", "head"])
def test_responses_are_the_same(serve, left_to_requests, method, answer):
    """To the last attribute; and what is made of them is too."""
    server = serve(answer.partition(b"\r\n\r\n")[0] + b"\r\n\r\n" if method == "head" else answer)

    plain, within = plainly_and_in_a_call(
        server, lambda: requests.request(method, server.url, timeout=5, headers=KEY)
    )

    assert within == plain
    assert left_to_requests == []


REDIRECTS = [
    "/there",
    "there?x=1",
    "/a b/é",
    "/there#part",
    "/there?#",
    "{other}/there",
    "//{other_host}/",
    "/%7e",
]


@pytest.mark.parametrize("location", REDIRECTS)
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("method", ["get", "post", "put"])
def test_redirects_are_the_same(serve, left_to_requests, method, status, location):
    """Where they lead, by which method, with which body, key and cookies, and what it shows."""
    other = serve(reply(b"other", set_cookie="there=1"))
    named = location.format(other=other.url, other_host=other.url.removeprefix("http://"))

    def answer(request):
        if request.target == "/start":
            return reply(b"moved", status, location=named, set_cookie="start=1; Path=/")
        return reply(b"well", set_cookie="end=1; Path=/")

    server = serve(answer)

    def ask():
        return requests.request(
            method, f"{server.url}/start#own", json={"a": 1}, headers=KEY, timeout=5
        )

    plain, within = plainly_and_in_a_call(server, ask)
    assert within == plain
    [[_, hop], last] = within[0]
    assert (hop["status_code"], last["status_code"]) == (status, 200)
    assert other.requests[:1] == other.requests[1:]
    assert left_to_requests == []


def test_redirects_end(serve, left_to_requests):
    """After thirty, with the last of them in the error."""
    server = serve(lambda request: reply(b"on", 307, location=request.target + "x"))

    plain, within = plainly_and_in_a_call(
        server, lambda: requests.post(server.url, json={}, timeout=5)
    )

    assert within == plain
    assert within[0][0] is requests.TooManyRedirects
    assert len(within[1]) == 31
    assert left_to_requests == []


@pytest.mark.parametrize("location", ["", "http://", "mailto:a@b", "http://[::1", "/ok"])
def test_a_redirect_to_nowhere_ends_the_same(serve, location):
    """One that names nothing is an answer; one that cannot be followed is an error."""
    server = serve(
        lambda request: reply(b"on", 302 if request.target == "/" else 200, l=1).replace(
            b"l: 1", b"location: " + location.encode()
        )
    )

    plain, within = plainly_and_in_a_call(server, lambda: requests.get(server.url, timeout=5))

    assert within == plain


def test_no_hook_is_left_behind(serve):
    """Neither on the first request nor on those to where it led."""
    server = serve(reply(b"", 307, location="/a"), reply(b"", 307, location="/b"), reply(b"well"))

    response = call(lambda: requests.post(server.url, json={}, timeout=5)).value

    assert [each.request.hooks for each in (*response.history, response)] == [{"response": []}] * 3


@pytest.mark.parametrize(
    ("location", "status", "hops", "cookie"),
    [
        ("/second", 307, ["/first"], ["before=1"]),
        ("/second", 200, ["/first/before"], []),
        ("", 307, ["/first/before"], []),
    ],
)
def test_what_an_adapter_has_followed_itself_counts(serve, location, status, hops, cookie):
    """Cookies from there go along, if it leads on; its history stays, if not."""

    def answer(request):
        if request.target == "/first/before":
            return reply(b"", set_cookie="before=1; Path=/")
        return reply(b"", status if request.target == "/first" else 200, location=location)

    server = serve(answer)
    genuine = HTTPAdapter.send

    def send(adapter, request, **options):
        response = genuine(adapter, request, **options)
        if request.url.endswith("/first"):
            before = requests.Request("GET", request.url + "/before").prepare()
            response.history = [genuine(adapter, before)]
        return response

    with mock.patch.object(HTTPAdapter, "send", send):
        plain, within = plainly_and_in_a_call(
            server, lambda: requests.get(f"{server.url}/first", timeout=5)
        )

    assert within == plain
    assert [hop["request"]["url"] for hop in within[0][0][1:]] == [server.url + hop for hop in hops]
    assert server.headers("cookie")[2:] == cookie


def test_the_session_that_follows_a_redirect_knows_what_came_before(serve, left_to_requests):
    """Its cookies are those that it would have, to whoever looks in the midst of it."""
    server = serve(reply(b"", 302, location="/there", set_cookie="a=b; Path=/"), reply(b"well"))
    genuine, looked = requests.Session.rebuild_method, []

    def looking(session, *args):
        looked.append(session.cookies.get_dict())
        return genuine(session, *args)

    with mock.patch.object(requests.Session, "rebuild_method", looking):
        assert call(lambda: requests.get(server.url, timeout=5).text).value == "well"

    assert looked == [{"a": "b"}]
    assert left_to_requests == []


def test_cookies_stay_with_their_request(serve, left_to_requests):
    """What one is given is in its response, and does not go out with the next."""
    server = serve(reply(b"", 302, location="/there", set_cookie="a=b; Path=/"), reply(b"well"))

    def work():
        first, second = (requests.get(server.url, timeout=5) for _ in range(2))
        return [response.cookies.get_dict() for response in (*first.history, first, second)]

    assert call(work).value == [{"a": "b"}, {}, {}]
    assert server.headers("cookie") == [None, "a=b", None]
    assert left_to_requests == []


@pytest.mark.parametrize("answer", [reply(b"well"), chunked(b"well"), reply(b"", 302)])
def test_what_comes_back_can_be_pickled(serve, answer):
    """And is the same afterwards."""
    server = serve(answer)

    response = call(lambda: requests.post(server.url, json={}, timeout=5)).value
    copy = pickle.loads(pickle.dumps(response))

    assert (copy.content, copy.headers, copy.url) == (
        response.content,
        response.headers,
        response.url,
    )
    assert told(copy.request) == told(response.request)


def test_a_status_is_raised_as_ever(serve):
    """With the response, and by it the request."""
    server = serve(reply(b"no", 404))

    def work():
        with pytest.raises(requests.HTTPError) as caught:
            requests.post(server.url, json={}, timeout=5).raise_for_status()
        return str(caught.value), caught.value.request.body, caught.value.response.text

    with pytest.raises(requests.HTTPError) as expected:
        requests.post(server.url, json={}, timeout=5).raise_for_status()
    assert inside(work) == (str(expected.value), b"{}", "no")


def test_what_is_sent_by_hand_again_is_sent(serve):
    """A response's connection sends, as digest authentication has it send, with its own times."""
    server = serve(reply(b"first"), reply(b"second"))

    def work():
        first = requests.get(server.url, timeout=5)
        second = first.connection.send(first.request.copy(), timeout=5)
        return second.text, second.request.hooks, type(second.elapsed)

    outcome = call(work)

    assert outcome.value == ("second", {"response": []}, timedelta)
    assert len(outcome.requests) == 2


def test_digest_authentication_goes_the_long_way(serve, left_to_requests):
    """It works as ever."""
    server = serve(reply(b"", 401, www_authenticate=CHALLENGE), reply(b"well"))
    auth = HTTPDigestAuth("user", "sk-planted")

    outcome = call(lambda: requests.get(server.url, auth=auth, timeout=5).text)

    assert outcome.value == "well"
    assert left_to_requests == [server.url]


@pytest.mark.parametrize("status", [429, 503])
def test_waits_are_not_in_the_time_it_took(serve, left_to_requests, status):
    """Neither those for a slot, nor a pause that the provider asks for, nor a retry's."""
    clock = FakeClock()

    def answer(_):
        clock.advance(len(server.requests))
        return reply(b"", status, retry_after=60) if len(server.requests) == 1 else reply(b"well")

    server = serve(answer)

    with clock.running():
        [outcome] = run(lambda _: requests.post(server.url, json={}, timeout=5), clock=clock)

    assert outcome.value.elapsed == timedelta(seconds=2)
    assert outcome.value.history == []
    assert [(record.status, record.elapsed) for record in outcome.requests] == [
        (status, 1),
        (200, 2),
    ]
    assert outcome.attempts == (1 if status == 429 else 2)
    assert left_to_requests == []


def test_the_time_is_that_to_the_headers(serve):
    """Not that to the body, which comes later."""
    clock, noted, note = FakeClock(), threading.Event(), Exchange.note_headers
    head, _, body = reply(b"well").partition(b"\r\n\r\n")

    def answer(_):
        clock.advance(3)
        yield head + b"\r\n\r\n"
        assert noted.wait(20)
        clock.advance(4)
        yield body

    class Pieces(list):
        def __init__(self, pieces):
            self.pieces = pieces

        def __iter__(self):
            return self.pieces

    def noting(exchange):
        note(exchange)
        noted.set()

    server = serve(lambda request: Pieces(answer(request)))

    with mock.patch.object(Exchange, "note_headers", noting):
        [outcome] = run(lambda _: requests.get(server.url, timeout=60), clock=clock)

    assert outcome.value.text == "well"
    assert outcome.value.elapsed == timedelta(seconds=3)
    assert [record.elapsed for record in outcome.requests] == [7]


def test_the_wait_for_a_slot_is_not_in_the_time_it_took(serve):
    """A call that is let in later has the time of its own exchange."""
    clock = FakeClock()

    def answer(_):
        clock.advance(5)
        return reply(b"well")

    server = serve(answer)

    outcomes = run(
        lambda _: requests.get(server.url, timeout=5),
        range(3),
        clock=clock,
        max_workers=3,
        concurrency=1,
    )

    assert [outcome.value.elapsed for outcome in outcomes] == [timedelta(seconds=5)] * 3


def test_several_requests_of_a_call_are_on_record_each(serve, left_to_requests):
    """With their retries; the function sees one response for each."""
    server = serve(reply(b"", 503), reply(b"one"), reply(b"", 503), reply(b"two"))

    outcome = call(
        lambda: [requests.post(server.url, json={}, timeout=5).text for _ in range(2)],
        retry=AT_ONCE,
    )

    assert outcome.value == ["one", "two"]
    assert [record.status for record in outcome.requests] == [503, 200, 503, 200]
    assert outcome.attempts == 3
    assert left_to_requests == []


def test_what_fails_for_good_is_told(serve, left_to_requests):
    """A function that swallows it has failed all the same."""
    server = serve(reply(b"no", 401))

    outcome = call(lambda: requests.post(server.url, json={}, timeout=5).status_code)

    assert outcome.error.response.status_code == 401
    assert left_to_requests == []


BREAKS = [
    ([None], {}),
    ([b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf", None], {}),
    ([b"no http\r\n\r\n", None], {}),
    ([], {"timeout": 0.1}),
]


@pytest.mark.parametrize(("answer", "options"), BREAKS, ids=str)
def test_errors_are_the_same(serve, left_to_requests, answer, options):
    """Their kind, and the request that they carry."""
    server = serve(lambda _: answer)
    asked = {"json": {"a": 1}, "headers": KEY, "timeout": 20} | options

    def ask():
        with pytest.raises(requests.RequestException) as caught:
            requests.post(server.url, **asked)
        sent = caught.value.request
        return type(caught.value), sent and told(sent), caught.value.response

    assert inside(ask) == ask()
    assert left_to_requests == []


@pytest.mark.parametrize("timeout", [[1, 2], (1,), "5", (1, 2, 3), -1, 0])
def test_a_timeout_that_is_none_is_refused_the_same(serve, timeout):
    """By requests or urllib3, in their words."""
    server = serve(reply(b"well"))

    def ask():
        with pytest.raises((ValueError, TypeError)) as caught:
            requests.post(server.url, json={}, timeout=timeout)
        return type(caught.value), str(caught.value)

    assert inside(ask) == ask()
    assert server.requests == []


def test_a_deadline_ends_it(serve, left_to_requests):
    """Its error carries the request."""
    server = serve([])

    outcome = call(lambda: requests.post(server.url, json={}, timeout=60), deadline=0.2)

    assert isinstance(outcome.error, threadllm.DeadlineExceeded)
    assert outcome.error.request.body == b"{}"
    assert left_to_requests == []


def test_a_pause_of_a_provider_holds_up_the_lane_too(serve):
    """Whoever else asks there meanwhile waits."""
    server = serve(reply(b"", 429, retry_after=30), reply(b"well"))

    outcomes, took = virtually(
        lambda _: requests.post(server.url, json={}, timeout=5).text, range(3), max_workers=1
    )

    assert [outcome.value for outcome in outcomes] == ["well"] * 3
    assert took == 30
