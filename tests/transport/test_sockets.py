"""What is left of a run: no socket, no thread, whatever is kept of its answers and errors."""

import gc
import threading
from contextlib import suppress
from pathlib import Path

import pytest
import requests
from requests.adapters import HTTPAdapter

import threadllm
from threadllm.simulator import Fault

from .support import CHAT, call, chat_body, reply, run

DESCRIPTORS = Path("/proc/self/fd")
pytestmark = pytest.mark.skipif(not DESCRIPTORS.exists(), reason="counts descriptors in /proc")


def sockets(server):
    """How many connections of this process to a server are open."""
    port = int(server.url.rpartition(":")[2])
    ours = set()
    for line in Path("/proc/self/net/tcp").read_text().splitlines()[1:]:
        fields = line.split()
        if int(fields[2].rpartition(":")[2], 16) == port:
            ours.add(f"socket:[{fields[9]}]")
    return sum(target_of(descriptor) in ours for descriptor in DESCRIPTORS.iterdir())


def target_of(descriptor):
    with suppress(FileNotFoundError):  # that of the listing itself
        return str(descriptor.readlink())


@pytest.fixture
def _nothing_collected():
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def whole(url):
    return requests.post(url, json=chat_body(), timeout=5)


def in_own_session(url):
    with requests.Session() as session:
        return session.post(url, json=chat_body(), timeout=5)


def in_thread_session(url):
    return threadllm.session().post(url, json=chat_body(), timeout=5)


def streamed(url):
    with requests.post(url, json=chat_body(stream=True), stream=True, timeout=5) as response:
        return list(response.iter_lines())


def raising(url):
    session = threadllm.session()
    session.post(url, json=chat_body(), timeout=5).raise_for_status()
    raise ValueError(session)


def swallowing(url):
    requests.post(url + "/none", json={}, timeout=5)


@pytest.mark.usefixtures("_nothing_collected")
@pytest.mark.parametrize(
    "work", [whole, in_own_session, in_thread_session, streamed, raising, swallowing]
)
def test_no_socket_stays_open(sim, work):
    """Though the values and errors of all items are kept, with the sessions that they hold."""
    threads = threading.active_count()

    outcomes = run(work, [sim.url + CHAT] * 20, max_workers=4)

    assert len([outcome.error or outcome.value for outcome in outcomes]) == 20
    assert sockets(sim) == 0
    assert threading.active_count() == threads


@pytest.mark.usefixtures("_nothing_collected")
def test_a_broken_run_leaves_no_socket_either(sim):
    """Resets, short bodies and tries used up close what they opened."""
    kinds = ["reset", "reset_body", "short_body", "ok"]
    sim.script([Fault(kind=kind, interval=0.001) for kind in kinds * 10])

    outcomes = run(
        whole,
        [sim.url + CHAT] * 20,
        max_workers=4,
        retry=threadllm.Retry(attempts=2, wait_initial=0),
    )

    assert any(outcome.error for outcome in outcomes)
    assert sockets(sim) == 0


@pytest.mark.usefixtures("_nothing_collected")
def test_a_stream_that_is_kept_can_be_read_and_is_closed_then(serve):
    """Its connection is in use when its thread ends; read to the end, it is done with."""
    server = serve(reply(b"well"))

    outcome = call(lambda: requests.get(server.url, stream=True, timeout=5))

    assert sockets(server) == 1
    assert outcome.value.text == "well"
    assert sockets(server) == 0


@pytest.mark.usefixtures("_nothing_collected")
def test_a_stream_that_is_dropped_is_closed_then(serve):
    """It needs no garbage collection, whether it was left whole or in the middle."""
    server = serve(reply(b"well"))

    def work(started):
        response = requests.get(server.url, stream=True, timeout=5)
        if started:
            next(response.iter_content(1))

    outcomes = run(work, [True, False])

    assert [outcome.error for outcome in outcomes] == [None, None]
    assert sockets(server) == 0


def test_an_idle_dispatcher_keeps_its_connections(serve):
    """Between two submits its connection stays open for the next call."""
    server = serve(reply(b"well"))
    with threadllm.Dispatcher(1) as pool:
        for _ in range(5):
            assert pool.submit(requests.get, server.url, timeout=5).result(5).text == "well"
        assert sockets(server) == 1
    assert server.connections == 1


def test_an_adapter_of_the_users_own_is_not_closed(serve):
    """Its connections are the user's affair."""
    server = serve(reply(b"well"))
    with requests.Session() as session:
        session.mount("http://", HTTPAdapter(pool_maxsize=2))
        for _ in range(2):
            assert call(lambda: session.get(server.url, timeout=5).text).value == "well"

    assert server.connections == 1
