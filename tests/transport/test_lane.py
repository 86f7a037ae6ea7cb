"""What `requests.post` and its like send within calls is what they send plainly."""

import inspect
import pickle
import threading
from collections import OrderedDict
from contextlib import contextmanager
from unittest import mock

import pytest
import requests
from hypothesis import given, settings
from hypothesis import strategies as st
from requests.adapters import HTTPAdapter
from requests.structures import CaseInsensitiveDict

import threadllm
from threadllm.call import current
from threadllm.dispatcher.options import DEFAULT_TIMEOUT
from threadllm.transport import lane

from .steps.test_preparing import (
    AUTHS,
    COOKIES,
    DATA,
    FILES,
    HEADERS,
    HOOKS,
    JSON,
    METHODS,
    PARAMS,
    URL,
    URLS,
    Text,
    content_of,
    fresh,
    note,
    sign,
)
from .support import Listener, call, reply
from .wire.playing import receive

ONCE = threadllm.Retry(attempts=1)
NETRC = """
machine llm.test login user password sk-planted-netrc
machine LLM.TEST login upper password sk-planted-upper
"""


@pytest.fixture(autouse=True)
def _bare(monkeypatch, tmp_path):
    """No credentials and no proxies are set, until a test sets some."""
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "REQUESTS_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))


def told(prepared):
    """All that there is to say of a prepared request."""
    return type(prepared), [
        *(
            vars(prepared)
            | {
                "method": (type(prepared.method), prepared.method),
                "url": (type(prepared.url), prepared.url),
                "headers": [
                    type(prepared.headers),
                    *((type(name), type(value), name, value) for name, value in pairs(prepared)),
                ],
                "body": (type(prepared.body), content_of(prepared.body)),
                "_cookies": [type(prepared._cookies), *map(vars, prepared._cookies)],
                "_body_position": type(prepared._body_position),
            }
        ).items()
    ]


def pairs(prepared):
    return prepared.headers.items()


def errors_of(error):
    """An error, and those behind it."""
    chain = []
    while error is not None:
        chain.append((type(error), str(error)))
        error = error.__cause__ or error.__context__
    return chain


@contextmanager
def recording():
    """What reaches requests' adapter, which answers all by itself."""
    sent = []

    def send(_, request, stream=False, timeout=None, verify=True, cert=None, proxies=None):
        timeout = DEFAULT_TIMEOUT if timeout is None else timeout
        sent.append(
            (told(request), stream, timeout, verify, cert, type(proxies), [*proxies.items()])
        )
        response = requests.Response()
        response.status_code, response.request, response.url = 200, request, request.url
        response._content = b"{}"
        return response

    with mock.patch.object(HTTPAdapter, "send", send):
        yield sent


def seen(makers):
    """What is sent, and what of it the response shows, or the error."""
    with (
        recording() as sent,
        mock.patch("urllib3.filepost.choose_boundary", return_value="boundary"),
    ):
        try:
            response = requests.request(**{name: make() for name, make in makers.items()})
        except Exception as error:
            return sent, errors_of(error)
    return sent, told(response.request), response.history, type(response.elapsed)


def within(*asked):
    """The same within a call."""
    return call(lambda: [seen(makers) for makers in asked], retry=ONCE).value


FLAGS = True, False, None
TIMEOUTS = fresh(None, 5, 0.5, (1, 2), (None, 3), [1, 2], (1,), "5", 0, *FLAGS)
FALSY = fresh(None, {}, [], (), "", b"", 0, 0.0)
MORE = st.dictionaries(
    st.sampled_from(
        ["Host", "Connection", "Accept-Encoding", "Content-Length", "content-type", "User-Agent"]
    ),
    st.sampled_from(["x", "", None, "0", Text("x"), b"x", 7]),
    max_size=3,
).map(lambda pairs: lambda: dict(pairs))
USUALLY = {
    "headers": HEADERS | MORE | fresh({"Authorization": "Bearer sk-planted", "X-A": "b"}),
    "json": JSON | fresh({}, [], 0, 0.0, "", OrderedDict(a=1), "\ud800", ["é" * 9999]),
    "timeout": TIMEOUTS,
    "data": FALSY,
    "params": FALSY,
}
UNUSUALLY = {
    "data": DATA,
    "params": PARAMS,
    "files": FILES,
    "auth": AUTHS,
    "cookies": COOKIES,
    "hooks": HOOKS,
    "allow_redirects": fresh(*FLAGS),
    "stream": fresh(*FLAGS),
    "verify": fresh(*FLAGS, "/bundle.pem"),
    "cert": fresh(None, "/cert.pem", ("a", "b")),
    "proxies": fresh(
        None, {}, {"http": "http://proxy.test:3128"}, {"http": None}, {"no_proxy": "*"}
    ),
    "unheard_of": fresh(1),
}


def asked(options, methods, urls):
    names = st.sets(st.sampled_from(sorted(options)), max_size=4)
    return names.flatmap(
        lambda chosen: st.fixed_dictionaries(
            {"method": methods, "url": urls} | {name: options[name] for name in chosen}
        )
    )


POST, LLM = fresh("post"), fresh(URL)
USUAL = asked(USUALLY, METHODS, LLM) | asked(USUALLY, POST, URLS) | asked(USUALLY, POST, LLM)


@settings(max_examples=200)
@given(several=st.lists(USUAL, min_size=1, max_size=3))
def test_what_is_sent_is_what_requests_sends(several):
    """The request, its settings, or the error, whatever was sent before that nearly equals it."""
    expected = [seen(makers) for makers in several]
    assert within(*several, *several) == expected * 2


@settings(max_examples=100)
@given(makers=asked(USUALLY | UNUSUALLY, METHODS, LLM) | asked(USUALLY | UNUSUALLY, POST, URLS))
def test_the_unusual_is_sent_as_requests_sends_it(makers):
    """Whatever arguments `requests.request` takes."""
    assert within(makers) == [seen(makers)]


ALIKE = [
    ({"X": "1"}, {"X": Text("1")}),
    ({"X": "1"}, {Text("X"): "1"}),
    ({"X": "1", "Y": "2"}, {"X": "Y", "1": "2"}),
    ({"A": "1", "a": "2"}, {"a": "2", "A": "1"}),
    ({"X": "1"}, {"X": 1}),
    ({"X": None}, {}),
]


@pytest.mark.parametrize("order", [1, -1])
@pytest.mark.parametrize("headers", ALIKE, ids=str)
def test_what_nearly_equals_is_told_apart(headers, order):
    """What was worked out for one is not taken for the other, to the types of its parts."""
    several = [
        {"method": lambda: "post", "url": lambda: URL, "headers": lambda given=given: dict(given)}
        for given in headers[::order]
    ]
    assert within(*several) == [seen(makers) for makers in several]


@pytest.fixture
def wire():
    """A server that keeps requests as they come, byte for byte."""
    with Wire() as running:
        yield running


class Wire(Listener):
    """Answers everybody, one after the other; `received` has the bytes."""

    def __init__(self):
        self.received = []

    def __enter__(self):
        super().__enter__()
        self.url += "/v1"
        return self

    def _take(self, sock):
        with sock:
            self.received.append(receive(sock))
            sock.sendall(reply(b"well", connection="close"))


KEY = "Bearer sk-planted"
SHAPES = [
    ("get", {}),
    ("GET", {"params": {"a": "ü b", "c": ["d", None]}}),
    ("get", {"json": {"a": ["ü"]}}),
    ("post", {}),
    ("post", {"json": {"a": ["ü", 1.5, None, True]}, "headers": {"Authorization": KEY}}),
    ("post", {"json": {}}),
    ("post", {"json": 0, "data": ""}),
    ("pOsT", {"json": "é" * 99_999}),
    ("patch", {"json": [], "headers": {"content-type": "application/x+json", "User-Agent": "me"}}),
    ("post", {"json": {}, "headers": {"Accept-Encoding": None, "User-Agent": None, "Accept": "a"}}),
    ("post", {"json": {}, "headers": {"content-length": "999", "X": "y"}}),
    ("post", {"headers": {"CONTENT-LENGTH": "0", "X": ""}}),
    ("put", {"json": {}, "headers": {"Host": "other.test", "Connection": "close", "X": b"y"}}),
    ("delete", {"headers": {"A": "1", "a": "2", "X": "é"}}),
    ("options", {"headers": CaseInsensitiveDict({"A": "1"})}),
    ("post", {"data": {"a": "b"}}),
    ("post", {"data": b"bytes", "headers": {"Content-Type": "text/plain"}}),
    ("post", {"data": "text"}),
    ("post", {"files": {"f": ("n.txt", b"data")}}),
    ("post", {"auth": ("user", "sk-planted"), "cookies": {"a": "b"}}),
    ("post", {"auth": sign, "hooks": {"response": note}, "stream": True}),
    ("FETCH", {"json": {}}),
]


@pytest.mark.parametrize(("method", "options"), SHAPES, ids=str)
def test_the_bytes_are_the_same(wire, method, options):
    """On the wire, head and body, also the second time."""

    def ask():
        with mock.patch("urllib3.filepost.choose_boundary", return_value="boundary"):
            return requests.request(method, wire.url, timeout=5, **options).text

    assert ask() == "well"
    assert call(lambda: [ask(), ask()]).value == ["well", "well"]
    plain, *others = wire.received
    assert others == [plain, plain]


@pytest.mark.parametrize("fragment", ["/a b?x=1&y=é#part", "?q", "/%zz%7e", "", "//a/../b"])
def test_addresses_are_the_same_on_the_wire(wire, fragment):
    """Encoded once, with what requests leaves out left out."""
    for address in (
        wire.url + fragment,
        wire.url.replace("//", "//us%20er:sk-planted@") + fragment,
    ):
        plain = requests.get(address, timeout=5)
        [seen] = call(lambda url=address: [requests.get(url, timeout=5)]).value
        assert (seen.url, told(seen.request)) == (plain.url, told(plain.request))
        assert wire.received[-1] == wire.received[-2]


def asked_of_the_lane(method, url, options):
    """What the lane gives within a call, and what it left to requests, with what arguments."""
    found = mock.Mock(return_value="requests'")

    def work():
        with recording():
            requests.get(URL)  # which makes what is made once
        with mock.patch.object(lane, "_SESSION", side_effect=AssertionError):
            return lane.request(current.get(), found, method, url, options)

    outcome = call(work, retry=ONCE)
    return outcome.value if outcome.error is None else outcome.error, found.mock_calls


USUAL_OPTIONS = [
    {},
    {"headers": None, "json": None, "data": None, "params": None, "timeout": None},
    {"headers": {}, "json": {}, "data": {}, "params": (), "timeout": 5},
    {"headers": {"Authorization": KEY, "X": None}, "json": ["x"], "timeout": (5, 5)},
    {"json": 0, "data": "", "params": {}},
]


@pytest.mark.parametrize("options", USUAL_OPTIONS, ids=str)
@pytest.mark.parametrize("method", ["post", "get"])
def test_the_usual_takes_the_lane(serve, method, options):
    """No session is made for it; what was given is left as it was."""
    server = serve(reply(b"well"))
    options = dict(options)
    before = dict(options)

    response, left = asked_of_the_lane(method, server.url, options)

    assert (response.text, left, options) == ("well", [], before)


UNUSUAL_REQUESTS = [
    ("get", URL, {"stream": False}),
    ("get", URL, {"allow_redirects": True}),
    ("get", URL, {"unheard_of": 1}),
    ("get", URL, {"data": b"bytes", "timeout": 5}),
    ("get", URL, {"params": "a=b"}),
    ("get", URL, {"headers": CaseInsensitiveDict()}),
    ("get", URL, {"headers": OrderedDict()}),
    ("get", URL, {"headers": []}),
    ("get", URL, {"headers": ()}),
    ("get", URL, {"headers": {"X": b"y"}}),
    ("get", URL, {"headers": {"X": Text("y")}}),
    ("get", URL, {"headers": {Text("X"): "y"}}),
    ("get", URL, {"headers": {"X": 1}}),
    ("get", URL, {"headers": {"X": ["y"]}}),
    ("get", URL, {"headers": {"X": "y\nz"}}),
    ("get", URL, {"json": {1, 2}}),
    ("get", URL, {"json": float("nan")}),
    ("get", " " + URL, {}),
    ("get", "mailto:a@b", {}),
    ("get", "http://", {}),
    ("get", "http+unix://%2Fsocket/x", {}),
    ("get", "httpx://llm.test/", {}),
    ("get", "http://a:port/", {}),
    ("get", "http://*.test/", {}),
    ("get", "", {}),
    ("get", Text(URL), {}),
    ("get", URL.encode(), {}),
    ("get", None, {}),
    (Text("get"), URL, {}),
    (b"get", URL, {}),
    (None, URL, {}),
]


@pytest.mark.parametrize(("method", "url", "options"), UNUSUAL_REQUESTS, ids=str)
def test_the_unusual_is_left_to_requests(method, url, options):
    """With what was given and nothing beside, nor is anything sent."""
    with recording() as sent:
        assert asked_of_the_lane(method, url, dict(options)) == (
            "requests'",
            [mock.call(method, url, **options)],
        )
    assert sent == []


def test_an_error_of_requests_has_nothing_behind_it():
    """What the lane found out on the way is not told."""

    def work():
        with pytest.raises(requests.exceptions.InvalidHeader) as caught:
            requests.post(URL, json={}, headers={"X": "y\nz"})
        return errors_of(caught.value)

    [_] = call(work).value


def test_an_error_of_the_json_itself_is_its_own():
    """What a mapping raises while it is read is raised."""

    class Broken(dict):
        def items(self):
            raise LookupError("broken")

    def work():
        with pytest.raises(LookupError) as caught:
            requests.post(URL, json={"a": Broken(b=1)})
        return errors_of(caught.value)

    assert call(work).value == errors_of(LookupError("broken"))


def test_each_request_is_its_own(serve):
    """What is changed on one, in its headers, cookies or hooks, is not seen on the next."""
    server = serve(reply(b"well"))

    def work():
        first = requests.post(server.url, json={}, headers={"X": "y"}).request
        first.headers["X-Mine"] = "1"
        del first.headers["X"]
        first._cookies.set("mine", "1")
        first.register_hook("response", note)
        return first, requests.post(server.url, json={}, headers={"X": "y"}).request

    first, second = call(work).value
    assert told(second) == told(requests.post(server.url, json={}, headers={"X": "y"}).request)
    assert pickle.loads(pickle.dumps(second)).headers == second.headers
    assert first.headers["X-Mine"] == "1"


def test_who_has_no_call_is_served_plainly(serve):
    """Threads that a function starts by itself, without its context."""
    server = serve(reply(b"well"))
    found = []

    def work():
        with mock.patch.object(lane, "request", side_effect=AssertionError):
            thread = threading.Thread(target=lambda: found.append(requests.get(server.url)))
            thread.start()
            thread.join()

    outcome = call(work)

    assert (outcome.error, outcome.requests) == (None, ())
    assert [response.text for response in found] == ["well"]


def test_what_it_is_can_be_looked_up_as_ever():
    """Its signature, its documentation, where it is from, and by which name it is pickled."""

    def look(function):
        return (
            inspect.signature(function),
            function.__doc__,
            function.__module__,
            function.__name__,
            function.__qualname__,
        )

    plain = look(requests.request)
    assert call(lambda: look(requests.request)).value == plain
    assert call(lambda: pickle.loads(pickle.dumps(requests.request)) is requests.api.request).value
    for wrong in ({}, {"method": "get"}, {"url": URL}):
        with pytest.raises(TypeError) as expected:
            requests.request(**wrong)
        outcome = call(lambda wrong=wrong: requests.request(**wrong))
        assert (type(outcome.error), str(outcome.error)) == (TypeError, str(expected.value))
