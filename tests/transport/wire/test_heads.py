import io
import socket
from contextlib import suppress
from unittest.mock import ANY

import pytest
import requests
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from urllib3 import filepost
from urllib3.util import SKIP_HEADER

from tests.transport.support import Listener
from threadllm.transport.wire.heads import head_of, target_of

from .playing import ended, seen_of_error, ways
from .streams import budget

_ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


class Recorder(Listener):
    """Keeps what comes on its connections, one after the other, to the last byte."""

    def __init__(self):
        self.received = []

    def _take(self, sock):
        with sock, suppress(OSError):
            self.received.append(b"")
            while piece := sock.recv(1 << 16):
                has_answered = b"\r\n\r\n" in self.received[-1]
                self.received[-1] += piece
                if not has_answered and b"\r\n\r\n" in self.received[-1]:
                    sock.sendall(_ANSWER)  # all is sent before it is read

    def take(self):
        """What came since the last time; connections without a byte count for nothing."""
        with socket.create_connection(("127.0.0.1", self.port)) as last:
            last.sendall(b"GET / HTTP/1.1\r\n\r\n")
            assert last.recv(1 << 16) == _ANSWER
        received, self.received = self.received[:-1], []
        return [*filter(None, received)]


@pytest.fixture(scope="module")
def recorder():
    with Recorder() as running, pytest.MonkeyPatch.context() as patch:
        patch.setattr(filepost, "choose_boundary", lambda: "boundary")
        yield running


def sent(recorder, make, **options):
    """What arrived of a request, and what it ended in, by the short way and by requests' own."""
    for session in ways():
        seen = None
        with ended(session):
            try:
                session.send(make(recorder.url), timeout=10, **options)
            except Exception as error:
                seen = seen_of_error(error)
        yield recorder.take(), seen


def compare(recorder, make, **options):
    """Check that the same bytes arrive, or that the same error says why none do."""
    ours, theirs = sent(recorder, make, **options)
    assert ours == theirs
    return ours


class File(io.BytesIO):
    """A file with a name."""

    name = "report.txt"


BODIES = {
    "nothing": dict,
    "bytes": lambda: {"data": b'{"a": 1}'},
    "no bytes": lambda: {"data": b""},
    "large": lambda: {"data": b"x" * 300_000},
    "text": lambda: {"data": "Grüße"},
    "form": lambda: {"data": {"a": "1", "b": ["ü", "3"]}},
    "json": lambda: {"json": {"a": "ü"}},
    "no json": lambda: {"json": {}},
    "file": lambda: {"data": io.BytesIO(b"content")},
    "empty file": lambda: {"data": io.BytesIO()},
    "text file": lambda: {"data": io.StringIO("content")},
    "generator": lambda: {"data": (piece for piece in (b"one", b"", b"two"))},
    "bytearray": lambda: {"data": bytearray(b"content")},
    "multipart": lambda: {
        "files": {"f": ("n.txt", b"content", "text/plain")},
        "data": {"a": "1"},
    },
}
NAMES = ["X-A", "x-a", "Accept", "User-Agent", "Accept-Encoding", "Connection", "Expect"]
ODD_NAMES = ["X A", "X-É", "", ":", "X:A", b"X-Bytes", "Host", "host", "Content-Length", "X\n"]
ODD_NAMES += ["Transfer-Encoding", "Cookie", 'X"A', "Proxy-Connection", "Upgrade"]
VALUES = ["1", "a b", "", "a\tb", "x" * 5_000, "keep-alive", "close", "gzip", SKIP_HEADER, "~"]
ODD_VALUES = ["é", "世", " a", "a ", "a\r\nb: c", "a\r\n b", "\0", "\x7f", b"bytes", b"\xe9", None]
ODD_VALUES += [7, 0, ["a"], "chunked", True, 1.5, "\x1f", "\x85"]
METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]
ODD_METHODS = ["HEAD", "TRACE", "PURGE", "post", "M-SEARCH", "G T", "G\r\nX", "É", ""]
PATHS = ["/", "/v1/chat/completions", "/a%20b", "/a;b=c,d", "/~a/(b)!$&'*+=:@"]
ODD_PATHS = [
    "",
    "//a",
    "///a//b",
    "/a/../b",
    "/ä",
    "/a%zz",
    "/a%2fb",
    "/a b",
    "/%",
    "/[a]",
    "/a\\b",
]
ODD_PATHS += ["/a|b", '/"', "/<a>", "/{a}", "/a^b`", "/\0", "/a\nb"]
QUERIES = [
    "",
    "?a=1&b=%C3%BC",
    "?a[]=1",
    "?",
    "?a?b/c",
    "?ä=ö",
    "?a=b#c",
    "#c",
    "?#",
    "#",
    "?%",
    "?a b",
]


def odd(usual, unusual):
    return st.one_of(st.sampled_from(usual), st.sampled_from(usual), st.sampled_from(unusual))


HEADERS = st.dictionaries(odd(NAMES, ODD_NAMES), odd(VALUES, ODD_VALUES), max_size=4)


def prepared(method, body, headers, path):
    """Makes a request as sessions prepare it."""

    def make(url):
        options = BODIES[body]()
        options["headers"] = {**options.get("headers", {}), **headers}
        with requests.Session() as session:
            return session.prepare_request(requests.Request(method, url + path, **options))

    return make


@given(
    method=odd(METHODS, ODD_METHODS),
    body=st.sampled_from(sorted(BODIES)),
    headers=HEADERS,
    path=st.builds(str.__add__, odd(PATHS, ODD_PATHS), st.sampled_from(QUERIES)),
)
@settings(max_examples=budget(200), suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_request_arrives_as_requests_sends_it(recorder, method, body, headers, path):
    """Whatever a session prepares: the same bytes arrive, or the same error is raised."""
    compare(recorder, prepared(method, body, headers, path))


def altered(method, body, headers, path, changes):
    """Makes a request that was changed after its preparation, as only code by hand does."""

    def make(url):
        request = prepared("POST", body, {}, "/")(url)
        request.method, request.url = method, url + path
        request.headers.update(headers)
        for change in changes:
            change(request)
        return request

    return make


def with_body(body):
    return lambda request: setattr(request, "body", body() if callable(body) else body)


def without(name):
    return lambda request: request.headers.pop(name, None)


def plain_headers(request):
    request.headers = dict(request.headers)


CHANGES = [
    *map(with_body, [None, b"", b"xyz", "", "xyz", bytearray(b"xyz"), lambda: iter([b"x", b"yz"])]),
    *map(without, ["Content-Length", "User-Agent", "Accept-Encoding"]),
    lambda request: request.headers.update({"Content-Length": "0"}),
    lambda request: request.headers.update({"Content-Length": "3"}),
    plain_headers,
]


@given(
    method=odd(METHODS, [*ODD_METHODS, None, b"POST"]),
    body=st.sampled_from(["nothing", "bytes", "text", "generator"]),
    headers=HEADERS,
    path=st.builds(str.__add__, odd(PATHS, ODD_PATHS), st.sampled_from(QUERIES)),
    changes=st.lists(st.sampled_from(CHANGES), max_size=3),
)
@settings(max_examples=budget(200), suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_request_changed_by_hand_arrives_as_requests_sends_it(
    recorder, method, body, headers, path, changes
):
    """Whatever is changed after the preparation: the same bytes, or the same error."""
    compare(recorder, altered(method, body, headers, path, changes))


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("body", ["nothing", "bytes", "no bytes", "large", "json", "multipart"])
def test_requests_as_most_are_made_have_their_head_made_here(recorder, method, body):
    """With it, the short way is taken at all."""
    request = prepared(method, body, {"X-A": "1"}, "/v1/chat/completions?a=%C3%BC#part")(
        recorder.url
    )
    target = target_of(request.url)
    assert target == ("http", "127.0.0.1", recorder.port, "/v1/chat/completions?a=%C3%BC", ANY)
    received, seen = compare(recorder, lambda _: request)
    assert (received, seen) == ([head_of(request, target) + (request.body or b"")], None)


@pytest.mark.parametrize(
    ("body", "changes"),
    [
        ("nothing", [without("Content-Length")]),
        ("nothing", [without("User-Agent")]),
        ("nothing", [without("Accept-Encoding")]),
        ("nothing", [plain_headers]),
        ("nothing", [with_body(b""), without("Content-Length")]),
        ("bytes", [with_body(b"other")]),
        ("bytes", [with_body(None)]),
        ("bytes", [with_body(bytearray(b'{"a": 1}'))]),
        ("bytes", [without("Content-Length")]),
        ("text", []),
        ("generator", []),
        ("file", []),
    ],
)
def test_other_requests_are_left_to_urllib3(body, changes):
    """What urllib3 would add to, encode or refuse has no head here."""
    request = altered("POST", body, {}, "/", changes)("http://localhost")
    assert head_of(request, target_of(request.url)) is None


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(
            (name, "1")
            for name in ODD_NAMES
            if name not in {"Cookie", "Proxy-Connection", "Upgrade"}
        ),
        *(("X-A", value) for value in ODD_VALUES if value not in (" a", "a ", "chunked")),
        ("User-Agent", SKIP_HEADER),
        ("Accept-Encoding", SKIP_HEADER),
    ],
    ids=repr,
)
def test_requests_with_other_headers_are_left_to_urllib3(name, value):
    """What is no plain name, no plain text, or speaks of how the request is framed."""
    request = prepared("POST", "bytes", {}, "/")("http://localhost")
    request.headers[name] = value
    assert head_of(request, target_of(request.url)) is None


class Word(str):
    """A text that shows itself as another, as members of an enumeration do."""

    __slots__ = ()

    def __format__(self, _):
        return "X-Other"


@pytest.mark.parametrize(("name", "value"), [("X-A", Word("word")), (Word("X-Word"), "1")])
def test_a_header_is_what_it_is_not_what_it_shows(recorder, name, value):
    """A text of a class of its own arrives as requests sends it."""

    def make(url):
        request = prepared("POST", "bytes", {}, "/")(url)
        request.headers[name] = value
        return request

    [received], _ = compare(recorder, make)
    assert b"X-Other" not in received


@pytest.mark.parametrize("method", [*ODD_METHODS, None, b"POST"], ids=repr)
def test_requests_with_other_methods_are_left_to_urllib3(method):
    """HEAD among them, whose answer has no body."""
    request = prepared("POST", "nothing", {}, "/")("http://localhost")
    request.method = method
    assert head_of(request, target_of(request.url)) is None


@pytest.mark.parametrize(
    "url",
    [
        *(f"http://localhost{path}" for path in ODD_PATHS if path != "/a/../b"),
        *(f"http://localhost/{query}" for query in ("?", "?ä=ö", "?#", "?%", "?a b", "?a\n", "\n")),
        *("http://localhost:0/", "http://localhost:080/", "http://localhost:123456/"),
        *("http://[::1]/", "http://user@localhost/", "http://localhost./", "http://LOCALHOST/"),
        *("HTTP://localhost/", "ftp://localhost/", "http:///", "http://ä/", "http://a..b/", ""),
        *("http://localhost", "localhost/", "http://a:b/", "http://local host/", "None"),
    ],
)
def test_other_urls_are_left_to_urllib3(url):
    """What it would encode, split or resolve in its own way."""
    assert target_of(url) is None


@pytest.mark.parametrize(
    ("url", "netloc"),
    [
        ("http://localhost/", "localhost"),
        ("http://localhost:80/", "localhost"),
        ("http://localhost:443/", "localhost:443"),
        ("https://localhost:443/", "localhost"),
        ("https://localhost:80/", "localhost:80"),
        ("https://api.example-1.com:8443/", "api.example-1.com:8443"),
    ],
)
def test_a_usual_port_is_not_named(url, netloc):
    """The Host header names a port only if it is another than the scheme's."""
    assert target_of(url).netloc == netloc


@pytest.mark.parametrize(
    "options",
    [{"auth": ("user", "pass")}, {"cookies": {"a": "1"}}, {"params": {"q": "ä b"}}],
    ids=lambda options: next(iter(options)),
)
def test_what_requests_puts_into_a_request_arrives(recorder, options):
    """Credentials, cookies and parameters."""

    def make(url):
        with requests.Session() as session:
            return session.prepare_request(requests.Request("POST", url, json={}, **options))

    [received], _ = compare(recorder, make)
    assert any(word in received for word in (b"Basic ", b"Cookie: a=1", b"/?q=%C3%A4+b"))
