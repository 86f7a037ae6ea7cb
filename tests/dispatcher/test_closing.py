"""How a block and a shutdown end that signals meet: what is in flight, and what is put back."""

import signal
import threading
from concurrent.futures import CancelledError
from contextlib import suppress

import pytest

from tests.dispatcher.support import PATIENCE, Told, interrupted
from tests.support import until
from threadllm import Dispatcher, RunStopped
from threadllm.dispatcher.interrupts import INTERRUPTS

pytestmark = pytest.mark.usefixtures("plain_handlers")


@pytest.mark.parametrize("error", [None, ValueError, KeyboardInterrupt])
def test_a_block_is_ended_by_sigterm_as_by_ctrl_c(error):
    """By a SystemExit, unless somebody handles it; afterwards it is as before."""
    with suppress(ValueError, KeyboardInterrupt), Dispatcher(1):
        with pytest.raises(SystemExit) as ended, Dispatcher(1):
            signal.raise_signal(signal.SIGTERM)
        assert ended.value.code == 143
        if error is not None:
            raise error

    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


def test_a_block_leaves_others_handlers_alone():
    """One that was there before, one that came meanwhile, and those of another thread's block."""

    def handler(number, frame):
        pass

    with Dispatcher(1):
        signal.signal(signal.SIGTERM, handler)
    with Dispatcher(1):
        assert signal.getsignal(signal.SIGTERM) is handler
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    seen = []

    def block():
        with Dispatcher(1):
            seen.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=block)
    thread.start()
    thread.join()
    assert seen == [signal.SIG_DFL]


def test_an_interrupt_while_the_block_waits_breaks_off_what_is_in_flight(held):
    """The first one has ended the block, and its grace goes on."""

    def interrupt():
        until(lambda: pool._staff.submitter.runs[0].is_cancelled)
        signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)

    pool = Dispatcher(1, grace=PATIENCE)
    future = pool.submit(held.wait, PATIENCE)
    thread = threading.Thread(target=interrupt)
    with pytest.raises(KeyboardInterrupt), pool:
        until(future.running)
        thread.start()
        raise KeyboardInterrupt
    thread.join()

    assert isinstance(future.exception(), RunStopped)
    assert not held.is_set()


def test_the_second_while_it_is_shut_down_breaks_off_what_is_in_flight(held):
    """The first has cancelled, and let it go on."""

    def interrupt():
        until(lambda: future.running() and INTERRUPTS._runs)
        signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)
        until(lambda: pool._staff.submitter.runs[0].is_cancelled)
        assert not future.done()
        signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)

    pool = Dispatcher(1, grace=PATIENCE)
    future = pool.submit(held.wait, PATIENCE)
    thread = threading.Thread(target=interrupt)
    thread.start()
    with pytest.raises(KeyboardInterrupt):
        pool.shutdown()
    thread.join()

    assert isinstance(future.exception(), RunStopped)
    assert not held.is_set()


def test_a_signal_of_before_breaks_nothing_off_when_the_block_is_left():
    """It has had its effect: what is in flight has its time of grace."""
    pool, run = Dispatcher(1, grace=PATIENCE), Told()
    future = pool.submit(until, lambda: pool._staff.submitter.runs[0].is_cancelled)
    until(future.running)
    with pytest.raises(KeyboardInterrupt), INTERRUPTS.heeded(run):
        interrupted(run)
        pool._leave()

    assert future.result() is None


def test_an_input_that_ends_the_program_at_the_shutdown_cancels():
    """The rest of it is submitted then; what is in flight ends, and what waits is not begun."""
    begun, done = threading.Event(), []

    def items():
        yield from range(3)
        begun.set()
        raise SystemExit(3)

    def call(item):
        assert begun.wait(PATIENCE)
        done.append(item)

    pool = Dispatcher(1)
    results = pool.map(call, items(), buffersize=1)
    with pytest.raises(SystemExit):
        pool.shutdown()

    assert done in ([], [0])
    with pytest.raises((RunStopped, CancelledError)):
        list(results)


def test_an_error_of_the_ending_is_raised(monkeypatch):
    """Such as of a thread that would wait for itself."""
    pool = Dispatcher(1)

    def leave():
        with pool:
            raise KeyboardInterrupt

    with pytest.raises(RuntimeError, match="cannot join current thread"):
        pool.submit(leave).result(PATIENCE)
    pool.shutdown()
