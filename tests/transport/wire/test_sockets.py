import logging
import threading

import pytest
import requests

import threadllm
from tests.transport.support import reply

from .sockets import DESCRIPTORS, open_sockets, states

pytestmark = pytest.mark.skipif(not DESCRIPTORS.exists(), reason="counts descriptors in /proc")
THREADS = 256


@pytest.fixture
def crowd(serve, caplog):
    """Starts a server that answers so many requests at a time, counting connections meanwhile."""
    during = []

    def start(slots, answer):
        def count():
            found = states(server)
            during.append((found["established"], found["close wait"], open_sockets(server)))

        together = threading.Barrier(slots, count)

        def meet(_):
            together.wait(60)
            return answer

        server = serve(meet)
        return server, during

    caplog.set_level(logging.WARNING)
    yield start
    assert caplog.get_records("call") == []


@pytest.mark.parametrize(
    "ask",
    [
        lambda url: requests.get(url, timeout=60).status_code,
        lambda url: requests.request("TRACE", url, timeout=60).status_code,
        lambda url: len([*requests.get(url, stream=True, timeout=60).iter_lines()]) + 199,
    ],
    ids=["short way", "long way", "streamed"],
)
@pytest.mark.parametrize("slots", [THREADS, 50])
def test_there_are_never_more_connections_than_slots(crowd, ask, slots):
    """None before, exactly the slots while all are in flight, and none after; none is closing."""
    server, during = crowd(slots, reply(b"well"))
    before = open_sockets(server)
    threads = threading.active_count()

    with threadllm.Dispatcher(THREADS, concurrency=slots) as pool:
        outcomes = [*pool.outcomes(ask, [server.url] * (4 * slots))]

    assert [outcome.value for outcome in outcomes] == [200] * (4 * slots)
    assert before == 0
    assert during == [(slots, 0, slots)] * 4
    assert server.connections == slots
    assert open_sockets(server) == 0
    assert {"established", "close wait"}.isdisjoint(states(server))
    assert threading.active_count() - threads <= slots  # the server's, that have not seen it yet


def test_connections_that_the_server_ends_are_not_held(crowd):
    """None waits to be closed on this side, while the run goes on and after it."""
    server, during = crowd(50, [reply(b"well", connection="close"), None])

    with threadllm.Dispatcher(THREADS, concurrency=50) as pool:
        outcomes = [
            *pool.outcomes(lambda url: requests.get(url, timeout=60).text, [server.url] * 200)
        ]

    assert [outcome.value for outcome in outcomes] == ["well"] * 200
    assert during == [(50, 0, 50)] * 4
    assert open_sockets(server) == 0
