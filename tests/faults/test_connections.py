"""Rows 12 to 20: connections that hang, drip, break, or do not come about."""

import socket
import ssl
import threading
import time

import pytest
import requests

from tests.transport.dripping import Dripping
from tests.transport.support import EXACT, Listener, Server, call, get, reply, run, script
from threadllm import Dispatcher, Retry

WELL = reply(b"well")
ONCE = Retry(attempts=2, wait_initial=0)
BEGINNINGS = {
    "12: nothing comes": (b"", b""),
    "13: the head drips": (b"HTTP/1.1 200 OK\r\nx: ", b"x"),
    "14: the body drips": (b"HTTP/1.1 200 OK\r\nContent-Length: 99999\r\n\r\n", b"b"),
}


@pytest.mark.parametrize("fault", BEGINNINGS)
def test_fault_12_to_14_the_deadline_ends_it_on_time(tls, fault):
    """However many bytes still come; the error names the deadline."""
    with Dripping(*BEGINNINGS[fault], tls) as server:
        url, began = server.url.replace("localhost", "127.0.0.1"), time.monotonic()
        with Dispatcher(4, deadline=0.4) as pool:
            seen = list(pool.outcomes(lambda _: get(url), range(4)))
        took = time.monotonic() - began

    assert [isinstance(one.error, TimeoutError) for one in seen] == [True] * 4
    assert "the call's deadline of 0.4 s has passed" in str(seen[0].error)
    assert took < 1.5
    assert pool.quota.slots.in_use == 0


@pytest.mark.parametrize(
    "broken",
    [[reply(b"whole body")[:-4], None], reply(b"short", content_length=9)[:-1]],
    ids=["15: reset in mid-body", "16: body too short"],
)
def test_fault_15_and_16_a_body_that_breaks_off_is_retried(serve, broken):
    """It may have been paid for: it is counted, as an attempt and as a request."""
    server = serve(broken if isinstance(broken, list) else [broken, None], WELL)
    outcome = call(lambda: get(server.url), retry=ONCE)

    assert (outcome.value, outcome.attempts, len(outcome.requests)) == ("well", 2, 2)
    assert len(server.requests) == 2


def test_fault_18_an_idle_connection_that_was_closed_costs_no_item(serve):
    """A fresh one is taken, and no attempt is charged."""
    server = serve(lambda _: [WELL, None])

    def ask(_):
        text = get(server.url)
        time.sleep(0.05)  # it is idle when the server closes it
        return text

    seen = run(ask, range(5), retry=ONCE)

    assert [(one.value, one.attempts) for one in seen] == [("well", 1)] * 5
    assert server.connections == 5


@pytest.fixture
def closed_port():
    """One where nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_fault_19_a_connection_that_is_refused_is_told(closed_port, scheme):
    """After the tries that it has, with host and port."""
    outcome = call(lambda: get(f"{scheme}://127.0.0.1:{closed_port}/v1"), retry=ONCE)

    assert outcome.attempts == 2
    assert isinstance(outcome.error, requests.ConnectionError)
    assert "127.0.0.1" in str(outcome.error)
    assert str(closed_port) in str(outcome.error)


def test_fault_19_an_address_where_nothing_answers_is_told():
    """After the time that connecting has, with host and port."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        port = listener.getsockname()[1]
        waiting = [socket.socket() for _ in range(3)]  # fill the queue: the next is not answered
        for sock in waiting:
            sock.settimeout(0)
            sock.connect_ex(("127.0.0.1", port))
        outcome = call(
            lambda: requests.get(f"http://127.0.0.1:{port}/v1"),
            retry=ONCE,
            request_timeout=(0.2, 5),
        )
        for sock in waiting:
            sock.close()

    assert outcome.attempts == 2
    assert isinstance(outcome.error, requests.ConnectTimeout)
    assert str(port) in str(outcome.error)


class Silent(Listener):
    """Takes connections, and says nothing."""

    def _serve(self, sock):
        with sock:
            sock.recv(1 << 16)
            sock.recv(1)


def test_fault_20_a_tls_handshake_that_does_not_come_is_bounded():
    """By the time that reading has; then it is tried again."""
    with Silent() as server:
        url, began = server.url.replace("http:", "https:"), time.monotonic()
        outcome = call(lambda: requests.get(url, timeout=0.3), retry=ONCE)
        took = time.monotonic() - began

    assert not outcome.ok
    assert outcome.attempts == 2
    assert took < 2


def test_fault_20_a_certificate_that_is_not_trusted_is_not_retried(serve, tls, monkeypatch):
    """No further try would mend it; verification is never weakened."""
    monkeypatch.delenv("REQUESTS_CA_BUNDLE")
    server = serve(WELL)
    outcome = call(lambda: get(server.url), retry=EXACT)

    assert outcome.attempts == 1
    assert outcome.ok is (tls is None)
    assert tls is None or isinstance(outcome.error, requests.exceptions.SSLError)


def test_a_server_that_goes_and_comes_again_costs_no_item(closed_port):
    """What is refused meanwhile is tried again."""
    server = Server(script(WELL))
    begun = threading.Event()

    def serve_late():
        begun.wait(5)
        time.sleep(0.3)
        server._listener = socket.create_server(("127.0.0.1", closed_port))
        server._sockets, server._threads = [], []
        server._start(server._accept)

    late = threading.Thread(target=serve_late)
    late.start()

    def ask(_):
        begun.set()
        return get(f"http://127.0.0.1:{closed_port}/")

    seen = run(ask, range(20), max_workers=4, retry=Retry(wait_initial=0.1, wait_max=1))
    late.join()
    server.__exit__()
    assert {one.value for one in seen} == {"well"}


def test_ssl_is_what_it_was():
    """No default of Python's is changed by us."""
    assert ssl.create_default_context().verify_mode == ssl.CERT_REQUIRED
