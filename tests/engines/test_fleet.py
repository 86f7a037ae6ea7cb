"""What a fleet makes of what its workers say, and of what happens to them."""

import json
import logging
import sys
import threading
from types import SimpleNamespace

import pytest

import threadllm
from tests.dispatcher.support import PATIENCE
from tests.dispatcher.test_forks import in_fork, raises
from tests.engines import jobs
from tests.engines.local import Local, LocalLink
from threadllm import Dispatcher, OptionError, Quota, WorkerLost
from threadllm.cli import main
from threadllm.engines.lending import Lender
from threadllm.engines.travel import pack
from threadllm.engines.wire import Envelope, Order, Parcel, Report, Stop
from threadllm.engines.worker import Spec, Worker, named
from threadllm.quota import Pause, Units

NOTHING = {}


def spec(threads=2):
    return Spec(None, threads, pack({}), {"": Quota(threads).settings})


def test_what_was_stopped_there_alone_is_run_again():
    """Another item may have stopped it, of which nobody here has heard."""

    class Stopping(LocalLink):
        done = 0

        def exchange(self, order):
            report = super().exchange(order)
            if report.envelopes and not Stopping.done:
                Stopping.done = 1
                undone = [Envelope(one.number, None, None, undone=True) for one in report.envelopes]
                return report._replace(envelopes=undone)
            return report

    with Dispatcher(2, engine=Local(Stopping)) as pool:
        assert list(pool.map(jobs.double, range(10))) == [2 * n for n in range(10)]
    assert Stopping.done


def test_what_a_dead_worker_had_going_is_counted_no_more():
    """What it had done is."""

    class Dying(LocalLink):
        times = 0

        def exchange(self, order):
            Dying.times += 1
            if Dying.times == 1:
                return Report([], {"parked": 2, "requests": 3})
            if Dying.times == 2:
                self.close()
                raise WorkerLost("gone")
            return super().exchange(order)

    with Dispatcher(2, engine=Local(Dying)) as pool:
        assert list(pool.map(jobs.double, range(4))) == [0, 2, 4, 6]
        assert (pool.totals.parked, pool.totals.requests, pool.totals.ok) == (0, 3, 4)


def test_a_callback_that_ends_the_thread_does_not(caplog):
    """As in a ThreadPoolExecutor: it is logged, and the work goes on."""
    caplog.set_level(logging.CRITICAL, "concurrent.futures")
    with Dispatcher(1, engine=Local()) as pool:
        future = pool.submit(jobs.after, 0.3)
        future.add_done_callback(_raise_exit)
        assert pool.submit(jobs.double, 2).result(PATIENCE) == 4
    assert "Exception in worker" in caplog.text


def _raise_exit(_):
    raise SystemExit


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_workers_are_those_of_the_process_that_hired_them():
    """A fork is told so, and ends without them."""
    with Dispatcher(1, engine=Local()) as pool:
        assert pool.submit(jobs.double, 1).result(PATIENCE) == 2

        def act():
            refused = raises(lambda: pool.submit(int))
            pool._staff.workers.close()
            pool.shutdown()
            return refused

        assert in_fork(act) == 0


def test_nobody_need_wait_for_the_end():
    """As with shutdown(wait=False)."""
    pool = Dispatcher(1, engine=Local())
    future = pool.submit(jobs.double, 1)
    pool.shutdown(wait=False)
    assert future.result(PATIENCE) == 2
    pool.shutdown()


def test_functions_are_forgotten_in_time():
    """However many are given one by one, the latest are known."""
    with Dispatcher(1, engine=Local()) as pool:
        futures = [pool.submit(lambda n=n: n) for n in range(300)]
        assert [future.result(PATIENCE) for future in futures] == [*range(300)]


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (
            {"engine": "clouds"},
            "engine='clouds': choose 'processes' or 'ray', or leave it out for threads",
        ),
        ({"engine": "processes", "workers": 0}, "workers=0: give a whole number of processes"),
        ({"workers": 2}, "workers=2: it goes with the name of an engine, or an executor"),
        ({"engine": 5}, "engine=5: give a name, threadllm.connect(...) or an executor"),
        ({"engine": Dispatcher(1)}, "engine=Dispatcher(...): it runs threads here"),
    ],
)
def test_options_that_cannot_be_meant_are_refused(options, says):
    """Before anything starts."""
    with pytest.raises(OptionError) as caught:
        Dispatcher(**options)
    assert says in str(caught.value)


def test_as_many_threads_as_one_process_may_have_for_each():
    """A hundred machines have more than one."""
    with Dispatcher(40_000, engine=Local(workers=4)) as pool:
        assert pool.submit(jobs.double, 1).result(PATIENCE) == 2
    assert threadllm.map(jobs.double, [1], max_workers=40_000, engine=Local(workers=4)) == [2]
    with pytest.raises(OptionError, match="max_workers=20000: more than 10000 threads of one"):
        Dispatcher(40_000, engine=Local(workers=2))


def test_there_are_no_other_engines():
    """To connect to."""
    with pytest.raises(OptionError, match="engine='clouds'"):
        threadllm.connect("clouds")


def test_a_worker_says_what_does_not_load_there():
    """And what it was not told to run, it does not stop."""
    worker = Worker(spec())
    parcel = Parcel(7, 0, 0, b"", None)
    report = worker.exchange(Order([parcel], {0: b"junk"}, [Stop(3, None)], 0.0))
    if not report.envelopes:
        report = worker.exchange(Order([], NOTHING, [], 1.0))
    [envelope] = report.envelopes
    assert envelope.number == 7
    assert "Unpickling" in envelope.failure.name or envelope.failure.message
    worker.close()


@pytest.mark.parametrize("name", ["nowhere:f", "tests.engines.jobs:nothing", ":"])
def test_an_init_that_is_not_there_is_told(name):
    """With how to write it."""
    with pytest.raises(OptionError, match="as module:function"):
        named(name)


def test_a_fleet_knows_its_process(monkeypatch):
    """As a fork sees it, which counts no lines."""
    with Dispatcher(1, engine=Local()) as pool:
        fleet = pool._staff.workers
        monkeypatch.setattr(fleet, "_process", 0)
        with pytest.raises(RuntimeError, match="are in process 0"):
            fleet.check_process()
        fleet.close()
        monkeypatch.undo()
        assert pool.submit(jobs.double, 1).result(PATIENCE) == 2


def test_from_a_shell(tmp_path, capfd):
    """A function of a file, which is found there, too."""
    (tmp_path / "shouting.py").write_text("def shout(text):\n    return text.upper()\n")
    (tmp_path / "in.txt").write_text("a\nb\nc\n")
    out = tmp_path / "out.jsonl"
    words = [f"{tmp_path}/shouting.py:shout", tmp_path / "in.txt", "-o", out, "--no-progress"]
    assert main(["call", *map(str, words), "--engine", "processes", "--workers", "2"]) == 0
    lines = [json.loads(line) for line in out.read_text().splitlines()]
    assert {line["value"] for line in lines} == {"A", "B", "C"}
    assert "3 ok" in capfd.readouterr().err


def test_what_need_not_be_sent_is_not():
    """An item that cannot go, and one that was cancelled while it waited."""
    go_on = threading.Event()

    class Waiting(LocalLink):
        def exchange(self, order):
            if order.parcels:
                go_on.wait(PATIENCE)
            return super().exchange(order)

    with Dispatcher(1, engine=Local(Waiting)) as pool:
        with pytest.raises(TypeError, match="the item cannot be sent"):
            pool.submit(jobs.double, threading.Lock()).result(PATIENCE)
        futures = [pool.submit(jobs.double, n) for n in range(9)]
        assert futures[-1].cancel()
        go_on.set()
        assert [future.result(PATIENCE) for future in futures[:-1]] == [2 * n for n in range(8)]
    assert pool.totals.done == 9


def test_one_that_is_cancelled_as_it_is_handed_on_goes_nowhere():
    """Between the question whether it is wanted, and its beginning."""
    told = []
    run = SimpleNamespace(take_up=lambda _: True)
    task = SimpleNamespace(
        unwanted=False,
        submission=SimpleNamespace(run=run),
        start=lambda: False,
        put_down=lambda: told.append("put down"),
        claim=lambda: True,
        watch=None,
    )
    with Dispatcher(1) as pool:
        assert not pool._staff._crew.hand_on(task)
    assert told == ["put down"]


def test_a_pause_is_passed_on_to_those_who_have_something_to_do():
    """Once each; units that cannot be had yet are asked for again."""
    nudged = []

    def hand(name, **holds):
        return SimpleNamespace(
            in_flight=holds, pauses=[], wanted={}, shares={}, nudge=lambda: nudged.append(name)
        )

    idle, busy, teller = hand("idle"), hand("busy", a=1), hand("teller", a=1)
    quota = Quota(2, requests_per_minute=60, burst=1)
    lender = Lender({"": quota}, 3, threading.RLock(), [idle, busy, teller])
    asked = Units("http://a.example", 0, 1.0)
    pauses = {"": [Pause("http://a.example", "m", 9.0)]}
    lender.take_in(teller, Report([], NOTHING, {"": [asked]}, NOTHING, pauses))
    assert (idle.pauses, busy.pauses, teller.pauses, nudged) == ([], [pauses], [], ["busy"])
    assert quota.snapshot().lines[0].paused > 8
    assert lender.lend_to(teller, 1.0) == ({"": [asked]}, 1.0)
    teller.wanted = {"": [asked]}
    lent, wait = lender.lend_to(teller, 9.0)
    assert lent == {}
    assert 0.5 < wait < 1.1
    lender.take_in(teller, Report([], NOTHING, NOTHING, {"": [asked]}))
    assert nudged == ["busy"]


def test_what_ray_needs_is_told(monkeypatch):
    """It is an extra's."""
    monkeypatch.setitem(sys.modules, "ray", None)
    monkeypatch.delitem(sys.modules, "threadllm.engines.actors", raising=False)
    with pytest.raises(OptionError, match="Install threadllm's extra 'ray'"):
        threadllm.map(jobs.double, [1], engine="ray")
    with pytest.raises(OptionError, match="it goes with engine='ray'"):
        threadllm.connect("processes", address="auto")


@pytest.mark.parametrize("init", ["nowhere", ":f", "django:", jobs.double, ""])
def test_what_is_called_first_goes_by_its_name(init):
    """As module:function; whether it is there, each worker finds."""
    with pytest.raises(OptionError, match=r"init=.*: name a function, as module:function"):
        threadllm.connect("processes", init=init)
