"""Hundreds that wait for answers: woken a few at a time, each as if it had waited by itself."""

import select
import socket
import threading
import time

import pytest
import requests

import threadllm
from tests.dispatcher.support import no_threads
from threadllm import Dispatcher
from threadllm.simulator import Latency, Simulator
from threadllm.transport.wire import crowd as crowds
from threadllm.transport.wire import exchanges
from threadllm.transport.wire.crowd import Crowd

pytestmark = pytest.mark.skipif(not hasattr(select, "epoll"), reason="needs epoll")


def wakers():
    return [thread for thread in threading.enumerate() if thread.name == "threadllm-answers"]


@pytest.fixture
def crowded(monkeypatch):
    """However few they are, they are a crowd."""
    monkeypatch.setattr(exchanges, "MANY", 0)


@pytest.fixture
def crowd():
    made = Crowd()
    yield made
    made.close()
    assert wakers() == []


@pytest.fixture
def pair():
    here, there = socket.socketpair()
    with here, there:
        yield here, there


def ask(url, **options):
    body = {"model": "m", "messages": [{"role": "user", "content": "p"}]}
    return requests.post(f"{url}/chat/completions", json=body, **options)


def test_a_crowd_gets_its_answers(crowded):
    """All of them, by one thread more, which ends with the dispatcher."""
    with Simulator(latency=Latency(mean=0.05)) as sim, Dispatcher(40) as pool:
        outcomes = list(pool.outcomes(lambda _: ask(sim.base_url).json(), range(400)))
        assert len(wakers()) == 1
        assert all(outcome.ok for outcome in outcomes)
        assert sim.counts().requests == 400
    assert wakers() == []


def test_streams_too(crowded):
    """Their beginning is waited for, and then they are read."""
    with Simulator() as sim, Dispatcher(4) as pool:

        def stream(_):
            body = {"model": "m", "stream": True, "messages": [{"role": "user", "content": "p"}]}
            with requests.post(f"{sim.base_url}/chat/completions", json=body, stream=True) as got:
                return [*got.iter_lines()][-2]

        assert [*pool.map(stream, range(20))] == [b"data: [DONE]"] * 20


def test_few_wait_each_for_itself():
    """There is no such thread then."""
    with Simulator() as sim, Dispatcher(8) as pool:
        assert [*pool.map(lambda _: ask(sim.base_url).ok, range(40))] == [True] * 40
        assert wakers() == []


def test_a_silent_server_is_waited_for_no_longer_than_said(crowded, serve_silence):
    """The timeout is that of requests."""
    with Dispatcher(2, retry=threadllm.Retry(attempts=1)) as pool:
        future = pool.submit(requests.get, serve_silence, timeout=(5, 0.2))
        began = time.monotonic()
        with pytest.raises(requests.ReadTimeout, match=r"read timeout=0\.2"):
            future.result()
        assert time.monotonic() - began < 5


def test_a_deadline_breaks_the_wait_off(crowded, serve_silence):
    """As it does any other."""
    with Dispatcher(2, deadline=0.2) as pool:
        began = time.monotonic()
        with pytest.raises(threadllm.DeadlineExceeded):
            pool.submit(requests.get, serve_silence, timeout=60).result()
        assert time.monotonic() - began < 5
    assert pool.totals.abandoned == 0


@pytest.fixture
def serve_silence():
    """The URL of a server that accepts, and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}/"


def test_whoever_has_something_to_read_is_woken(crowd, pair):
    """Again and again, on the same socket; one that is silent waits as long as it may."""
    here, there = pair
    for _ in range(3):
        there.send(b"x")
        assert crowd.wait(here, 10)
        assert here.recv(9) == b"x"
    assert not crowd.wait(here, 0.05)
    there.close()
    assert crowd.wait(here, None)


def test_at_the_end_all_wait_for_themselves(crowd, pair):
    """Those that wait already, and those that come."""
    here, _ = pair
    waits = [threading.Thread(target=crowd.wait, args=[here, 60]) for _ in range(1)]
    for thread in waits:
        thread.start()
    while not wakers():
        time.sleep(0.001)
    crowd.close()
    for thread in waits:
        thread.join(10)
        assert not thread.is_alive()
    assert crowd.wait(here, 60)
    crowd.close()


def test_who_cannot_be_watched_waits_for_itself(crowd, pair, monkeypatch):
    """A closed socket says so when it is read; without a thread, or epoll, nobody wakes."""
    here, _ = pair
    here.close()
    assert crowd.wait(here, 60)
    with no_threads():
        assert Crowd().wait(here, 60)
    monkeypatch.setattr(crowds, "_EPOLL", None)
    assert Crowd().wait(here, 60)


class Untimely:
    """A waker to which something happens just as it is told whom to watch."""

    def __init__(self, act):
        self.watch = act

    def close(self):
        pass


def test_an_answer_that_comes_at_the_last_moment_counts(crowd, pair):
    """Whoever wakes has taken it off the list, and is about to wake it."""
    crowd._waker = Untimely(crowd._asleep.pop)
    assert crowd.wait(pair[0], 0.01)
    crowd._waker = Untimely(lambda _: None)
    assert not crowd.wait(pair[0], 0.01)
    crowd._wake([pair[0].fileno()])  # it came too late, and nobody sleeps there any more


def test_an_end_that_comes_at_that_moment_is_seen(crowd, pair):
    """Nobody would wake it after that."""
    crowd._waker = Untimely(lambda _: crowd.close())
    assert crowd.wait(pair[0], None)


def test_it_may_be_closed_where_it_wakes(crowd, pair, monkeypatch):
    """The collector strikes anywhere."""
    here, there = pair
    wake = crowd._wake

    def strike(descriptors):
        monkeypatch.setattr(crowd, "_wake", wake)
        wake(descriptors)
        crowd.close()

    monkeypatch.setattr(crowd, "_wake", strike)
    there.send(b"x")
    assert crowd.wait(here, 10)
    end = time.monotonic() + 10
    while wakers():
        assert time.monotonic() < end
        time.sleep(0.001)


def test_no_wake_is_lost(crowd, eager_switching):
    """However threads are switched, and however many sleep."""
    pairs = [socket.socketpair() for _ in range(60)]
    seen = []

    def wait(here):
        for _ in range(20):
            assert crowd.wait(here, 20)
            seen.append(here.recv(1))

    threads = [threading.Thread(target=wait, args=[here]) for here, _ in pairs]
    for thread in threads:
        thread.start()
    for _ in range(20):
        for _, there in pairs:
            there.send(b"x")
    for thread in threads:
        thread.join(30)
    assert len(seen) == 60 * 20
    for here, there in pairs:
        here.close()
        there.close()
