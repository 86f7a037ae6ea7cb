import logging
import threading
import weakref

import pytest
import requests
from urllib3.connectionpool import HTTPConnectionPool
from urllib3.poolmanager import pool_classes_by_scheme

import threadllm
from tests.transport.support import chunked, reply, run, session_on
from threadllm.clock import SYSTEM
from threadllm.testing import FakeClock
from threadllm.transport.wire import WireAdapter
from threadllm.transport.wire.furnished import FurnishedAdapter, KnownPools
from threadllm.transport.wire.janitor import Janitor
from threadllm.transport.wire.pools import Pool, SecurePool, pools_for, stage

from .servers import Proxy
from .sockets import DESCRIPTORS, open_sockets, states

pytestmark = pytest.mark.skipif(not DESCRIPTORS.exists(), reason="counts descriptors in /proc")

SHORT, LONG = "GET", "TRACE"  # by which way a method goes


@pytest.fixture(params=["short", "long", "watched"])
def way(request, caplog):
    """The method of requests that go one of the three ways."""
    if request.param == "watched":  # whoever reads the log of urllib3's pools wants to see them
        caplog.set_level(logging.DEBUG, "urllib3.connectionpool")
    yield {"short": SHORT, "long": LONG, "watched": "GET"}[request.param]
    said = [record for record in caplog.get_records("call") if record.levelno > logging.DEBUG]
    assert [record.message for record in said] == []


@pytest.fixture
def janitor():
    janitor = Janitor(2, FakeClock())
    yield janitor
    janitor.close()


@pytest.fixture
def sessions():
    """Makes sessions on one adapter with so many slots."""
    adapters = []

    def make(slots, number=1, clock=SYSTEM):
        adapters.append(WireAdapter(slots, clock))
        return [session_on(adapters[-1]) for _ in range(number)]

    yield make
    for adapter in adapters:
        adapter.end()


class Meeting:
    """An answer that so many requests at a time wait for, until none of them is waited for."""

    def __init__(self, parties, body=b"well"):
        self.barrier = threading.Barrier(parties)
        self.is_on = True
        self.reply = reply(body)

    def __call__(self, _):
        if self.is_on:
            self.barrier.wait(10)
        return self.reply


def at_once(*asks):
    threads = [threading.Thread(target=ask) for ask in asks]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def test_the_last_one_used_is_used_next(serve, sessions):
    """So that no more are open than were in use at a time, and the others may come of age."""
    server, [session] = serve(reply(b"well")), sessions(4)
    streams = [session.get(server.url, stream=True, timeout=10) for _ in range(3)]
    connections = [stream.raw._connection for stream in streams]
    for stream in streams:
        assert stream.text == "well"

    again = session.get(server.url, stream=True, timeout=10)

    assert again.raw._connection is connections[-1]
    assert again.text == "well"
    assert server.connections == 3


def test_those_that_the_server_has_closed_are_cleared_away(serve, sessions):
    """Whoever needs a connection closes all that are dead on the way to a living one."""
    meeting = Meeting(3)
    server, [session] = serve(meeting), sessions(3)
    at_once(*[lambda: session.get(server.url, timeout=10)] * 3)
    meeting.is_on = False
    for sock in server._sockets:
        sock.shutdown(2)
    for thread in server._threads[1:]:
        thread.join()

    assert states(server)["close wait"] == 3
    assert session.get(server.url, timeout=10).text == "well"
    assert (open_sockets(server), states(server)["close wait"]) == (1, 0)


@pytest.mark.parametrize("method", [SHORT, LONG])
def test_several_pools_of_an_origin_have_no_more_than_the_slots(serve, sessions, method, tmp_path):
    """One that is idle in another pool, longer than all others, gives way."""
    paths = [tmp_path / "1", tmp_path / "2"]
    for path in paths:
        path.touch()
    settings = [{"verify": verify} for verify in (True, *map(str, paths))]
    settings.append({"cert": str(paths[0])})
    meeting = Meeting(2)
    clock = FakeClock()
    server, [session] = serve(meeting), sessions(2, clock=clock)

    def ask(options):
        clock.advance(1)
        assert session.request(method, server.url, timeout=10, **options).text == "well"

    for options in settings:
        at_once(*[lambda options=options: ask(options)] * 2)
        assert open_sockets(server) == 2
    assert server.connections == 8

    meeting.is_on = False
    for options in settings[:2] * 3:  # each has one of its own now, and they stay
        ask(options)
        assert open_sockets(server) == 2
    assert server.connections == 10


def test_pools_of_other_origins_are_left_alone(serve, sessions):
    """Each origin may have as many as there are slots."""
    servers, [session] = [serve(reply(b"well")) for _ in range(3)], sessions(1)

    for server in servers * 3:
        assert session.get(server.url, timeout=10).text == "well"

    assert [server.connections for server in servers] == [1, 1, 1]
    assert [open_sockets(server) for server in servers] == [1, 1, 1]


@pytest.mark.parametrize("method", [SHORT, LONG])
def test_a_request_that_rides_along_leaves_no_connection_too_many(serve, method):
    """While the stream it rides with goes on it has one of its own, and one is left after."""
    server = serve(reply(b"well\nwell\nend\n"))

    def work():
        counts = []
        with requests.get(server.url, stream=True, timeout=10) as response:
            for _ in response.iter_lines(chunk_size=5):
                requests.request(method, server.url, timeout=10)
                counts.append(open_sockets(server))
        return counts, open_sockets(server)

    with threadllm.Dispatcher(1) as pool:
        assert pool.submit(work).result(10) == ([2, 2, 1], 1)
    assert (server.connections, open_sockets(server)) == (2, 0)


@pytest.mark.parametrize("streamed", [True, False])
@pytest.mark.parametrize("answer", [reply(b"well"), chunked(b"we", b"ll")])
def test_a_connection_is_back_before_its_slot_is(serve, way, answer, streamed):
    """Whoever gets the slot finds the connection: one slot never has two."""
    server = serve(answer)

    def work(_):
        with requests.request(way, server.url, stream=streamed, timeout=10) as response:
            return response.text

    outcomes = run(work, range(60), max_workers=6, concurrency=1)

    assert [outcome.value for outcome in outcomes] == ["well"] * 60
    assert server.connections == 1
    assert open_sockets(server) == 0


def test_more_in_use_than_slots_are_no_reason_to_warn(serve, way):
    """Those that ride along are closed when they are not needed any more, and nothing is said."""
    server = serve(reply(b"well"))

    def work():
        responses = [requests.request(way, server.url, stream=True, timeout=10) for _ in range(8)]
        most = open_sockets(server)
        return most, [response.text for response in responses]

    with threadllm.Dispatcher(1) as pool:
        assert pool.submit(work).result(10) == (8, ["well"] * 8)
    assert open_sockets(server) == 0


@pytest.mark.long
def test_many_origins_leave_nothing(serve, way):
    """More than a manager keeps pools for, several times over."""
    servers = [serve(reply(b"well")) for _ in range(80)]
    urls = [server.url for server in servers] * 2

    outcomes = run(lambda url: requests.request(way, url, timeout=10), urls, max_workers=4)

    assert [outcome.value.text for outcome in outcomes] == ["well"] * 160
    assert sum(map(open_sockets, servers)) == 0


def test_what_an_adapter_remembers_of_origins_is_bounded(serve, sessions):
    """Endless origins are no leak."""
    server, [session] = serve(reply(b"well")), sessions(1)
    adapter = session.get_adapter(server.url)
    for n in range(100):
        adapter._pools["http", f"{n}", 80, True] = None

    session.get(server.url, timeout=10)

    assert len(adapter._pools) == 1


def test_a_proxy_is_sent_to_over_pools_of_ours(serve, sessions):
    """What is forwarded goes over one connection to the proxy."""
    server = serve(lambda _: [reply(b"well"), None])
    [session] = sessions(2)
    with Proxy() as proxy:
        for method in (SHORT, LONG, SHORT):
            answer = session.request(
                method, server.url + "/path", proxies={"http": proxy.url}, timeout=10
            )
            assert answer.text == "well"
        adapter = session.get_adapter(server.url)
        manager = adapter.proxy_manager_for(proxy.url)
        pools = [manager.pools[key] for key in manager.pools.keys()]  # noqa: SIM118
        before = open_sockets(proxy)
        adapter.end()

        assert [type(pool) for pool in pools] == [Pool]
        assert manager is adapter.proxy_manager_for(proxy.url)
        assert (before, open_sockets(proxy), proxy.connections) == (1, 0, 1)
    assert [target for _, target in proxy.asked] == [server.url + "/path"] * 3


def test_a_manager_with_pools_of_its_own_kind_keeps_them(janitor):
    """SOCKS has connections of its own, and whoever has put others in place wants those."""

    class Other(HTTPConnectionPool):
        pass

    made = pools_for(janitor, {**pool_classes_by_scheme, "http": Other})

    assert made["http"] is Other
    assert type(made["https"]("a.example", 443)) is SecurePool
    assert pools_for(janitor, made) == made


def test_what_comes_back_to_a_closed_pool_is_closed(serve, janitor):
    """Though it was in use when the pool was."""
    server = serve(reply(b"well"))
    pool = pools_for(janitor, pool_classes_by_scheme)["http"](*address_of(server))
    response = pool.urlopen("GET", "/", preload_content=False)
    pool.close()
    before = open_sockets(server)

    assert (response.read(), before, open_sockets(server)) == (b"well", 1, 0)


def test_what_failed_is_not_given_back(serve, janitor):
    """urllib3 gives nothing back then, which is no connection."""
    server = serve(None, None)
    pool = pools_for(janitor, pool_classes_by_scheme)["http"](*address_of(server))

    with pytest.raises(Exception, match="Connection aborted"):
        pool.urlopen("GET", "/", retries=False)

    assert (open_sockets(server), pool._idle.oldest) == (0, None)


def test_a_connection_that_urllib3_does_not_take_up_is_closed(serve, janitor):
    """It was to be played to it, and nobody knows what is on its way there."""
    server = serve(reply(b"well"))
    pool = pools_for(janitor, pool_classes_by_scheme)["http"](*address_of(server))
    connection = pool.take()
    connection.connect()

    with stage.playing(pool, connection):
        before = open_sockets(server)

    assert (before, open_sockets(server)) == (1, 0)


def test_an_idle_connection_that_others_take_is_not_closed_under_them(serve, janitor):
    """Whoever would close the oldest leaves it alone once it is taken."""
    server = serve(reply(b"well"))
    pool = pools_for(janitor, pool_classes_by_scheme)["http"](*address_of(server))
    pool.urlopen("GET", "/")
    idle = pool._idle
    oldest = idle.oldest
    assert idle.take() is oldest
    idle.close_oldest()

    assert open_sockets(server) == 1
    idle.put(oldest)


def test_pools_of_requests_own_kind_are_closed_though_somebody_knows_them(serve):
    """A response that is kept knows its pool, which its manager may have forgotten."""
    server, known = serve(reply(b"well")), KnownPools()
    adapter = FurnishedAdapter(known.furnish)
    with session_on(adapter) as session:
        response = session.get(server.url, timeout=10)
        adapter.poolmanager.pools.clear()
        before = open_sockets(server)
        known.close()
        forgotten = weakref.ref(response.raw._pool)
        text = response.text
        del response

    assert (text, before, open_sockets(server)) == ("well", 1, 0)
    assert forgotten() is None


def address_of(server):
    host, _, port = server.url.rpartition("/")[2].rpartition(":")
    return host, int(port)
