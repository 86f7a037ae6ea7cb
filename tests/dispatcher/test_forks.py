"""Forks of a process that has a dispatcher: a clear error or one that works, and never a hang."""

import multiprocessing
import os
import signal
import threading
import time
import traceback

import pytest
import requests

import threadllm
from tests.dispatcher.support import PATIENCE, begun, plain_environment, python
from threadllm import Dispatcher
from threadllm.call import current
from threadllm.simulator import Simulator

pytestmark = pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")


def in_fork(act):
    """What a fork comes to, which has some seconds for it: 0 if `act` is true there."""
    child = os.fork()
    if not child:
        try:
            os._exit(0 if act() else 1)
        except BaseException:
            traceback.print_exc()
            os._exit(2)
    end = time.monotonic() + PATIENCE
    while not (ended := os.waitpid(child, os.WNOHANG))[0]:
        if time.monotonic() > end:
            os.kill(child, 9)
            os.waitpid(child, 0)
            pytest.fail("the fork hangs")
        time.sleep(0.005)
    return os.waitstatus_to_exitcode(ended[1])


def raises(act):
    """Whether something is refused as being in a fork."""
    try:
        act()
    except RuntimeError as error:
        return "of which this one is a fork: make a dispatcher" in str(error)
    return False


def test_fault_29_a_dispatcher_of_the_parent_is_refused(held):
    """By each way in; and it can be left and shut down, though its calls go on in the parent."""
    with Dispatcher(8) as pool:
        running = begun(pool, held, "parent")
        outcomes = pool.outcomes(lambda n: n or held.wait(PATIENCE), [1, 0, 0], ordered=True)
        values = pool.map(lambda n: n or held.wait(PATIENCE), [1, 0, 0])
        assert next(outcomes).value == next(values) == 1

        def act():
            refused = [
                raises(lambda: pool.submit(int)),
                raises(lambda: list(pool.map(int, [1]))),
                raises(lambda: next(outcomes)),
                raises(lambda: next(values)),
            ]
            with pool:
                refused.append(raises(lambda: list(pool.outcomes(int, [1]))))
            pool.cancel()
            pool.shutdown(cancel_futures=True)
            return all(refused)

        assert in_fork(act) == 0
        held.set()
        assert running.result(PATIENCE) == ("parent",)
        assert [one.value for one in outcomes] == [True, True]
        assert list(values) == [True, True]


def test_fault_29_a_dispatcher_of_its_own_works(held):
    """With requests and all, while the parent's is at work."""
    with Simulator() as sim, Dispatcher(2) as pool:
        begun(pool, held)

        def ask(n):
            body = {"model": "m", "messages": [{"role": "user", "content": f"p{n}"}]}
            return requests.post(sim.base_url + "/chat/completions", json=body).status_code

        assert in_fork(lambda: threadllm.map(ask, range(20), max_workers=4) == [200] * 20) == 0
        held.set()


def test_a_fork_within_a_call_is_in_no_call():
    """Its requests go as outside a dispatcher, on connections of their own."""
    with Simulator() as sim, Dispatcher(1) as pool:

        def ask():
            body = {"model": "m", "messages": [{"role": "user", "content": "p"}]}
            return threadllm.session().post(sim.base_url + "/chat/completions", json=body)

        def call():
            ask()

            def act():
                genuine = "request" not in vars(requests.sessions.Session())
                return current.get() is None and ask().ok and genuine

            return in_fork(act), ask().status_code

        assert pool.submit(call).result(PATIENCE) == (0, 200)
        assert (pool.totals.requests, sim.counts().requests) == (2, 3)


def test_a_fork_is_ended_by_sigterm_at_once():
    """In a handler's place; one may never be come to, by a process that waits for a lock."""

    def call(_=None):
        return in_fork(lambda: signal.getsignal(signal.SIGTERM) is signal.SIG_DFL)

    with Dispatcher(1) as pool:
        assert pool.submit(call).result(PATIENCE) == 0
        assert list(pool.map(call, [0])) == [0]
        assert signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL


def test_so_is_one_that_is_made_while_handlers_are_set(monkeypatch):
    """By another thread, which may fork at any moment."""
    start, ends = threading.Thread.start, []

    def fork_before_start(thread):
        if thread.name == "threadllm-signals":
            ends.append(in_fork(lambda: signal.getsignal(signal.SIGTERM) is signal.SIG_DFL))
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", fork_before_start)
    with Dispatcher(1) as pool:
        assert list(pool.map(_double, [1])) == [2]
    assert ends
    assert {*ends} == {0}


def _double(n):
    return 2 * n


def test_processes_that_a_call_starts_work():
    """As a function that hands work to a pool of processes does."""
    with Dispatcher(1) as pool:

        def call():
            with multiprocessing.get_context("fork").Pool(1) as processes:
                return processes.map(_double, range(3))

        assert pool.submit(call).result(PATIENCE) == [0, 2, 4]


def test_a_fork_exits_at_once():
    """By the way of any Python process, its finalizers included."""
    out = python(
        """
import os, threading, threadllm, warnings
warnings.simplefilter("ignore", DeprecationWarning)  # of forks, from Python 3.12 on
held = threading.Event()
pool = threadllm.Dispatcher(2, progress=lambda **_: threadllm.testing and Bar(), deadline=60)
class Bar:
    n = total = 0
    def __getattr__(self, name):
        return lambda *args, **options: None
futures = [pool.submit(held.wait) for _ in range(2)]
child = os.fork()
if child:
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
    held.set()
    pool.shutdown()
"""
    )
    assert out == "0\n"


def test_a_fork_at_any_moment_is_well():
    """However busy the threads are that it does not have."""
    code = """
import os, sys, warnings
from threadllm import Dispatcher
warnings.simplefilter("ignore", DeprecationWarning)  # of forks, from Python 3.12 on
sys.setswitchinterval(1e-6)
with Dispatcher(4) as pool:
    for _ in range(20):
        futures = [pool.submit(str, n) for n in range(50)]
        child = os.fork()
        if not child:
            try:
                pool.submit(int)
            except RuntimeError:
                pool.shutdown()
                os._exit(7)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
        assert [future.result() for future in futures] == [str(n) for n in range(50)]
print("well")
"""
    assert python(code, env=plain_environment()) == "well\n"
