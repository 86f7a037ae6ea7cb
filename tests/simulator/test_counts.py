import json
import threading

import pytest
import requests

from tests.simulator.support import CHAT, chat, chat_body, connect, post, read_all
from tests.support import until
from threadllm.simulator import Counts, Fault, Latency, Simulator, digest

KEY = {"Authorization": "Bearer sk-planted-secret"}


def control(sim, name, method="GET"):
    return requests.request(method, f"{sim.url}/__simulator__/{name}", timeout=5)


def test_everything_is_counted():
    """The counts tell what arrived, what was sent, what was cut off and what was paid twice."""
    script = [Fault(status=503), Fault(kind="reset")]
    with Simulator(script=script) as sim:
        chat(sim, "a", headers=KEY)
        with pytest.raises(requests.ConnectionError):
            chat(sim, "a")
        chat(sim, "a")
        chat(sim, "b")
        chat(sim, "b")
        chat(sim, "b")
        post(sim, "/v1/nothing", {})
        counts = sim.counts()
    assert counts == Counts(
        requests=7,
        by_path={CHAT: 6, "*": 1},
        by_status={503: 1, 200: 4, 404: 1},
        by_key={f"key-{digest('sk-planted-secret')}": 1, "none": 6},
        aborted=1,
        in_flight=0,
        max_in_flight=1,
        received={CHAT: {digest("a"): 3, digest("b"): 3}},
        answered={CHAT: {digest("a"): 1, digest("b"): 3}},
        answered_twice=1,
    )
    assert (counts.received_of("a"), counts.answered_of("a")) == (3, 1)
    assert (counts.received_of("c"), counts.answered_of("c")) == (0, 0)


def test_the_control_address_tells_the_same():
    """The control address gives the counts as JSON, is not counted itself and shows no key."""
    with Simulator() as sim:
        chat(sim, headers=KEY)
        response = control(sim, "counts")
        counts = sim.counts()
    assert response.json() == json.loads(json.dumps(counts.to_dict()))
    assert counts.requests == 1
    assert "planted" not in response.text


def test_reset_forgets():
    """A reset through the control address starts the counts anew."""
    with Simulator() as sim:
        chat(sim)
        assert control(sim, "reset", "POST").json() == {}
        assert sim.counts() == Counts(0, {}, {}, {}, 0, 0, 0, {}, {}, 0)


@pytest.mark.parametrize(("method", "name"), [("GET", "reset"), ("GET", "nothing")])
def test_the_control_address_knows_two_words(method, name):
    """Anything else below the control address is a 404 that is not counted."""
    with Simulator() as sim:
        assert control(sim, name, method).status_code == 404
        assert sim.counts().requests == 0


def test_what_is_in_flight():
    """The most in flight at a time is remembered."""
    with Simulator(script=[Fault(kind="hang")] * 2) as sim:
        with connect(sim), connect(sim):
            until(lambda: sim.counts().in_flight == 2)
        until(lambda: sim.counts().in_flight == 0)
        assert sim.counts().max_in_flight == 2


def test_an_answer_that_was_cut_off_is_not_answered():
    """A client that leaves in mid-stream has received, but was not answered."""
    body = json.dumps(chat_body("a", stream=True))
    with Simulator(latency=Latency(tokens_per_second=1)) as sim:
        request = (
            f"POST {CHAT} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n\r\n{body}"
        )
        with connect(sim, request) as sock:
            assert sock.recv(1) == b"H"
        until(lambda: sim.counts().in_flight == 0)
        counts = sim.counts()
    assert (counts.received_of("a"), counts.answered_of("a"), counts.aborted) == (1, 0, 1)


def test_counts_of_many_threads_add_up():
    """Under many threads at a time nothing is lost."""
    with Simulator(latency=Latency(mean=0.005)) as sim:
        threads = [
            threading.Thread(target=lambda i=i: [chat(sim, f"{i} {j}") for j in range(5)])
            for i in range(8)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        counts = sim.counts()
    assert (counts.requests, counts.by_status, counts.answered_twice) == (40, {200: 40}, 0)
    assert len(counts.answered[CHAT]) == 40
    assert 1 <= counts.max_in_flight <= 8


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "localhost:x", ""])
def test_a_foreign_host_is_turned_away(host):
    """A request for another host, as DNS rebinding sends it, is refused and not counted."""
    with Simulator() as sim:
        request = f"GET /__simulator__/counts HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"
        with connect(sim, request) as sock:
            assert read_all(sock).startswith(b"HTTP/1.1 421 Misdirected Request\r\n")
        assert sim.counts().requests == 0


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:80", "127.0.0.1", "[::1]:8000"])
def test_our_own_host_is_served(host):
    """Every name of this machine's loopback is served, with any port."""
    with Simulator() as sim:
        request = f"GET /search?q=a HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"
        with connect(sim, request) as sock:
            assert read_all(sock).startswith(b"HTTP/1.1 200 OK\r\n")
