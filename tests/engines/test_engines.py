"""The same code over processes, or over Ray: nothing else is changed."""

import os
import threading
import time
from concurrent.futures import as_completed

import pytest

import threadllm
from tests.dispatcher.support import PATIENCE, python
from tests.engines import jobs
from tests.engines.conftest import places_of
from tests.engines.local import Local, LocalLink
from threadllm import Dispatcher
from threadllm.engines.wire import Order
from threadllm.journal.opened import OpenJournal
from threadllm.journal.store import Store
from threadllm.simulator import Simulator


def test_a_list_comes_in_input_order_from_several_processes(there):
    """In none of which is this one."""
    assert threadllm.map(jobs.double, range(200), max_workers=8, **there) == [
        2 * n for n in range(200)
    ]
    with Dispatcher(4, **there) as pool:
        places = places_of(pool, 2)
    assert len(places) == 2
    assert os.getpid() not in places


def test_outcomes_come_with_what_they_took(there):
    """As they finish, or in input order; each with its requests and its tokens."""
    with Simulator() as sim, Dispatcher(4, **there) as pool:
        outcomes = list(pool.outcomes(jobs.ask, [sim.base_url] * 10, key=lambda _: "k"))
        assert {outcome.index for outcome in outcomes} == {*range(10)}
        assert all(outcome.ok and outcome.key == "k" for outcome in outcomes)
        assert all(len(outcome.requests) == 1 for outcome in outcomes)
        assert all(outcome.usage.total_tokens > 0 for outcome in outcomes)
        assert all(outcome.elapsed > 0 for outcome in outcomes)
        assert [one.index for one in pool.outcomes(jobs.fail, range(9), ordered=True)] == [
            *range(9)
        ]
        assert (pool.totals.ok, pool.totals.failed, pool.totals.requests) == (16, 3, 10)
        assert pool.totals.busy > 0
        assert sim.counts().requests == 10


def test_futures_are_those_of_an_executor(there):
    """By submit, with names and without; a failure is the function's own error."""
    with Dispatcher(4, **there) as pool:
        futures = {pool.submit(jobs.fail, n): n for n in range(1, 10)}
        for future in as_completed(futures):
            n = futures[future]
            if n % 3:
                assert future.result() == n
            else:
                with pytest.raises(ValueError, match=f"^{n} is no good$"):
                    future.result()
        assert pool.submit(jobs.double, n=21).result() == 42
    with pytest.raises(RuntimeError, match="after shutdown"):
        pool.submit(jobs.double, 1)


@pytest.mark.parametrize("unpack", ["args", "kwargs"])
def test_items_are_unpacked(there, unpack):
    """There, as they would be here."""
    items = [(n,) if unpack == "args" else {"n": n} for n in range(5)]
    assert threadllm.map(jobs.double, items, unpack=unpack, **there) == [0, 2, 4, 6, 8]


def test_an_endless_input_is_read_no_further_than_the_window(there):
    """As with threads."""
    pulled = 0

    def numbers():
        nonlocal pulled
        while True:
            pulled += 1
            yield pulled

    with Dispatcher(4, **there) as pool:
        outcomes = pool.outcomes(jobs.double, numbers(), buffersize=10)
        assert [next(outcomes).ok for _ in range(50)] == [True] * 50
        outcomes.close()
    assert pulled <= 60


def test_a_journal_remembers(there, tmp_path):
    """What one run has bought the next does not buy, by threads or by processes."""
    path = tmp_path / "run.db"
    with Dispatcher(4, **there) as pool:
        first = list(pool.outcomes(jobs.double, range(20), journal=path))
        again = list(pool.outcomes(jobs.double, range(20), journal=path))
    assert not any(outcome.from_journal for outcome in first)
    assert all(outcome.from_journal for outcome in again)
    assert threadllm.map(jobs.double, range(20), journal=path) == [2 * n for n in range(20)]


def test_what_a_worker_answers_at_once_is_written_at_once(tmp_path, monkeypatch):
    """A journal writes it in one go: a disk may be slow."""
    put, written, answered = Store.put, [], []

    def noted(store, rows):
        written.append(len(rows))
        put(store, rows)

    class AllAtOnce(LocalLink):
        def exchange(self, order):
            reports = [super().exchange(order)]
            while sum(len(report.envelopes) for report in reports) < len(order.parcels):
                reports.append(super().exchange(Order([], {}, [], 1.0)))
            envelopes = [one for report in reports for one in report.envelopes]
            answered.append(len(envelopes))
            return reports[-1]._replace(envelopes=envelopes)

    monkeypatch.setattr(Store, "put", noted)
    with Dispatcher(16, engine=Local(AllAtOnce)) as pool:
        outcomes = pool.outcomes(jobs.double, range(64), journal=tmp_path / "run.db")
        assert sum(one.ok for one in outcomes) == 64
    assert sum(written) == 64
    assert written == [number for number in answered if number]


def test_whatever_the_journal_raises_the_workers_go_on(tmp_path, monkeypatch, caplog):
    """What could not be written is as good as not done; nobody waits for ever."""
    record, raised = OpenJournal.record, []

    def broken(journal, ended):
        if not raised:
            raised.append(MemoryError())
            raise raised[0]
        record(journal, ended)

    monkeypatch.setattr(OpenJournal, "record", broken)
    with Dispatcher(1, engine=Local()) as pool:
        seen = [
            one.index for one in pool.outcomes(jobs.double, range(8), journal=tmp_path / "r.db")
        ]
        assert pool.submit(jobs.double, 1).result(PATIENCE) == 2
    assert {*seen} < {*range(8)}
    assert "MemoryError" in caplog.text


def test_a_deadline_ends_a_call(there):
    """A total one, over there."""
    began = time.monotonic()
    with Dispatcher(2, deadline=0.3, **there) as pool:
        [outcome] = pool.outcomes(jobs.after, [5])
        with threadllm.deadline(0.2):
            future = pool.submit(jobs.after, 5)
        assert isinstance(future.exception(), threadllm.DeadlineExceeded)
    assert isinstance(outcome.error, threadllm.DeadlineExceeded)
    assert pool.totals.abandoned == 2
    assert time.monotonic() - began < 5


def test_a_provider_that_refuses_for_good_stops_the_run(there):
    """In all workers; its error says what to do."""
    with Simulator(api_keys=["sk-planted-other"]) as sim, Dispatcher(4, **there) as pool:
        with pytest.raises(threadllm.RunStopped) as caught:
            list(pool.outcomes(jobs.ask, [sim.base_url] * 500))
        assert sim.counts().requests < 50
    assert "401" in str(caught.value)
    assert caught.value.advice
    assert caught.value.__cause__.status == 401


def test_too_many_failures_stop_the_run(there):
    """The driver counts them."""
    with Dispatcher(4, **there) as pool:
        outcomes = []
        with pytest.raises(threadllm.TooManyFailures):
            outcomes.extend(pool.outcomes(jobs.fail, range(10_000), max_failures=3))
    assert pool.totals.done < 2_000


def test_a_run_is_cancelled(there):
    """What is in flight has its time of grace; what waits is not begun."""
    with Dispatcher(4, grace=0.3, **there) as pool:
        futures = [pool.submit(jobs.after, 30) for _ in range(20)]
        while not any(future.running() for future in futures):
            time.sleep(0.01)
        time.sleep(0.5)
        began = time.monotonic()
        threading.Timer(0.1, pool.cancel).start()
        ended = [future.exception() if not future.cancelled() else None for future in futures]
    assert time.monotonic() - began < 5
    assert any(isinstance(error, threadllm.RunStopped) for error in ended)
    assert all(future.done() for future in futures)


def test_what_a_program_forgets_does_not_hold_it_up():
    """A dispatcher that is not shut down."""
    code = (
        "from tests.engines import jobs; import threadllm\n"
        "pool = threadllm.Dispatcher(2, engine='processes', workers=1)\n"
        "print(pool.submit(jobs.double, 21).result(), flush=True)\n"
    )
    assert python(code) == "42\n"


def test_prints_go_where_they_would():
    """To stdout, and not into what is said between processes."""
    code = (
        "import threadllm\n"
        "threadllm.map(print, ['one', 'two'], engine='processes', workers=1, max_workers=1)\n"
    )
    assert python(code) == "one\ntwo\n"


def test_a_dispatcher_within_a_worker_is_of_threads(there):
    """Whatever its function does, it does there."""
    assert threadllm.map(jobs.nested, [3, 2], **there) == [[0, 2, 4], [0, 2]]


def test_inline_runs_here(there):
    """For tests of one's own."""
    with threadllm.testing.inline():
        assert threadllm.map(jobs.where, [1], **there) == [os.getpid()]
