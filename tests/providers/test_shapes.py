import json
import socket
import ssl
import threading
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace

import pytest
import requests
import urllib3

from tests.providers.clients import CLIENTS, error_of, with_anthropic_streamed
from threadllm.providers import Reply, Verdict, is_transient, reply_of, status_of, verdict_on
from threadllm.retry import Retry

BODY = {"error": {"message": "too fast", "type": "requests", "code": None}}
ERROR = b'{"error": {"message": "too fast", "type": "requests", "code": null}}'
BUSY = b'event: error\ndata: {"type": "error", "error": {"type": "overloaded_error"}}\n\n'
# By the first part of the path: status, type, body, and how much longer it is said to be.
ANSWERS = {
    "refused": (429, "application/json", ERROR, 0),
    "torn": (429, "application/json", ERROR, 1000),
    "cut": (200, "application/json", b'{"choices": [', 1000),
    "busy": (200, "text/event-stream", BUSY, 0),
}


class Answer(BaseHTTPRequestHandler):
    """Reads the request and gives the answer that the path asks for."""

    def do_POST(self):
        status, kind, body, lacking = ANSWERS[self.path.split("/")[1]]
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body) + lacking))
        self.send_header("Retry-After", "7")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        """Says nothing."""


@pytest.fixture(scope="module")
def server():
    with ThreadingHTTPServer(("127.0.0.1", 0), Answer) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.fixture
def nobody():
    """A port that is taken and at which nobody listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"127.0.0.1:{taken.getsockname()[1]}"


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch):
    monkeypatch.setenv("NO_PROXY", "*")


ANSWERING = [name for name in CLIENTS if name != "urllib3"]  # which raises for no status
UNREAD = {"urllib", "aiohttp", "httpx, streamed"}  # whose errors hold no body


@pytest.mark.parametrize("name", ANSWERING)
def test_an_answer_is_found_in_the_error_of_each_client(server, name):
    """Status and headers are there, and the body where the client has read it."""
    error = error_of(CLIENTS[name], f"{server}/refused")
    reply = reply_of(error)

    assert status_of(error) == 429
    assert (reply.status, reply.headers["retry-after"]) == (429, "7")
    assert reply.body == (None if name in UNREAD else BODY)


@pytest.mark.parametrize("name", [name for name in ANSWERING if name.endswith("streamed")])
def test_a_body_that_breaks_as_it_is_read_leaves_the_rest(server, name):
    """The error is read without one of its own."""
    reply = reply_of(error_of(CLIENTS[name], f"{server}/torn"))

    assert (reply.status, reply.headers["retry-after"], reply.body) == (429, "7", None)


def test_a_stream_that_breaks_off_with_an_error_is_judged_by_it(server):
    """Anthropic's client raises it with the 200 that the stream began with."""
    reply = reply_of(error_of(with_anthropic_streamed, f"{server}/busy"))

    assert reply.status == 200
    assert reply.body == {"type": "error", "error": {"type": "overloaded_error"}}
    assert verdict_on(reply, Retry().statuses) is Verdict.RETRY


@pytest.mark.parametrize("name", [n for n in CLIENTS if n != "httpx, streamed"])  # reads no body
def test_a_body_that_ends_early_is_transient(server, name):
    """Every client's error for an answer that broke off says so."""
    error = error_of(CLIENTS[name], f"{server}/cut")

    assert (is_transient(error), reply_of(error), status_of(error)) == (True, None, None)


@pytest.mark.parametrize("name", CLIENTS)
def test_a_refused_connection_is_transient(nobody, name):
    """Every client's error for an address where nobody listens says so."""
    error = error_of(CLIENTS[name], f"http://{nobody}/")

    assert (is_transient(error), reply_of(error)) == (True, None)


CERTIFICATE = ssl.SSLCertVerificationError(1, "[SSL: CERTIFICATE_VERIFY_FAILED] planted")
TLS_BREAKS = {
    "certificate": (CERTIFICATE, False),
    "end of file": (ssl.SSLEOFError(8, "EOF occurred in violation of protocol"), True),
    "reset": (ConnectionResetError(104, "Connection reset by peer"), True),
}


@pytest.mark.parametrize("name", [name for name in CLIENTS if name != "aiohttp"])
@pytest.mark.parametrize(("cause", "transient"), TLS_BREAKS.values(), ids=TLS_BREAKS)
def test_a_bad_certificate_is_not_transient(monkeypatch, server, name, cause, transient):
    """However each client wraps it, a certificate does not mend itself; other breaks may."""

    def handshake(*args, **kwargs):
        raise cause.with_traceback(None)

    monkeypatch.setattr(ssl.SSLContext, "wrap_socket", handshake)
    error = error_of(CLIENTS[name], f"{server.replace('http', 'https')}/refused")

    assert (is_transient(error), reply_of(error)) == (transient, None)


def raised(error, *, cause=None, during=None, hide=False):
    """An error with what a `raise` leaves on it."""
    error.__cause__, error.__context__ = cause, during
    error.__suppress_context__ = hide or cause is not None
    return error


def ring():
    first, second = RuntimeError("first"), RuntimeError("second")
    raised(first, cause=second)
    return raised(second, cause=first)


def chain(length, end):
    for number in range(length):
        end = raised(RuntimeError(number), cause=end)
    return end


def wrapped(cause):
    """A TLS error as requests wraps it."""
    pool = urllib3.HTTPSConnectionPool("host", 443)
    reason = urllib3.exceptions.SSLError(cause)
    return requests.exceptions.SSLError(urllib3.exceptions.MaxRetryError(pool, "/", reason))


@pytest.mark.parametrize(
    ("error", "transient"),
    [
        (ConnectionError(), True),
        (ConnectionResetError(), True),
        (BrokenPipeError(), True),
        (TimeoutError(), True),
        (socket.gaierror(-2, "Name or service not known"), True),
        (ssl.SSLEOFError(8, "EOF"), True),
        (ssl.SSLZeroReturnError(6, "closed"), True),
        (ssl.SSLError(1, "wrong version number"), False),
        (CERTIFICATE, False),
        (requests.ConnectionError(), True),
        (requests.ConnectTimeout(), True),
        (requests.ReadTimeout(), True),
        (requests.exceptions.ChunkedEncodingError(), True),
        (requests.exceptions.SSLError("unexpected EOF"), True),
        (wrapped(ssl.SSLEOFError(8, "EOF")), True),
        (wrapped(CERTIFICATE), False),
        (requests.exceptions.InvalidURL(), False),
        (requests.TooManyRedirects(), False),
        (requests.HTTPError(), False),
        (requests.JSONDecodeError("no", "", 0), False),
        (requests.JSONDecodeError("no", '{"a": <', 6), False),
        (requests.JSONDecodeError("no", "\n <!doctype html>", 2), True),
        (raised(RuntimeError(), cause=requests.JSONDecodeError("no", "<html>", 0)), True),
        (json.JSONDecodeError("no", "<html>", 0), False),  # perhaps what a model said
        (requests.exceptions.InvalidJSONError("<html>"), False),
        (urllib3.exceptions.ReadTimeoutError(None, "/", "late"), True),
        (urllib3.exceptions.ProtocolError("broken"), True),
        (urllib3.exceptions.LocationParseError("x"), False),
        (ValueError(), False),
        (OSError(28, "No space left on device"), False),
        (UnicodeDecodeError("ascii", b"\xff", 0, 1, "a reason that is a text"), False),
        # of the user's own
        (raised(RuntimeError(), cause=ConnectionError()), True),
        (raised(RuntimeError(), during=ConnectionError()), False),
        (raised(ConnectionError(), during=CERTIFICATE), False),
        (raised(ConnectionError(), during=CERTIFICATE, hide=True), True),
        (raised(ConnectionError(), cause=ValueError(), during=CERTIFICATE), True),
        (ConnectionError(ValueError(CERTIFICATE)), False),
        (ring(), False),
        (chain(20, ConnectionError()), True),
        (chain(100, ConnectionError()), False),
    ],
    ids=repr,
)
def test_what_broke_on_the_way_is_transient(error, transient):
    """It is told by class, along what the error was raised from; a certificate at any place."""
    assert is_transient(error) is transient


def test_clients_timeouts_are_transient():
    """Made as the clients make them."""
    openai, anthropic = pytest.importorskip("openai"), pytest.importorskip("anthropic")
    aiohttp, httpx = pytest.importorskip("aiohttp"), pytest.importorskip("httpx")
    errors = [
        openai.APITimeoutError(None),
        anthropic.APITimeoutError(None),
        aiohttp.ServerTimeoutError(),
        aiohttp.ServerDisconnectedError(),
        httpx.ReadTimeout("late"),
        httpx.ConnectTimeout("late"),
        httpx.PoolTimeout("late"),
        httpx.RemoteProtocolError("Server disconnected without sending a response."),
    ]

    assert [is_transient(error) for error in errors] == [True] * len(errors)


def test_aiohttps_certificate_error_is_not_transient():
    """It is a connection error by its class, and a certificate's by its name."""
    aiohttp = pytest.importorskip("aiohttp")
    key = SimpleNamespace(host="host", port=443, is_ssl=True, ssl=True)

    assert not is_transient(aiohttp.ClientConnectorCertificateError(key, CERTIFICATE))


class ShapedError(Exception):
    """An error with whatever attributes its client gives it."""

    def __init__(self, **attributes):
        super().__init__()
        vars(self).update(attributes)


@pytest.mark.parametrize(
    ("error", "reply"),
    [
        (ShapedError(status_code=503), Reply(503)),
        (ShapedError(status_code=HTTPStatus.TOO_MANY_REQUESTS), Reply(429)),
        (ShapedError(status=503, headers={"Retry-After": 7}), Reply(503, {"retry-after": "7"})),
        (ShapedError(status_code=429, body=BODY), Reply(429, {}, BODY)),
        (ShapedError(response=SimpleNamespace(status_code=429)), Reply(429)),
        (
            ShapedError(
                status_code=400,
                headers={"a": "b"},
                response=SimpleNamespace(status_code=500, headers={"X": "y"}, content=ERROR),
            ),
            Reply(400, {"x": "y"}, BODY),
        ),
        (
            ShapedError(
                status_code=429,
                response=SimpleNamespace(headers={}),  # litellm makes its own
                litellm_response_headers={"Retry-After": "7"},
            ),
            Reply(429, {"retry-after": "7"}),
        ),
        (
            ShapedError(status_code=500, body="raw", response=SimpleNamespace(content=b"<html>")),
            Reply(500),
        ),
        (ShapedError(status_code=500, headers=[("a", "b")]), Reply(500)),
        (raised(RuntimeError(), cause=ShapedError(status=429)), Reply(429)),
        (raised(RuntimeError(), cause=chain(3, ShapedError(status=429))), Reply(429)),
        (raised(RuntimeError(), during=ShapedError(status=429)), None),
        (ShapedError(status_code="429"), None),
        (ShapedError(status_code=True, status=0), None),
        (ShapedError(status_code=600, status=99), None),
        (ShapedError(status=None, response=None), None),
        (ValueError(), None),
        (ring(), None),
    ],
)
def test_an_answer_is_found_by_its_shape(error, reply):
    """Status, headers and body are taken from where clients put them, and copied nowhere else."""
    assert reply_of(error) == reply
    assert status_of(error) == (reply.status if reply else None)
