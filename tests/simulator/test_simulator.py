import asyncio
import math
import os
import signal
import socket
import subprocess
import sys
import threading

import pytest

from tests.simulator.support import chat, connect, read_all
from threadllm.exceptions import OptionError
from threadllm.simulator import Simulator


def test_the_addresses():
    """The URLs name loopback and the port that was found."""
    with Simulator() as sim:
        assert sim.port > 0
        assert sim.url == f"http://127.0.0.1:{sim.port}"
        assert sim.base_url == f"http://127.0.0.1:{sim.port}/v1"


def test_leaving_ends_the_thread_and_keeps_the_counts():
    """After the block there is no thread and no listener; the counts can still be read."""
    with Simulator() as sim:
        chat(sim)
    assert "threadllm-simulator" not in [thread.name for thread in threading.enumerate()]
    with pytest.raises(ConnectionRefusedError):
        connect(sim)
    assert sim.counts().requests == 1


def test_it_can_be_started_again():
    """A simulator that has stopped can be started again on its port, and counts on."""
    sim = Simulator()
    for _ in range(2):
        with sim:
            chat(sim)
    assert sim.counts().requests == 2


def test_what_is_asked_while_it_stops_is_answered():
    """Counts can be asked for by any thread at any moment, that of its end included."""
    sim = Simulator()
    asked, ended = threading.Event(), threading.Event()

    def ask():
        while not ended.is_set():
            sim.counts()
            asked.set()

    thread = threading.Thread(target=ask, daemon=True)
    with sim:
        thread.start()
        assert asked.wait(60)
    ended.set()
    thread.join(60)
    assert not thread.is_alive()


def test_it_runs_once_at_a_time():
    """A simulator that runs cannot be started once more."""
    with Simulator() as sim, pytest.raises(RuntimeError, match="running already"):
        sim.__enter__()


def test_what_comes_while_it_stops_is_turned_away():
    """Between the order to stop and the end no request begins."""
    sim = Simulator()
    sim._stopping.set()
    assert asyncio.run(sim._handle(None)).status == 503
    assert sim.counts().requests == 0


def test_leaving_twice_is_harmless():
    """A simulator that has stopped can be told to stop."""
    with Simulator() as sim:
        sim.__exit__()
    with pytest.raises(ConnectionRefusedError):
        connect(sim)


def test_a_port_that_is_taken():
    """A port in use is an error on entering that names it, and leaves no thread."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(OptionError, match=f"port={port}: cannot listen on it"):
            Simulator(port=port).__enter__()
    assert "threadllm-simulator" not in [thread.name for thread in threading.enumerate()]


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"port": -1}, "port=-1: give one from 1 to 65535, or 0 for any that is free"),
        ({"port": 65536}, "port=65536: give one from 1 to 65535, or 0 for any that is free"),
        ({"api_keys": "sk-x"}, "api_keys: give a list of keys, even for one"),
        ({"speed": 0}, "speed=0: give a finite number above 0"),
        ({"speed": math.nan}, "speed=nan: give a finite number above 0"),
        ({"keep_alive": 0}, "keep_alive=0: give a finite number above 0"),
    ],
)
def test_options_that_cannot_be(options, text):
    """An option that makes no sense is refused, with what would do."""
    with pytest.raises(OptionError) as caught:
        Simulator(**options)
    assert str(caught.value) == text


def test_an_idle_connection_is_closed():
    """A connection on which nothing comes any more is closed after `keep_alive`."""
    with Simulator(keep_alive=0.05) as sim:
        request = f"GET /search?q=a HTTP/1.1\r\nHost: 127.0.0.1:{sim.port}\r\n\r\n"
        with connect(sim, request) as sock:
            assert read_all(sock).startswith(b"HTTP/1.1 200 OK\r\n")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_run_serves_until_a_signal(number):
    """In the main thread it serves until a signal, then ends and puts the handlers back."""
    before = [signal.getsignal(one) for one in (signal.SIGINT, signal.SIGTERM)]
    seen = []

    def ready(sim):
        with connect(sim):
            seen.append((sim.port > 0, sim.counts().requests))
        os.kill(os.getpid(), number)

    Simulator().run(ready)
    assert seen == [(True, 0)]
    assert [signal.getsignal(one) for one in (signal.SIGINT, signal.SIGTERM)] == before


def test_a_loop_that_cannot_start(monkeypatch):
    """Where no event loop can be had, entering raises why."""

    def run(coroutine):
        coroutine.close()
        raise OSError("Too many open files")

    monkeypatch.setattr(asyncio, "run", run)
    with pytest.raises(OSError, match="Too many open files"):
        Simulator().__enter__()


def test_run_on_a_port_that_is_taken():
    """In the main thread too a port in use is an error that names it."""
    with Simulator() as sim, pytest.raises(OptionError, match=f"port={sim.port}: "):
        Simulator(port=sim.port).run(lambda _: None)


def test_the_package_does_without_aiohttp():
    """Importing threadllm does not import the simulator's server library."""
    code = "import sys, threadllm; sys.exit('aiohttp' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
