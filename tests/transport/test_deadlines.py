"""Deadlines of calls that make requests: whatever drips, hangs or waits ends with them."""

import socket
import ssl
import threading
from contextlib import suppress
from queue import Queue

import pytest
import requests
import trustme
from requests.adapters import HTTPAdapter
from urllib3 import Timeout

import threadllm
from threadllm import DeadlineExceeded, Retry, ThreadLLMError
from threadllm.call import current
from threadllm.testing import FakeClock

from .support import call, reply, run

HEAD = b"HTTP/1.1 200 OK\r\nX-Slow: "
BODIES = {
    "with a length": b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\nab",
    "in chunks": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n",
    "to the end of the connection": b"HTTP/1.0 200 OK\r\n\r\nab",
}
DRIP = {name: b"1\r\nb\r\n" if name == "in chunks" else b"b" for name in BODIES}
PATIENCE = 30  # real seconds after which something hangs


class Dripping:
    """A server that begins an answer and goes on with it, a drop at a time, for as long as it may.

    Once `well` is set it answers as it should.
    """

    def __init__(self, beginning, drop, tls=None):
        self.beginning, self.drop, self.tls = beginning, drop, tls
        self.well = threading.Event()
        self.dripping = threading.Semaphore(0)  # released once for each answer that drips
        self.ended = threading.Semaphore(0)  # and once the client has gone
        self.requests = 0
        self._closed = threading.Event()

    def __enter__(self):
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        scheme = "http" if self.tls is None else "https"
        self.url = f"{scheme}://localhost:{self._listener.getsockname()[1]}"
        self._threads = []
        self._start(self._accept)
        return self

    def __exit__(self, *_):
        self._closed.set()
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()
        self._listener.close()

    def _start(self, target, *args):
        thread = threading.Thread(target=target, args=args)
        self._threads.append(thread)
        thread.start()

    def _accept(self):
        with suppress(OSError):
            while True:
                self._start(self._serve, self._listener.accept()[0])

    def _serve(self, sock):
        with suppress(OSError):
            sock.settimeout(PATIENCE)
            if self.tls is not None:
                sock = self.tls.wrap_socket(sock, server_side=True)
            with sock:
                while self._answer(sock):
                    pass

    def _answer(self, sock):
        request = b""
        while b"\r\n\r\n" not in request:
            data = sock.recv(65536)
            if not data:
                return False
            request += data
        self.requests += 1
        if self.well.is_set():
            sock.sendall(reply(b"well"))
            return True
        self._drip(sock)
        return False

    def _drip(self, sock):
        try:
            sock.sendall(self.beginning)
            self.dripping.release()
            while not self._closed.wait(0.01):
                sock.sendall(self.drop)
        finally:
            self.ended.release()


@pytest.fixture(scope="module")
def authority():
    return trustme.CA()


@pytest.fixture(scope="module")
def tls(authority):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    return context


@pytest.fixture
def trusted(authority, tmp_path, monkeypatch):
    """Lets requests trust the servers here."""
    path = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(path)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(path))


@pytest.fixture
def drip(tls, trusted):
    """Starts servers that drip."""
    running = []

    def start(beginning, drop=b"b", *, scheme="http"):
        server = Dripping(beginning, drop, tls if scheme == "https" else None)
        running.append(server.__enter__())
        return server

    yield start
    for server in running:
        server.__exit__()


def expired(pool, clock, server, fn, number=1):
    """What calls came to whose deadline passed once all of them were dripped upon."""
    futures = [pool.submit(fn) for _ in range(number)]
    for _ in futures:
        assert server.dripping.acquire(timeout=PATIENCE)
    clock.advance(5)
    return [future.exception(PATIENCE) for future in futures]


@pytest.fixture
def clock():
    return FakeClock()


@pytest.fixture
def pool(clock):
    """A dispatcher whose calls have five seconds, of virtual time, and two of which may run."""
    with threadllm.Dispatcher(2, deadline=5, clock=clock) as made:
        yield made


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_head_that_drips_is_broken_off(drip, pool, clock, scheme):
    """The error says which request it was, and has what came of it as its cause."""
    server = drip(HEAD, scheme=scheme)
    (error,) = expired(pool, clock, server, lambda: requests.get(f"{server.url}/x?key=planted"))

    assert type(error) is DeadlineExceeded
    assert isinstance(error, (TimeoutError, requests.Timeout, ThreadLLMError))
    assert str(error) == f"GET {server.url}/x: the call's deadline of 5 s has passed"
    assert (error.request.method, error.response) == ("GET", None)
    assert isinstance(error.__cause__, requests.ConnectionError)
    assert server.ended.acquire(timeout=PATIENCE)
    assert (pool.totals.failed, pool.totals.retries, server.requests) == (1, 0, 1)


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("kind", BODIES)
def test_a_body_that_drips_is_broken_off(drip, pool, clock, scheme, kind):
    """However its end is told: where it is the connection's end, what came is no answer either."""
    server = drip(BODIES[kind], DRIP[kind], scheme=scheme)
    (error,) = expired(pool, clock, server, lambda: requests.get(server.url))

    assert type(error) is DeadlineExceeded
    assert error.request.url == f"{server.url}/"
    assert server.ended.acquire(timeout=PATIENCE)


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("kind", BODIES)
def test_a_stream_that_drips_is_broken_off(drip, pool, clock, scheme, kind):
    """The function that reads it is raised the deadline's error, and nothing that came too late."""
    server, seen = drip(BODIES[kind], DRIP[kind], scheme=scheme), []
    reading = threading.Event()

    def read():
        with requests.get(server.url, stream=True) as response:
            try:
                for piece in response.iter_content(1):
                    seen.append(piece)
                    reading.set()
            except DeadlineExceeded as error:
                seen.append(error)
                raise

    future = pool.submit(read)
    assert reading.wait(PATIENCE)
    clock.advance(5)
    error = future.exception(PATIENCE)

    assert type(error) is DeadlineExceeded
    assert ({*seen[:-1]}, seen[-1]) == ({*seen[:-1]} & {b"a", b"b"}, error)
    assert error.request.url == f"{server.url}/"


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_connections_are_used_after_it(drip, pool, clock, scheme):
    """A later call on the same dispatcher, and the same session, is as well as any."""
    server = drip(HEAD, scheme=scheme)
    with requests.Session() as session:
        errors = expired(pool, clock, server, lambda: session.get(server.url), number=2)
        server.well.set()
        after = [pool.submit(lambda: session.get(server.url).text) for _ in range(4)]

        assert [type(error) for error in errors] == [DeadlineExceeded] * 2
        assert [future.result(PATIENCE) for future in after] == ["well"] * 4


def test_the_item_fails_though_the_function_swallows_the_error(drip, pool, clock):
    """And whatever it asks for afterwards is refused, without a request."""
    server, seen = drip(HEAD), []

    def swallow():
        for _ in range(3):
            try:
                requests.post(server.url, data=b"x")
            except requests.RequestException as error:
                seen.append(error)
        return "made up"

    (error,) = expired(pool, clock, server, swallow)

    assert [type(one) for one in seen] == [DeadlineExceeded] * 3
    assert (error, server.requests) == (seen[-1], 1)


def test_what_a_function_returns_counts_where_it_is_trusted(drip, clock):
    """As after any other failure."""
    server = drip(HEAD)

    def fall_back():
        try:
            return requests.get(server.url).text
        except requests.Timeout:
            return "fallen back"

    with threadllm.Dispatcher(1, deadline=5, clock=clock, trust_returns=True) as pool:
        future = pool.submit(fall_back)
        server.dripping.acquire(timeout=PATIENCE)
        clock.advance(5)

        assert future.result(PATIENCE) == "fallen back"


def test_a_stream_read_on_after_the_deadline_gives_no_more(drip, pool, clock):
    """Though its function has swallowed the first error."""
    server, seen, reading = drip(BODIES["with a length"]), [], threading.Event()

    def read():
        response = requests.get(server.url, stream=True)
        reading.set()
        for read_on in (response.raw.read, lambda: next(response.raw.stream(1))):
            try:
                seen.append(read_on())
            except DeadlineExceeded as error:
                seen.append(error)

    future = pool.submit(read)
    assert reading.wait(PATIENCE)
    clock.advance(5)

    assert future.exception(PATIENCE) is seen[-1]
    assert [type(one) for one in seen] == [DeadlineExceeded] * 2


def test_a_response_outlives_the_deadline_of_a_call_that_has_ended(serve, clock):
    """Its body may be read whenever its reader likes."""
    server = serve(reply(b"ab"))
    with threadllm.Dispatcher(1, deadline=5, clock=clock) as pool:
        response = pool.submit(lambda: requests.get(server.url, stream=True)).result(PATIENCE)
        clock.advance(50)

        assert response.content == b"ab"


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


def test_any_error_after_the_deadline_is_its_own(serve, clock):
    """Also one of a kind that no connection has."""

    class Broken(HTTPAdapter):
        def send(self, request, **_):
            clock.advance(5)
            raise LookupError("gone")

    def work():
        session = requests.Session()
        session.mount("http://", Broken())
        session.get("http://localhost")

    with threadllm.Dispatcher(1, deadline=5, clock=clock) as pool:
        error = pool.submit(work).exception(PATIENCE)

    assert (type(error), repr(error.__cause__)) == (DeadlineExceeded, "LookupError('gone')")


def test_an_error_before_the_deadline_is_its_own(clock):
    """Nothing is made of it."""

    class Broken(HTTPAdapter):
        def send(self, request, **_):
            raise LookupError("gone")

    def work():
        session = requests.Session()
        session.mount("http://", Broken())
        session.get("http://localhost")

    with threadllm.Dispatcher(1, deadline=5, clock=clock) as pool:
        assert repr(pool.submit(work).exception(PATIENCE)) == "LookupError('gone')"


def mounted():
    session = requests.Session()
    session.mount("http://", HTTPAdapter(max_retries=1))
    return session


def test_streams_of_the_users_own_adapters_are_broken_off_too(drip, pool, clock):
    """Their connections are found once they answer."""
    server, reading = drip(BODIES["in chunks"], DRIP["in chunks"]), threading.Event()

    def read():
        with mounted() as session, session.get(server.url, stream=True) as response:
            for _ in response.iter_content(1):
                reading.set()

    future = pool.submit(read)
    assert reading.wait(PATIENCE)
    clock.advance(5)

    assert type(future.exception(PATIENCE)) is DeadlineExceeded
    assert pool.totals.abandoned == 0


def test_a_connection_that_is_given_back_is_anothers(serve, pool, clock):
    """The deadline of a call that has read its stream to the end does not touch it."""
    server, read, held = serve(reply(b"ab")), threading.Event(), threading.Event()
    looked = Queue()

    def work():
        with mounted() as session:
            assert session.get(server.url, stream=True).content == b"ab"
            pools = session.get_adapter(server.url).poolmanager.pools
            (key,) = pools.keys()
            read.set()
            held.wait(PATIENCE)
            looked.put(pools[key].pool.queue[-1].is_connected)

    future = pool.submit(work)
    assert read.wait(PATIENCE)
    clock.advance(5)
    assert type(future.exception(PATIENCE)) is DeadlineExceeded
    held.set()

    assert looked.get(timeout=PATIENCE) is True


def test_what_cannot_be_broken_off_is_abandoned(drip, pool, clock):
    """A head that drips, over an adapter of the user's own: the item is handed over nonetheless."""
    server = drip(HEAD)
    future = pool.submit(lambda: mounted().get(server.url))
    assert server.dripping.acquire(timeout=PATIENCE)
    clock.advance(5)
    while not future.done():
        clock.advance(0.025)

    assert str(future.exception(PATIENCE)) == "the call's deadline of 5 s has passed"
    assert (pool.totals.abandoned, pool.totals.requests) == (1, 1)
    server.well.set()
    assert pool.submit(requests.get, server.url).result(PATIENCE).text == "well"
