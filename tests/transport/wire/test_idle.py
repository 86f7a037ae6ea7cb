import gc
import os
import threading
import warnings
import weakref

import pytest
import requests
from urllib3.poolmanager import pool_classes_by_scheme

import threadllm
from tests.transport.support import chunked, reply, run, session_on, virtually
from threadllm.testing import FakeClock
from threadllm.transport.wire import WireAdapter
from threadllm.transport.wire.janitor import Janitor, _start_anew
from threadllm.transport.wire.pools import pools_for

from .sockets import DESCRIPTORS, open_sockets

pytestmark = pytest.mark.skipif(not DESCRIPTORS.exists(), reason="counts descriptors in /proc")


class Clock(FakeClock):
    """Tells when the janitor sleeps."""

    def wait_for_janitor(self):
        with self._sleeping:
            assert self._sleeping.wait_for(lambda: self._unhurried, 10)


@pytest.fixture(autouse=True)
def janitors():
    """The threads that see to what is idle, but for those that were there before the test."""
    others = set(threading.enumerate())

    def here():
        return [
            thread
            for thread in threading.enumerate()
            if thread.name == "threadllm-idle" and thread not in others
        ]

    yield here
    for thread in here():
        thread.join(10)
    assert here() == []


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def server(serve):
    return serve(reply(b"well"))


def get(url, **options):
    return requests.get(url, timeout=10, **options)


def test_a_connection_that_is_idle_for_a_minute_is_closed(server, clock, janitors):
    """Not before; and the thread that has seen to that goes, as nothing is left to see to."""
    with threadllm.Dispatcher(2, clock=clock) as pool:
        pool.submit(get, server.url).result(10)
        clock.wait_for_janitor()
        [janitor] = janitors()
        clock.advance(59)
        before = open_sockets(server)
        clock.advance(1)
        janitor.join(10)

        assert (before, open_sockets(server), janitors()) == (1, 0, [])
        assert pool.submit(get, server.url).result(10).text == "well"
        assert open_sockets(server) == 1
    assert server.connections == 2
    assert open_sockets(server) == 0


def test_a_connection_that_is_used_is_kept(server, clock):
    """The minute begins again each time that it is given back."""
    with threadllm.Dispatcher(1, clock=clock) as pool:
        for _ in range(5):
            pool.submit(get, server.url).result(10)
            clock.wait_for_janitor()
            clock.advance(50)

    assert server.connections == 1


def test_those_that_are_not_needed_any_more_go_first(serve, clock):
    """The last one used is used next, so that the others come of age."""
    together = threading.Barrier(3)
    alone = []

    def answer(_):
        if not alone:
            together.wait(10)
        return reply(b"well")

    server = serve(answer)
    counts = []
    with threadllm.Dispatcher(3, clock=clock) as pool:
        list(pool.map(get, [server.url] * 3))
        alone.append(True)
        for _ in range(3):
            clock.wait_for_janitor()
            clock.advance(40)
            clock.wait_for_janitor()
            counts.append(open_sockets(server))
            pool.submit(get, server.url).result(10)

    assert counts == [3, 1, 1]
    assert server.connections == 3


def test_a_run_takes_its_time_along_when_it_ends(server, janitors):
    """Nobody waits for the minute to pass, and the thread is gone."""
    outcomes = run(get, [server.url] * 20, max_workers=4)

    assert [outcome.value.text for outcome in outcomes] == ["well"] * 20
    assert (janitors(), open_sockets(server)) == ([], 0)


def test_a_dispatcher_without_requests_has_no_thread(janitors):
    """It needs an idle connection to have one."""
    with threadllm.Dispatcher(2) as pool:
        assert pool.submit(janitors).result(10) == []


def test_a_connection_that_the_server_ends_needs_no_thread(serve, janitors):
    """It is closed at once, and nothing is idle."""
    server = serve([reply(b"well", connection="close"), None])
    with threadllm.Dispatcher(1) as pool:
        pool.submit(get, server.url).result(10)
        assert (janitors(), open_sockets(server)) == ([], 0)


def test_a_clock_that_jumps_does_not_jump_to_the_minutes_end(serve):
    """A run in virtual time takes what its waits take."""
    server = serve(reply(status=503), reply(b"well"))
    retry = threadllm.Retry(wait_initial=4, jitter="none")

    outcomes, seconds = virtually(lambda _: get(server.url).text, range(3), retry=retry)

    assert [outcome.value for outcome in outcomes] == ["well"] * 3
    assert seconds == 4


@pytest.mark.parametrize("waited", [True, False])
def test_all_is_closed_after_shutdown(server, waited, janitors):
    """Also by a shutdown that is not waited for, once the last call has ended."""
    going = threading.Event()

    def work():
        get(server.url)
        assert going.wait(10)
        return get(server.url)

    pool = threadllm.Dispatcher(2)
    futures = [pool.submit(work) for _ in range(2)]
    if waited:
        going.set()
    pool.shutdown(wait=waited)
    going.set()
    assert [future.result(10).text for future in futures] == ["well"] * 2
    pool.shutdown()

    assert (open_sockets(server), janitors()) == (0, [])


def test_a_dispatcher_that_is_dropped_closes_its_connections(server, janitors):
    """It takes no shutdown, and the thread that sees to them does not keep it."""
    pool = threadllm.Dispatcher(2)
    pool.submit(get, server.url).result(10)
    [janitor] = janitors()
    before = open_sockets(server)
    gone = weakref.ref(pool)
    del pool
    gc.collect()
    janitor.join(10)

    assert gone() is None
    assert (before, open_sockets(server)) == (1, 0)


@pytest.mark.parametrize("answer", [reply(b"well"), chunked(b"we", b"ll")])
@pytest.mark.parametrize("ended", [True, False])
def test_a_stream_that_outlives_its_dispatcher_is_closed_when_it_has_been_read(
    serve, answer, ended
):
    """Until then it can be read, and after it nothing is kept for a next time."""
    server = serve(answer)
    pool = threadllm.Dispatcher(1)
    response = pool.submit(get, server.url, stream=True).result(10)
    if ended:
        pool.shutdown()
    del pool
    gc.collect()

    assert open_sockets(server) == 1
    assert response.text == "well"
    assert open_sockets(server) == 0


@pytest.fixture
def adapter(clock):
    adapter = WireAdapter(4, clock)
    yield adapter
    adapter.end()


def test_the_thread_is_waited_for_at_the_end(server, adapter, clock, janitors, monkeypatch):
    """It is not left behind to close what may be open still."""
    with session_on(adapter) as session:
        session.get(server.url, timeout=10)
        clock.wait_for_janitor()
        [thread] = janitors()
        joined, join = [], thread.join
        monkeypatch.setattr(thread, "join", lambda: joined.append(join()))
        adapter.end()

    assert joined == [None]


def test_whoever_goes_on_after_the_end_keeps_nothing(server, adapter, janitors):
    """A thread that was written off may still send: each of its connections is closed."""
    with session_on(adapter) as session:
        session.get(server.url)
        adapter.end()
        for _ in range(3):
            assert session.get(server.url, timeout=10).text == "well"
            assert (open_sockets(server), janitors()) == (0, [])
    assert server.connections == 4


def test_closing_an_adapter_is_not_its_end(server, adapter, janitors):
    """As with any adapter: what is idle is closed, and the next connection is kept."""
    with session_on(adapter) as session:
        for _ in range(2):
            response = session.get(server.url, timeout=10)
            session.get(server.url, timeout=10)
            before = open_sockets(server)
            response.connection.close()

            assert (before, open_sockets(server)) == (1, 0)
        for thread in janitors():  # there is nothing to wait for any more
            thread.join(10)
        assert janitors() == []
    assert server.connections == 2


def test_a_connection_given_back_as_the_janitor_leaves_is_seen_to(
    server, adapter, clock, monkeypatch, janitors
):
    """Between his last look round and the door nothing is lost."""
    janitor, look = adapter._janitor, adapter._janitor._close_overdue
    with session_on(adapter) as session:
        first = session.get(server.url, stream=True, timeout=10)
        session.get(server.url, timeout=10)
        [thread] = janitors()

        def look_and_be_late():
            due = look()
            if due is None:
                first.content  # noqa: B018
            return due

        monkeypatch.setattr(janitor, "_close_overdue", look_and_be_late)
        for left in (1, 0):
            clock.wait_for_janitor()
            clock.advance(60)
            if left:
                clock.wait_for_janitor()
            else:
                thread.join(10)
            assert open_sockets(server) == left


def test_there_are_never_two_janitors(adapter, janitors):
    """Who was about to come, or about to stay, leaves it to the one who is there."""
    adapter._janitor.awake = True
    adapter._janitor.wake()

    assert janitors() == []
    assert not adapter._janitor._resume()


def test_a_thread_that_cannot_be_had_is_asked_for_again(
    server, adapter, clock, monkeypatch, janitors
):
    """The request does not suffer, and the next one has its connection seen to."""
    start = threading.Thread.start

    def refuse(thread):
        if thread.name == "threadllm-idle":
            raise RuntimeError("can't start new thread")
        start(thread)

    with session_on(adapter) as session:
        with monkeypatch.context() as patch:
            patch.setattr("threading.Thread.start", refuse)
            session.get(server.url, timeout=10)
            none = janitors()
        session.get(server.url, timeout=10)
        [thread] = janitors()
        clock.wait_for_janitor()
        clock.advance(60)
        thread.join(10)

    assert none == []
    assert (open_sockets(server), server.connections) == (0, 1)


@pytest.mark.parametrize("moment", ["monotonic", "wait"])
def test_the_collector_may_end_it_in_its_own_thread(server, janitors, moment):
    """Who finds himself out of work there does not wait for himself."""

    class Ending(Clock):
        def end_before(self, name, *args):
            if name == moment and threading.current_thread() in janitors():
                adapter.end()
            return getattr(super(), name)(*args) if name == "monotonic" else None

        def monotonic(self):
            return self.end_before("monotonic")

        def wait(self, *args):
            return self.end_before("wait", *args)

    adapter = WireAdapter(1, Ending())
    with session_on(adapter) as session:
        assert session.get(server.url, timeout=10).text == "well"
    for thread in janitors():
        thread.join(10)

    assert open_sockets(server) == 0


def test_a_fork_leaves_its_parents_connections_alone(server, adapter, clock):
    """What it asks for itself goes over connections of its own, and its parent's go on."""
    with session_on(adapter) as session:
        session.get(server.url, timeout=10)
        clock.wait_for_janitor()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # there are threads: that is it
            child = os.fork()
        if child == 0:
            held = bool(adapter._janitor.awake)
            text = session.get(server.url, timeout=10).text
            os._exit(text != "well" or held)
        status = os.waitpid(child, 0)[1]
        assert session.get(server.url, timeout=10).text == "well"

    assert (status, server.connections) == (0, 2)


def test_a_fork_starts_anew(server, adapter, clock, janitors):
    """Whatever lock a thread of its parent held, it has new ones, and nobody who sees to things."""
    janitor = adapter._janitor
    with session_on(adapter) as session:
        session.get(server.url, timeout=10)
        [thread] = janitors()
        clock.wait_for_janitor()
        janitor._opening.acquire()
        janitor._waking.acquire()
        _start_anew()
        assert open_sockets(server) == 0
        assert session.get(server.url, timeout=10).text == "well"
    clock.advance(60)
    thread.join(10)


def test_a_pool_that_is_dropped_closes_what_was_idle_in_it(server, clock):
    """As urllib3's do: though the janitor knows of it, he does not keep it."""
    janitor = Janitor(1, clock)
    pool = pools_for(janitor, pool_classes_by_scheme)["http"]("127.0.0.1", port_of(server))
    assert pool.urlopen("GET", "/", preload_content=True).data == b"well"
    before = open_sockets(server)
    del pool

    assert (before, open_sockets(server)) == (1, 0)
    janitor.close()


def port_of(server):
    return int(server.url.rpartition(":")[2])
