"""What is left until a deadline: for waits, for retries, and as a timeout."""

import socket
import threading
from pathlib import Path

import pytest
import requests
from requests.adapters import HTTPAdapter
from urllib3 import Timeout

import threadllm
from threadllm import DeadlineExceeded, Retry
from threadllm.call import current
from threadllm.testing import FakeClock

from .support import call, chunked, reply, run

PATIENCE = 30  # real seconds after which something hangs


@pytest.fixture
def clock():
    return FakeClock()


def test_waits_for_a_retry_end_with_the_deadline(serve):
    """What was to be tried again is the cause; no further request is made."""
    clock, server = FakeClock(), serve(reply({"error": {"message": "busy"}}, 503))
    retry = Retry(wait_initial=60, wait_max=60, jitter="none")
    start = clock.monotonic()
    with clock.running():
        outcome = call(lambda: requests.get(server.url), deadline=10, retry=retry, clock=clock)

    assert clock.monotonic() - start == 10
    assert str(outcome.error) == f"GET {server.url}/: the call's deadline of 10 s has passed"
    assert outcome.error.__cause__.response.status_code == 503
    assert "busy" in str(outcome.error.__cause__)
    assert (outcome.attempts, len(outcome.requests), len(server.requests)) == (1, 1, 1)


def test_a_gate_does_not_hold_a_call_beyond_its_deadline(serve):
    """A 429 that asks for longer than there is."""
    clock, server = FakeClock(), serve(reply(status=429, retry_after="60"))
    start = clock.monotonic()
    with clock.running():
        outcomes = run(lambda _: requests.get(server.url), range(2), deadline=10, clock=clock)

    assert [type(outcome.error) for outcome in outcomes] == [DeadlineExceeded] * 2
    assert (clock.monotonic() - start, len(server.requests)) == (20, 1)
    assert outcomes[0].error.__cause__.response.status_code == 429
    assert outcomes[1].error.__cause__ is None


def test_retries_count(serve):
    """Several tries, and then the deadline: the last try is the cause."""
    clock = FakeClock()
    server = serve(reply(status=500), None)
    retry = Retry(wait_initial=4, wait_base=1, jitter="none")
    start = clock.monotonic()
    with clock.running():
        outcome = call(lambda: requests.get(server.url), deadline=10, retry=retry, clock=clock)

    assert (type(outcome.error), clock.monotonic() - start) == (DeadlineExceeded, 10)
    assert isinstance(outcome.error.__cause__, requests.ConnectionError)
    assert len(outcome.requests) == 3


class Noting(HTTPAdapter):
    """Notes the timeouts of requests."""

    def __init__(self):
        super().__init__()
        self.timeouts = []

    def send(self, request, **options):
        self.timeouts.append(options["timeout"])
        return super().send(request, **options)


@pytest.mark.parametrize(
    ("given", "reached"),
    [
        (None, (10, 20)),
        (3, 3),
        (30.5, 20),
        ((30, 3), (20, 3)),
        ((3, None), (3, 20)),
    ],
)
def test_timeouts_are_what_is_left_at_most(serve, given, reached):
    """Connecting and waiting for bytes each end with the deadline, if not sooner."""
    server, adapter = serve(reply()), Noting()

    def work(_):
        session = requests.Session()
        session.mount("http://", adapter)
        return session.get(server.url, timeout=given)

    run(work, deadline=20, clock=FakeClock())

    assert adapter.timeouts == [reached]


@pytest.mark.parametrize(
    ("given", "reached"),
    [
        (Timeout(30), 20),
        (Timeout(connect=3, read=4), 20),
        (Timeout(total=3), 3),
    ],
)
def test_timeouts_as_urllib3_has_them_are_bounded_as_a_whole(serve, given, reached):
    """The object that was given stays as it is."""
    server, adapter, total = serve(reply()), Noting(), given.total

    def work(_):
        session = requests.Session()
        session.mount("http://", adapter)
        return session.get(server.url, timeout=given)

    run(work, deadline=20, clock=FakeClock())

    assert ([timeout.total for timeout in adapter.timeouts], given.total) == ([reached], total)


def test_a_timeout_that_cannot_be_meant_is_left_to_requests(serve):
    """Its own error is the item's."""
    outcome = call(lambda: requests.get(serve(reply()).url, timeout="x"), deadline=20)

    assert type(outcome.error) is ValueError


def test_connecting_ends_with_the_deadline():
    """A handshake that never comes cannot be broken off; its timeout is what is left."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"https://127.0.0.1:{silent.getsockname()[1]}"
        outcome = call(lambda: requests.get(url, timeout=PATIENCE), deadline=0.2)

    assert type(outcome.error) is DeadlineExceeded
    assert isinstance(outcome.error.__cause__, requests.RequestException)


def test_a_connection_that_is_made_too_late_is_not_used(serve, clock, monkeypatch):
    """Nothing is sent on it."""
    server, connect = serve(reply()), socket.socket.connect

    def slowly(sock, address):
        connect(sock, address)
        call = current.get()
        clock.advance(5)
        while not call.expired:
            pass

    monkeypatch.setattr(socket.socket, "connect", slowly)
    with threadllm.Dispatcher(1, deadline=5, clock=clock) as pool:
        error = pool.submit(lambda: requests.get(server.url)).exception(PATIENCE)

    assert (type(error), server.requests) == (DeadlineExceeded, [])


class Broken(HTTPAdapter):
    """Breaks after a while, with an error of a kind that no connection has."""

    def __init__(self, clock, seconds):
        super().__init__()
        self.wait = lambda: clock.advance(seconds)

    def send(self, request, **_):
        self.wait()
        raise LookupError("gone")

    def ask(self):
        """A request by this adapter."""
        session = requests.Session()
        session.mount("http://", self)
        session.get("http://localhost")


def test_any_error_after_the_deadline_is_its_own(clock):
    """It is the cause of the deadline's."""
    with threadllm.Dispatcher(1, deadline=5, clock=clock) as pool:
        error = pool.submit(Broken(clock, 5).ask).exception(PATIENCE)

    assert (type(error), repr(error.__cause__)) == (DeadlineExceeded, "LookupError('gone')")


def test_an_error_before_the_deadline_is_its_own(clock):
    """Nothing is made of it."""
    with threadllm.Dispatcher(1, deadline=5, clock=clock) as pool:
        error = pool.submit(Broken(clock, 4).ask).exception(PATIENCE)

    assert repr(error) == "LookupError('gone')"


def test_a_stream_read_too_late_leaves_no_socket_open(serve):
    """Though its error, which holds the response, is kept."""
    server, pause = serve(chunked(b"one", b"two")), threading.Event()
    before = len([*Path("/proc/self/fd").iterdir()])

    def work(_):
        response = requests.get(server.url, stream=True)
        while not current.get().expired:
            pause.wait(0.01)
        return list(response.iter_lines())

    outcomes = run(work, range(5), deadline=0.1)

    assert [type(outcome.error) for outcome in outcomes] == [DeadlineExceeded] * 5
    assert (
        len([*Path("/proc/self/fd").iterdir()]) - before <= server.connections
    )  # the server's own ends
