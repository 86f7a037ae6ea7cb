"""Signals within this process: what the first does to a run, what the second, what is put back."""

import gc
import os
import signal
import threading
from socket import socketpair

import pytest

import threadllm
from tests.dispatcher.support import PATIENCE, Told, interrupted, python
from tests.support import until
from threadllm import Dispatcher, RunStopped
from threadllm.dispatcher.interrupts import INTERRUPTS, Interrupts

pytestmark = pytest.mark.usefixtures("plain_handlers")

SIGNALS = [signal.SIGINT, signal.SIGTERM]
ENDS = [(signal.SIGINT, KeyboardInterrupt), (signal.SIGTERM, SystemExit)]


def now():
    return [signal.getsignal(number) for number in SIGNALS]


@pytest.mark.parametrize(("number", "kind"), ENDS)
@pytest.mark.parametrize("ordered", [True, False])
def test_the_first_lets_what_is_in_flight_end(number, kind, ordered, caplog):
    """That is handed back; no more is begun, handlers are put back, and the signal is raised."""
    both, seen, before = threading.Barrier(2), [], now()

    def call(item):
        both.wait(PATIENCE)
        if item == 1:
            os.kill(os.getpid(), number)
        until(lambda: "stopping" in caplog.text)
        return item

    with Dispatcher(2) as pool:
        inside = now()
        with pytest.raises(kind) as ended:
            seen.extend(pool.outcomes(call, iter(range(10**9)), ordered=ordered))
        assert now() == inside

    assert (sorted(one.value for one in seen), pool.totals.done) == ([0, 1], 2)
    assert getattr(ended.value, "code", 143) == 143
    assert ended.value.__suppress_context__
    assert now() == before
    assert caplog.messages == [
        f"{number.name}: stopping; up to 10 s for the calls in flight, once more leaves at once"
    ]


def test_map_is_ended_too(caplog):
    """What it has in flight is paid for, and ends; what was not begun is cancelled."""
    ended = []

    def call(item):
        if item == 8:  # which the reader submits, as the first eight are its window
            os.kill(os.getpid(), signal.SIGINT)
            until(lambda: "stopping" in caplog.text)
        ended.append(item)

    with pytest.raises(KeyboardInterrupt):
        threadllm.map(call, range(100), max_workers=1)

    assert ended == [*range(9)]


def test_what_would_be_tried_again_is_left_undone(clock, held, caplog):
    """An item that waits for its retry is neither ok nor failed, and is waited for no longer."""

    def call(item):
        if item:
            held.wait(PATIENCE)
            raise TimeoutError
        raise ConnectionError

    with Dispatcher(2, clock=clock) as pool:
        outcomes = pool.outcomes(call, range(2))
        threading.Thread(target=lambda: clock.wait_for_sleepers() and signal_itself(held)).start()
        with pytest.raises(KeyboardInterrupt):
            next(outcomes)

    assert (pool.totals.done, pool.totals.retrying) == (0, 0)


def signal_itself(held):
    signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)
    held.set()


@pytest.mark.parametrize("ordered", [True, False])
def test_what_is_in_flight_when_the_grace_is_over_is_left(held, ordered):
    """It cannot be broken off, so that its thread is written off; its item is undone."""
    begun = threading.Event()

    def call(item):
        if item == 0:
            return item
        begun.set()
        return held.wait(PATIENCE)

    def items():
        yield from range(2)
        begun.wait(PATIENCE)
        signal.raise_signal(signal.SIGINT)
        yield 2

    seen = []
    with Dispatcher(2, grace=0.05) as pool, pytest.raises(KeyboardInterrupt):
        seen.extend(pool.outcomes(call, items(), ordered=ordered))

    assert [one.value for one in seen] == [0]
    assert (pool.totals.done, pool.totals.abandoned) == (1, 1)
    assert pool.quota.slots.in_use == 0


def test_the_second_is_raised_at_once(held):
    """Wherever the main thread is, in the body of a loop too; what is in flight is left."""
    seen = []
    with Dispatcher(2) as pool, pytest.raises(SystemExit) as ended:
        for outcome in pool.outcomes(lambda item: item and held.wait(PATIENCE), range(9)):
            seen.append(outcome.item)
            signal.raise_signal(signal.SIGINT)
            signal.raise_signal(signal.SIGTERM)
            seen.append("not here")

    assert (seen, ended.value.code) == ([0], 143)
    assert not held.is_set()


def test_a_signal_in_the_body_waits_for_its_end(caplog):
    """What the body does with an outcome is not torn apart."""
    seen = []
    with Dispatcher(1) as pool, pytest.raises(KeyboardInterrupt):
        for outcome in pool.outcomes(str, range(9)):
            signal.raise_signal(signal.SIGINT)
            until(lambda: caplog.messages)
            seen.append(outcome.value)

    assert "0" in seen


@pytest.mark.parametrize("raises", [True, False])
def test_a_handler_of_the_users_is_called_in_the_end(raises):
    """What it raises is raised; if it raises nothing, the run says that it was cancelled."""
    called = []

    def handler(number, frame):
        called.append(number)
        if raises:
            raise LookupError

    def items():
        signal.raise_signal(signal.SIGTERM)
        yield 1

    signal.signal(signal.SIGTERM, handler)
    with Dispatcher(1) as pool, pytest.raises(LookupError if raises else RunStopped):
        list(pool.outcomes(str, items()))

    assert called == [signal.SIGTERM]
    assert signal.getsignal(signal.SIGTERM) is handler


def test_what_is_ignored_stays_ignored():
    """As `nohup` and a shell's `&` have it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with Dispatcher(1) as pool:
        for _ in pool.outcomes(str, range(3)):
            signal.raise_signal(signal.SIGINT)

    assert pool.totals.ok == 3


def test_a_main_thread_that_missed_a_signal_is_nudged(monkeypatch):
    """Until it comes to its handlers: Python may have looked just before a long wait."""
    ear, bell = socketpair()
    nudged, interrupts = [], Interrupts()
    interrupts._is_behind = True

    def nudge(thread, number):
        nudged.append((thread, number))
        bell.send(b"x")

    monkeypatch.setattr(signal, "pthread_kill", nudge)
    with ear, bell:
        assert interrupts._next_note(ear) == b"x"

    assert nudged == [(threading.main_thread().ident, signal.SIGURG)]


def test_it_is_heard_though_the_main_thread_does_not_come_to_its_handler(monkeypatch):
    """The system itself tells the watching thread; the main thread is nudged meanwhile."""
    run, interrupts, nudges = Told(), Interrupts(), []
    interrupts._handle = lambda number, _: nudges.append(number)

    with pytest.raises(SystemExit), interrupts.heeded(run):
        interrupted(run, signal.SIGTERM)
        until(lambda: signal.SIGURG in nudges)

    assert run.heard == ["SIGTERM"]


def test_a_third_leaves_a_process_that_hears_nothing(monkeypatch):
    """Whoever holds the main thread loses it, as the two before were not heard either."""
    run, interrupts, left = Told(), Interrupts(), []
    interrupts._handle = lambda number, _: None
    monkeypatch.setattr(os, "_exit", left.append)

    with pytest.raises(KeyboardInterrupt), interrupts.heeded(run):
        interrupted(run)
        signal.raise_signal(signal.SIGINT)
        until(lambda: run.heard == ["SIGINT", "cut"])
        signal.raise_signal(signal.SIGTERM)
        until(lambda: left)

    assert left == [143]


def test_other_signals_are_no_business_of_a_run():
    """Their handlers are run, whoever listens for them hears them, and the run goes on."""
    seen, run = [], Told()
    before = signal.signal(signal.SIGUSR1, lambda number, _: seen.append(number))
    ear, bell = socketpair()
    bell.settimeout(0)
    signal.set_wakeup_fd(bell.fileno())
    try:
        with ear, bell:
            with INTERRUPTS.heeded(run):
                signal.raise_signal(signal.SIGUSR1)
                ear.settimeout(PATIENCE)
                assert ear.recv(1) == bytes([signal.SIGUSR1])
            assert signal.set_wakeup_fd(-1) == bell.fileno()
    finally:
        signal.signal(signal.SIGUSR1, before)

    assert (seen, run.heard) == ([signal.SIGUSR1], [])


def test_a_nudge_means_nothing():
    """But that the main thread has come to its handlers."""
    run = Told()
    with INTERRUPTS.heeded(run):
        signal.raise_signal(signal.SIGURG)

    assert run.heard == []


def test_a_listener_that_came_later_stays():
    """Such as an event loop that was started while the run lasted."""
    ear, bell = socketpair()
    bell.settimeout(0)
    with ear, bell:
        with INTERRUPTS.heeded(Told()):
            signal.set_wakeup_fd(bell.fileno())
        assert signal.set_wakeup_fd(-1) == bell.fileno()


def test_a_listener_that_has_gone_harms_nothing():
    """Its descriptor is no more, and the run hears signals all the same."""
    ear, bell = socketpair()
    bell.settimeout(0)
    ear.close()
    signal.set_wakeup_fd(bell.fileno(), warn_on_full_buffer=False)
    run = Told()
    with bell, pytest.raises(KeyboardInterrupt), INTERRUPTS.heeded(run):
        interrupted(run)
    signal.set_wakeup_fd(-1)

    assert run.heard == ["SIGINT"]


def test_an_input_that_does_not_go_on_is_left():
    """The reader is taken out of it; what it gave before is run."""
    seen = []

    def items():
        yield 1
        signal.raise_signal(signal.SIGTERM)
        yield 2

    with Dispatcher(1) as pool, pytest.raises(SystemExit):
        seen.extend(pool.outcomes(str, items()))

    assert [one.value for one in seen] in ([], ["1"])


def test_after_a_signal_nothing_is_read():
    """One between two items ends the input before the next is asked for."""
    items, run = iter("abc"), Told()
    with pytest.raises(KeyboardInterrupt), INTERRUPTS.heeded(run):
        first = INTERRUPTS.next_of(items, run.cut)
        interrupted(run)
        assert INTERRUPTS.next_of(items, run.cut) is None

    assert (first, [*items]) == ("a", ["b", "c"])
    assert run.heard == ["SIGINT", "cut"]


def test_runs_side_by_side_are_told_together():
    """Handlers are there until the last has ended; one that begins late is told at once."""
    one, other, late, before = Told(), Told(), Told(), now()
    with pytest.raises(KeyboardInterrupt), INTERRUPTS.heeded(one):
        with pytest.raises(KeyboardInterrupt), INTERRUPTS.heeded(other):
            during = now()
            interrupted(one)
            with pytest.raises(KeyboardInterrupt), INTERRUPTS.heeded(late):
                assert late.heard == ["SIGINT"]
        assert now() == during

    assert (one.heard, other.heard) == (["SIGINT"], ["SIGINT"])
    assert now() == before


def test_a_handler_that_was_set_meanwhile_stays():
    """It is somebody's who came later."""

    def handler(number, frame):
        pass

    with INTERRUPTS.heeded(Told()):
        signal.signal(signal.SIGTERM, handler)

    assert signal.getsignal(signal.SIGTERM) is handler


def test_in_another_thread_there_are_no_signals():
    """Nobody's handlers change, and what the reader waits for is as it was."""
    seen, before = [], now()

    def read():
        with Dispatcher(1) as pool:
            seen.extend([now()] + [one.value for one in pool.outcomes(str, range(3))])

    thread = threading.Thread(target=read)
    thread.start()
    thread.join()
    assert seen == [before, "0", "1", "2"]


def test_a_run_that_the_collector_ends_elsewhere_is_ended():
    """Handlers are the main thread's to put back: until then they hand signals on."""
    before, interrupts = now(), Interrupts()
    block = interrupts.heeded(Told())
    block.__enter__()
    thread = threading.Thread(target=lambda: block.__exit__(None, None, None))
    thread.start()
    thread.join()

    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)
    with interrupts.heeded(Told()):
        assert now() != before
    assert now() == before


def test_a_fork_has_no_part_in_the_signals_of_its_parent():
    """Its own are as they were before the run, and the run hears none of them."""
    out = python(
        """
import os, signal, threadllm, warnings
warnings.simplefilter("ignore", DeprecationWarning)  # of forks, from Python 3.12 on
pool = threadllm.Dispatcher(1)
outcomes = pool.outcomes(str, range(3))
next(outcomes)
child = os.fork()
if not child:
    try:
        signal.raise_signal(signal.SIGINT)
    except KeyboardInterrupt:
        os._exit(7)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
print([outcome.value for outcome in outcomes])
pool.shutdown()
"""
    )
    assert out == "7\n['1', '2']\n"


def test_a_run_that_was_begun_and_forgotten_leaves_nothing():
    """The collector ends it, and with it the watching."""
    before = now()
    pool = Dispatcher(1)
    outcomes = pool.outcomes(str, range(3))
    next(outcomes)
    del outcomes
    gc.collect()
    pool.shutdown()

    assert now() == before
    assert [one.name for one in threading.enumerate() if "signals" in one.name] == []


def test_the_end_of_the_program_is_heard(monkeypatch):
    """Python tells before it waits for threads; once is enough for all that this process runs."""
    asked, interrupts, run = [], Interrupts(), Told()
    monkeypatch.setattr(threading, "_register_atexit", asked.append, raising=False)
    for _ in range(2):
        with interrupts.heeded(run):
            pass
    [tell] = asked
    with interrupts.heeded(run):
        tell()

    assert run.heard == [None]


def test_the_end_of_the_program_cancels_what_is_half_read(caplog):
    """In silence; what was handed back stays so."""
    with Dispatcher(1) as pool:
        outcomes = pool.outcomes(str, range(100))
        first = next(outcomes)
        INTERRUPTS._leave_unread()
        with pytest.raises(RunStopped):
            list(outcomes)

    assert (first.value, caplog.messages) == ("0", [])


def test_handlers_are_put_back_in_a_fork_of_ones_own():
    """As in one whose threads are elsewhere: the run goes on without them."""
    before, interrupts = now(), Interrupts()
    with interrupts.heeded(Told()):
        interrupts.disown()
        assert now() == before
    assert now() == before
