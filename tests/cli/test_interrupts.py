"""Signals within this process: what the first does, what the second, and what is put back."""

import os
import signal
import threading
from queue import SimpleQueue
from socket import socketpair

import pytest

from tests.cli.conftest import PATIENCE, SIGNALS, records, values
from threadllm.cli.interrupts import Interrupts

PULLED, SIGNALLED = threading.Event(), threading.Event()
STOPPING = "stopping: waiting for the calls in flight; once more leaves at once"

# "a" and "b" are called at once; whichever comes second sends the signal and waits for its effect.
SIGNALLING = """
import os, signal, sys, threading
both = threading.Barrier(2)

def f(x):
    both.wait()
    if x == "b":
        os.kill(os.getpid(), signal.{name})
    while "stopping" not in sys.stderr.getvalue():
        pass
    return x
"""


@pytest.mark.parametrize(("name", "status"), [("SIGINT", 130), ("SIGTERM", 143)])
@pytest.mark.parametrize("option", ["--no-progress", "--ordered"])
def test_the_first_signal_lets_calls_in_flight_finish(cli, write, name, status, option):
    """What is in flight is finished and written, nothing more is begun, handlers are put back."""
    script = write("f.py", SIGNALLING.format(name=name))
    source = write("in.txt", "a\nb\nc\nd\ne\n")
    before = [signal.getsignal(number) for number in SIGNALS]

    done = cli("call", f"{script}:f", source, "-o", "out.jsonl", "-c", 2, option)

    err = done.err.splitlines()
    assert done.status == status
    assert values("out.jsonl") == [(1, "a"), (2, "b")]
    assert STOPPING in err
    assert "2 items: 2 ok, 0 failed -> out.jsonl" in err
    assert err[-1] == f"stopped: {name}. What is written is kept"
    assert [signal.getsignal(number) for number in SIGNALS] == before


def signal_and_return(x):
    """What the next test has called: with an item queued it sends a signal, and awaits it."""
    assert PULLED.wait(PATIENCE)
    signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)
    assert SIGNALLED.wait(PATIENCE)
    return x


def test_what_is_queued_is_not_begun_even_before_the_pool_is_shut(cli, prompts, monkeypatch):
    """From the signal on no call begins, however long the stopping takes."""
    pull = Interrupts.until_stopped

    def until_stopped(interrupts, items):
        for number, item in enumerate(pull(interrupts, items), 1):
            if number == 2:
                PULLED.set()
            yield item

    def watch(interrupts, ear):
        interrupts.signal = signal.Signals(ear.recv(1)[0])
        SIGNALLED.set()

    monkeypatch.setattr(Interrupts, "until_stopped", until_stopped)
    monkeypatch.setattr(Interrupts, "_watch", watch)
    target = f"{__name__}:{signal_and_return.__name__}"
    done = cli("call", target, prompts, "-o", "out.jsonl", "-c", 1, "--no-progress")

    assert done.status == 130
    assert values("out.jsonl") == [(1, "a")]


def test_a_main_thread_that_missed_a_signal_is_nudged(monkeypatch):
    """Until it comes to its handler: Python may have looked for signals just before a long wait."""
    ear, bell = socketpair()
    nudged, interrupts = [], Interrupts(lambda: None)
    interrupts.signal = signal.SIGINT

    def nudge(thread, number):
        nudged.append((thread, number))
        bell.send(b"x")

    monkeypatch.setattr(signal, "pthread_kill", nudge)
    with ear, bell:
        assert interrupts._heard(ear) == b"x"

    assert nudged == [(threading.main_thread().ident, signal.SIGURG)]


def test_the_second_signal_ends_the_process(monkeypatch):
    """Whichever thread hears of it ends the process, with the second signal's status."""
    ended = SimpleQueue()
    monkeypatch.setattr(os, "_exit", lambda status: ended.put((status, threading.current_thread())))
    interrupts = Interrupts(lambda: None)

    with interrupts.watched():
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGTERM)
        who = dict(reversed(ended.get(timeout=PATIENCE)) for _ in range(2))

    main = threading.main_thread()
    assert [who.pop(main), *who.values()] == [143, 143]


def test_the_first_signal_is_the_runs_own():
    """Status and name are those of the signal that came."""
    interrupts = Interrupts(lambda: None)

    with interrupts.watched():
        signal.raise_signal(signal.SIGINT)

    assert (interrupts.status, interrupts.name) == (130, "SIGINT")


def test_signals_that_the_user_handles_are_no_ones_business(capsys):
    """A handler of another signal is run, and the run goes on."""
    seen = []
    before = signal.signal(signal.SIGUSR1, lambda number, _: seen.append(number))
    interrupts = Interrupts(lambda: seen.append("stopped"))

    with interrupts.watched():
        signal.raise_signal(signal.SIGUSR1)

    signal.signal(signal.SIGUSR1, before)
    assert (seen, interrupts.signal) == ([signal.SIGUSR1], None)
    assert capsys.readouterr().err == ""


def test_a_signal_is_heard_though_the_main_thread_does_not_come_to_its_handler():
    """The system itself tells the watching thread: the run is stopped without the main thread."""
    stopped = threading.Event()
    interrupts = Interrupts(stopped.set)
    interrupts._handle = lambda *_: None

    with interrupts.watched():
        signal.raise_signal(signal.SIGTERM)
        assert stopped.wait(PATIENCE)

    assert interrupts.status == 143


def test_a_signal_ends_a_read_that_waits(capsys):
    """The reader is taken out of an item that never comes."""

    def items():
        yield 1
        signal.raise_signal(signal.SIGTERM)
        yield 2

    interrupts = Interrupts(lambda: None)
    with interrupts.watched():
        found = [*interrupts.until_stopped(items())]

    assert found == [1]
    assert interrupts.status == 143
    assert capsys.readouterr().err == f"{STOPPING}\n"


def test_after_a_signal_nothing_is_read(capsys):
    """A signal between two items ends the input before the next is asked for."""
    items = iter("abc")
    found = []

    interrupts = Interrupts(lambda: None)
    with interrupts.watched():
        for item in interrupts.until_stopped(items):
            found.append(item)
            signal.raise_signal(signal.SIGINT)

    assert (found, [*items]) == (["a"], ["b", "c"])


def test_without_a_signal_all_is_read_and_nothing_stopped(capsys):
    """Most runs meet no signal: nothing is said, and the status is none."""
    stopped = []

    interrupts = Interrupts(lambda: stopped.append(1))
    with interrupts.watched():
        assert [*interrupts.until_stopped(iter("abc"))] == ["a", "b", "c"]

    assert (interrupts.status, interrupts.name, stopped) == (0, None, [])
    assert capsys.readouterr().err == ""


def test_handlers_that_others_set_are_put_back():
    """Ignored signals are ignored again, a handler of the user's handles again."""

    def handler(number, frame):
        pass

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, handler)

    with Interrupts(lambda: None).watched():
        pass

    assert [signal.getsignal(number) for number in SIGNALS] == [signal.SIG_IGN, handler]
    assert signal.set_wakeup_fd(-1) == -1


def test_in_another_thread_there_are_no_signals(cli, llm, prompts):
    """Outside the main thread, where no handler can be set, a command runs without."""
    done = []
    thread = threading.Thread(
        target=lambda: done.append(cli("call", f"{llm}:echo", prompts, "-o", "out.jsonl"))
    )

    thread.start()
    thread.join()

    assert done[0].status == 0
    assert len(records("out.jsonl")) == 3
