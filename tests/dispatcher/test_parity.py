"""What holds for a ThreadPoolExecutor holds for a Dispatcher: submit, futures, shutdown."""

import asyncio
import threading
from concurrent.futures import ALL_COMPLETED, CancelledError, Executor, Future, as_completed, wait
from concurrent.futures.thread import BrokenThreadPool

import pytest

from tests.dispatcher.support import PATIENCE

BROKEN = "A thread initializer failed, the thread pool is not usable anymore"


def echo(*args, **kwargs):
    return args, kwargs


def test_arguments_are_taken_by_position(executor):
    """Workers, prefix, initializer and its arguments stand in the same places."""
    begun = []
    with executor(1, "legacy", begun.append, ("hello",)) as pool:
        name = pool.submit(lambda: threading.current_thread().name).result()

    assert (name, begun, pool._max_workers) == ("legacy_0", ["hello"], 1)


def test_threads_are_named_by_their_prefix(executor):
    """Threads are numbered after the prefix, and reused."""
    together = threading.Barrier(2)

    def name(_):
        together.wait(PATIENCE)
        return threading.current_thread().name

    with executor(2, thread_name_prefix="llm") as pool:
        assert {*pool.map(name, range(6))} == {"llm_0", "llm_1"}


def test_any_keyword_goes_to_the_function(executor):
    """Keywords named as submit's own parameters are the function's."""
    with executor(1) as pool:
        future = pool.submit(echo, 1, fn=2, self=3, timeout=4)

        assert (type(future), isinstance(pool, Executor)) == (Future, True)
        assert future.result() == ((1,), {"fn": 2, "self": 3, "timeout": 4})


def test_what_cannot_be_called_fails_in_its_future(executor):
    """Submitting a thing that is no function fails there and not here."""
    with executor(1) as pool:
        assert str(pool.submit(None).exception()) == "'NoneType' object is not callable"


@pytest.mark.parametrize("kind", [ValueError, SystemExit, KeyboardInterrupt, GeneratorExit])
def test_fault_26_whatever_a_call_raises_is_its_own(executor, kind):
    """An error of any kind fails its future alone, and the thread goes on."""
    error = kind("mine")

    def fail():
        raise error

    with executor(1) as pool:
        failed, after = pool.submit(fail), pool.submit(echo)

        assert (failed.exception(), after.result()) == (error, ((), {}))


def test_a_queued_future_can_be_cancelled_and_a_running_one_not(executor, held):
    """Cancelling says whether it could, and what was cancelled never runs."""
    begun, ran = threading.Event(), []

    def first():
        begun.set()
        held.wait()
        return "done"

    with executor(1) as pool:
        running, queued = pool.submit(first), pool.submit(ran.append, 1)
        begun.wait()
        assert (running.cancel(), queued.cancel()) == (False, True)
        held.set()
        assert running.result() == "done"

    assert (queued.cancelled(), ran) == (True, [])


def test_cancelled_futures_are_waited_for_too(executor, held):
    """`wait` and `as_completed` end with futures of every fate."""

    def fail():
        held.wait()
        raise ValueError

    with executor(1) as pool:
        failed, cancelled, fine = (pool.submit(f) for f in (fail, echo, echo))
        cancelled.cancel()
        held.set()
        futures = {failed, cancelled, fine}
        assert {*as_completed(futures, timeout=PATIENCE)} == futures
        assert wait(futures, PATIENCE, ALL_COMPLETED) == (futures, set())


def test_an_event_loop_runs_functions_in_it(executor):
    """`loop.run_in_executor` hands back values and errors."""

    async def main(pool):
        run = asyncio.get_running_loop().run_in_executor
        values = [run(pool, int, text) for text in ("1", "2", "x")]
        return await asyncio.gather(*values, return_exceptions=True)

    with executor(2) as pool:
        *values, error = asyncio.run(main(pool))

    assert (values, type(error)) == ([1, 2], ValueError)


def test_callbacks_are_told_in_the_worker_or_at_once(executor, held, caplog):
    """A callback gets its future; one that raises is logged and stops no other."""
    told = []

    def note(future):
        told.append((future.result(), threading.current_thread().name))

    with executor(1, "worker") as pool:
        future = pool.submit(lambda: held.wait() and "value")
        future.add_done_callback(lambda _: 1 / 0)
        future.add_done_callback(note)
        held.set()
        future.result()
    future.add_done_callback(note)

    assert told == [("value", "worker_0"), ("value", threading.current_thread().name)]
    assert [record.msg for record in caplog.records] == ["exception calling callback for %r"]


def test_a_shutdown_without_waiting_runs_what_was_submitted(executor, held):
    """It returns at once; everything submitted is still run."""
    pool = executor(1)
    futures = [pool.submit(held.wait), *(pool.submit(echo, n) for n in range(5))]
    pool.shutdown(wait=False)
    assert [future.done() for future in futures] == [False] * 6
    held.set()

    assert [future.result(PATIENCE) for future in futures[1:]] == [((n,), {}) for n in range(5)]


def test_a_shutdown_may_cancel_what_has_not_begun(executor, held):
    """What runs is finished, what is queued is cancelled."""
    begun = threading.Event()
    pool = executor(1)
    running = pool.submit(lambda: begun.set() or held.wait())
    queued = [pool.submit(echo) for _ in range(3)]
    begun.wait()
    pool.shutdown(wait=False, cancel_futures=True)
    assert [future.cancelled() for future in (running, *queued)] == [False, True, True, True]
    held.set()

    assert running.result(PATIENCE) is True
    with pytest.raises(CancelledError):
        queued[0].result()


def test_after_a_shutdown_nothing_is_taken(executor):
    """`submit` and `map` say so in the same words; a second shutdown does nothing."""
    pool = executor(1)
    pool.shutdown()
    pool.shutdown(wait=False, cancel_futures=True)

    for late in (lambda: pool.submit(echo), lambda: pool.map(echo, [1])):
        with pytest.raises(RuntimeError) as raised:
            late()
        assert str(raised.value) == "cannot schedule new futures after shutdown"


def test_an_error_in_the_block_lets_what_was_submitted_run(executor):
    """An Exception passes through after everything submitted has run."""
    ran = []

    def body():
        with executor(1) as pool:
            for n in range(5):
                pool.submit(ran.append, n)
            raise ValueError("body")

    with pytest.raises(ValueError, match="body"):
        body()
    assert ran == [0, 1, 2, 3, 4]


def test_a_failed_initializer_breaks_the_pool(executor, held, caplog):
    """What is pending fails, and so does whatever is submitted later."""

    def begin():
        held.wait()
        raise ValueError

    pool = executor(1, initializer=begin)
    pending = [pool.submit(echo) for _ in range(3)]
    held.set()
    errors = [future.exception(PATIENCE) for future in pending]
    assert [(type(error), str(error)) for error in errors] == [(BrokenThreadPool, BROKEN)] * 3
    for late in (lambda: pool.submit(echo), lambda: pool.map(echo, [1])):
        with pytest.raises(BrokenThreadPool, match=BROKEN):
            late()
    pool.shutdown()

    assert [record.msg for record in caplog.records] == ["Exception in initializer:"]


def test_a_callback_may_shut_the_pool_down(executor, held):
    """Without waiting, a shutdown from a worker lets the rest run and takes no more."""
    pool = executor(1)
    first = pool.submit(held.wait)
    first.add_done_callback(lambda _: pool.shutdown(wait=False))
    rest = [pool.submit(echo, n) for n in range(3)]
    held.set()

    assert [future.result(PATIENCE)[0] for future in rest] == [(0,), (1,), (2,)]
    with pytest.raises(RuntimeError, match="after shutdown"):
        pool.submit(echo)


def test_a_callback_cannot_wait_for_its_own_thread(executor, held, caplog):
    """With waiting it is told so; still nothing that was submitted is lost."""
    pool = executor(1)
    first = pool.submit(held.wait)
    first.add_done_callback(lambda _: pool.shutdown(wait=True))
    rest = [pool.submit(echo, n) for n in range(3)]
    held.set()

    assert [future.result(PATIENCE)[0] for future in rest] == [(0,), (1,), (2,)]
    assert str(caplog.records[0].exc_info[1]) == "cannot join current thread"
