"""Deadlines of calls that make requests: whatever drips, hangs or waits ends with them."""

import gc
import socket
import ssl
import threading
import warnings
from queue import Queue
from types import SimpleNamespace

import pytest
import requests
import trustme
from requests.adapters import HTTPAdapter

import threadllm
from threadllm import DeadlineExceeded, ThreadLLMError
from threadllm.call import exchange
from threadllm.testing import FakeClock
from threadllm.transport.inflight import in_flight

from .dripping import Dripping
from .support import reply

HEAD = b"HTTP/1.1 200 OK\r\nX-Slow: "
BODIES = {
    "with a length": b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\nab",
    "in chunks": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n",
    "to the end of the connection": b"HTTP/1.0 200 OK\r\n\r\nab",
}
DRIP = {name: b"1\r\nb\r\n" if name == "in chunks" else b"b" for name in BODIES}
PATIENCE = 30  # real seconds after which something hangs


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


def test_what_comes_of_a_broken_connection_is_no_answer(pool, clock):
    """Though it looks like one, as where the connection's end is the body's."""
    ours, theirs = socket.socketpair()

    class Adapter(HTTPAdapter):
        def send(self, request, **_):
            in_flight.exchange.travels(SimpleNamespace(sock=ours))
            clock.advance(5)
            assert ours.recv(1) == b""  # it has been broken off
            response = requests.Response()
            vars(response).update(status_code=200, _content=b"hal")
            return response

    def work():
        with requests.Session() as session:
            session.mount("http://", Adapter())
            session.get("http://llm.test")

    with ours, theirs:
        error = pool.submit(work).exception(PATIENCE)
    assert (type(error), error.__cause__) == (DeadlineExceeded, None)


def test_the_collector_may_end_a_stream_while_it_is_broken_off(drip, pool, clock, monkeypatch):
    """It strikes in whatever thread it likes, that which breaks it off included."""
    kind, bare = "in chunks", exchange._bare
    collected, held = threading.Event(), threading.Event()
    server = drip(BODIES[kind], DRIP[kind])

    def work():
        response = requests.get(server.url, stream=True)
        pieces = response.iter_content(1)
        next(pieces)
        lost = [response, pieces]
        lost.append(lost)
        del response, pieces, lost
        clock.advance(5)
        assert collected.wait(PATIENCE)
        clock.advance(1)  # in which it might end by itself
        held.wait(PATIENCE)

    def collect(sock):
        gc.collect()
        collected.set()
        return bare(sock)

    monkeypatch.setattr(exchange, "_bare", collect)
    gc.disable()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ResourceWarning)
            error = pool.submit(work).exception(PATIENCE)
    finally:
        gc.enable()
        held.set()
    assert type(error) is DeadlineExceeded


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
