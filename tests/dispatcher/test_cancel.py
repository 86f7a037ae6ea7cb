"""Stopping: what has not begun is cancelled, what was finished is kept, and no wait is for ever."""

import signal
import threading
from concurrent.futures import CancelledError, as_completed, wait

import pytest

from tests.dispatcher.support import PATIENCE, BusyError
from threadllm import CallCancelled, Dispatcher
from threadllm.call import current


def interrupt(heard):
    """Ctrl-C, again and again until it is heard: one that comes just before a wait is not."""
    heard.clear()
    while not heard.is_set():
        signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)
        heard.wait(0.5)
    return True


def test_each_call_ends_as_its_state_has_it(clock, held):
    """Queued calls are cancelled, delayed and parked ones fail, running ones are finished."""
    busy = BusyError(after=600)

    def delayed():
        raise busy

    def parked():
        current.get().park(lambda: 5000.0)

    pool = Dispatcher(2, clock=clock)
    futures = [pool.submit(delayed)]
    clock.wait_for_sleepers()
    futures += [pool.submit(parked), pool.submit(held.wait)]
    clock.wait_for_sleepers()
    while not futures[2].running():
        pass
    futures.append(pool.submit(print))
    pool.shutdown(wait=False, cancel_futures=True)
    stopped = {futures[0], futures[1], futures[3]}
    assert {*as_completed(stopped, PATIENCE)} == stopped
    held.set()

    assert (futures[0].exception(), futures[2].result(PATIENCE)) == (busy, True)
    assert (type(futures[1].exception()), futures[3].cancelled()) == (CallCancelled, True)
    assert (pool.totals.ok, pool.totals.failed, pool.totals.retrying) == (1, 2, 0)


def test_calls_before_a_shut_gate_are_cancelled(clock):
    """A call that waits for its turn to begin has not begun."""

    def call(n):
        raise BusyError(429, after=600)

    pool = Dispatcher(2, clock=clock)
    first = pool.submit(call, 0)
    clock.wait_for_sleepers()
    second = pool.submit(call, 1)
    clock.wait_for_sleepers(2)
    pool.shutdown(cancel_futures=True)

    assert (first.exception().status_code, second.cancelled()) == (429, True)


def test_a_call_that_fails_after_the_stop_is_not_tried_again(held):
    """What would be retried fails with the error it has."""
    error, begun = BusyError(), threading.Event()

    def call():
        begun.set()
        held.wait()
        raise error

    pool = Dispatcher(1)
    future = pool.submit(call)
    begun.wait()
    pool.shutdown(wait=False, cancel_futures=True)
    held.set()

    assert future.exception(PATIENCE) is error


def test_outcomes_tell_what_was_cancelled(held):
    """A reader gets an outcome for each item that was pulled, the cancelled ones included."""
    begun, full = threading.Event(), threading.Event()

    def items():
        yield from (0, 1)
        full.set()
        yield 2

    def call(n):
        if n == 0:
            return full.wait()
        begun.set()
        return held.wait()

    with Dispatcher(1) as pool:
        outcomes = pool.outcomes(call, items(), ordered=True, buffersize=3)
        ended = [next(outcomes)]
        begun.wait()
        pool.shutdown(wait=False, cancel_futures=True)
        held.set()
        ended += outcomes

    assert [(o.index, o.value, type(o.error)) for o in ended] == [
        (0, True, type(None)),
        (1, True, type(None)),
        (2, None, CancelledError),
    ]


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit])
def test_an_interrupt_in_the_block_cancels_what_has_not_begun(kind, held):
    """What runs is finished, then the interrupt goes on."""
    begun = threading.Event()
    futures = []

    def body():
        with Dispatcher(1) as pool:
            futures.append(pool.submit(lambda: begun.set() or held.wait()))
            futures.append(pool.submit(print))
            futures[1].add_done_callback(lambda _: held.set())
            pool.map(print, iter(int, 1))  # endless, and never read
            begun.wait()
            raise kind

    with pytest.raises(kind):
        body()
    assert (futures[0].result(), futures[1].cancelled()) == (True, True)


def test_ctrl_c_while_the_block_ends_cancels_what_has_not_begun(held, monkeypatch):
    """It is heard while the end of the block waits for the calls."""
    waiting = threading.Event()

    def first():
        waiting.wait()
        return interrupt(held)

    pool = Dispatcher(1)
    join = pool._staff.threads.pool.shutdown
    monkeypatch.setattr(
        pool._staff.threads.pool, "shutdown", lambda wait: waiting.set() or join(wait)
    )
    running, queued = pool.submit(first), pool.submit(print)
    queued.add_done_callback(lambda _: held.set())
    with pytest.raises(KeyboardInterrupt), pool:
        pass

    assert (running.result(), queued.cancelled()) == (True, True)


def test_ctrl_c_while_the_rest_is_submitted_stops_that():
    """An input that blocks, or never ends, is left where it is."""

    def items():
        yield from range(4)
        signal.raise_signal(signal.SIGINT)
        yield 5

    with pytest.raises(KeyboardInterrupt), Dispatcher(2) as pool:
        pool.map(str, items())

    assert pool.totals.ok <= 4


def reading(name):
    """A way to wait for a call that has begun."""
    return {
        "result": lambda pool, call: pool.submit(call, 0).result(),
        "map": lambda pool, call: next(pool.map(call, [0])),
        "as finished": lambda pool, call: next(pool.outcomes(call, [0])),
        "in order": lambda pool, call: next(pool.outcomes(call, [0], ordered=True)),
        "wait": lambda pool, call: wait([pool.submit(call, 0)]),
    }[name]


@pytest.mark.parametrize("name", ["result", "map", "as finished", "in order", "wait"])
def test_ctrl_c_is_heard_while_a_reader_waits(name, held):
    """No way to wait for a value is deaf."""

    def call(_):
        interrupt(held)

    with Dispatcher(1) as pool:
        with pytest.raises(KeyboardInterrupt):
            reading(name)(pool, call)
        held.set()


def test_a_cancelled_value_is_raised_as_such(held):
    """`map` raises for a cancelled item what a future raises."""
    begun = threading.Event()
    with Dispatcher(1) as pool:
        results = pool.map(lambda n: begun.set() or held.wait(), range(2))
        begun.wait()
        pool.shutdown(wait=False, cancel_futures=True)
        held.set()
        assert next(results) is True
        with pytest.raises(CancelledError):
            next(results)
