"""A worker's process, and the two pipes that lead to it."""

import io
import os
import signal
import time
from types import SimpleNamespace

import pytest

from threadllm import Dispatcher, OptionError, Quota, WorkerLost
from threadllm.engines import frames, processes, serving
from threadllm.engines.processes import ProcessLink
from threadllm.engines.serving import NUDGE
from threadllm.engines.travel import pack
from threadllm.engines.wire import Order
from threadllm.engines.worker import Spec

NOTHING = {}
SPEC = Spec(None, 2, pack({}), {"": Quota(2).settings})


@pytest.fixture
def link():
    made = ProcessLink(SPEC)
    made.start()
    yield made
    made.close()


def test_a_link_to_the_dead_says_so(link):
    """To whoever exchanges; nudging and closing it do no harm."""
    link._process.kill()
    link._process.wait()
    link.nudge()
    with pytest.raises(WorkerLost, match="by signal 9"):
        link.exchange(Order([], NOTHING, [], 0.0))
    link.nudge()  # be it that whoever does has not heard


def test_a_link_that_was_closed_there_says_so(link, monkeypatch):
    """Though its process lives on."""

    def late(timeout):
        raise processes.subprocess.TimeoutExpired("worker", timeout)

    monkeypatch.setattr(link._process, "wait", late)
    assert link._how_it_ended() == "it has closed its pipe"
    monkeypatch.undo()


def test_a_worker_that_does_not_end_is_ended(link, monkeypatch):
    """After a while."""
    monkeypatch.setattr(processes, "_TO_END", 0.1)
    os.kill(link._process.pid, signal.SIGSTOP)
    link.close()
    assert link._process.poll() == -signal.SIGKILL


def test_what_was_not_written_yet_is_let_go(link):
    """When a worker has died meanwhile."""
    link._process.kill()
    link._process.wait()
    link._orders.write(b"x")
    link._let_go()


def test_where_processes_cannot_be_had_it_is_told(monkeypatch):
    """Before anything starts."""
    monkeypatch.setattr(processes, "_IS_POSIX", False)
    with pytest.raises(OptionError, match="it needs Linux or macOS"):
        Dispatcher(engine="processes")


def test_a_process_may_have_no_stdout(monkeypatch):
    """What calls print goes to stderr then."""
    dup = os.dup

    def no_stdout(descriptor):
        if descriptor == 1:
            raise OSError
        return dup(descriptor)

    monkeypatch.setattr(processes.os, "dup", no_stdout)
    link = ProcessLink(SPEC)
    link.start()
    assert link.exchange(Order([], NOTHING, [], 0.0)).envelopes == []
    link.kill()
    with pytest.raises(WorkerLost):
        link.exchange(Order([], NOTHING, [], 5.0))


def test_whoever_writes_nudges_for_those_who_came_meanwhile(link, monkeypatch):
    """Nobody waits for a pipe to nudge; that it was wanted is not forgotten."""
    with link._writing:
        link.nudge()
    assert link._is_missed
    send, sent = frames.send, []

    def send_slowly(file, message):
        send(file, message)
        sent.append(message)
        link.nudge()  # once more, as it is written still

    monkeypatch.setattr(frames, "send", send_slowly)
    began = time.monotonic()
    link.exchange(Order([], NOTHING, [], 20.0))
    assert time.monotonic() - began < 10
    assert sent[1:] == [NUDGE]


def test_a_worker_whose_driver_has_gone_breaks_off(monkeypatch):
    """It hears of that by its pipe."""
    told = []
    worker = SimpleNamespace(abandon=lambda: told.append("abandon"))
    monkeypatch.setattr(serving, "_end_soon", lambda: told.append("end soon"))
    serving._serve(worker, io.BytesIO(), io.BytesIO())
    assert told == ["abandon", "end soon"]
