"""Runs with a journal: nothing is bought twice, and nothing is handed over before it is kept."""

import functools
import itertools
import sqlite3
import threading
from contextlib import closing

import pytest

import threadllm
from tests.dispatcher.support import PATIENCE, BusyError
from threadllm import Dispatcher, EarlierFailure, Journal, JournalError, OptionError, RunStopped
from threadllm.journal.opened import OpenJournal
from threadllm.journal.store import Store


@pytest.fixture
def path(tmp_path):
    return str(tmp_path / "run.db")


class Buying:
    """A function that counts what it is asked for, and fails for some items."""

    def __init__(self, failing=()):
        self.bought = []
        self.failing = dict(failing)

    def __call__(self, item):
        self.bought.append(item)
        if item in self.failing:
            raise self.failing[item]
        return f"value of {item}"


def outcomes(path, fn, items, workers=2, **options):
    with Dispatcher(workers, retry=threadllm.Retry(attempts=1)) as pool:
        return sorted(pool.outcomes(fn, items, journal=path, **options), key=lambda one: one.index)


def kept_in(path):
    """How many items a journal has."""
    with closing(sqlite3.connect(path)) as database:
        return database.execute("SELECT count(*) FROM items").fetchone()[0]


@pytest.mark.parametrize("ordered", [True, False])
def test_what_was_bought_is_not_bought_again(path, ordered):
    """It is handed over as it was; what failed is tried again, unless it failed for good."""
    errors = {2: BusyError(503), 3: BusyError(400)}
    first, second = Buying(errors), Buying()
    outcomes(path, first, range(5), ordered=ordered)
    again = outcomes(path, second, range(6), ordered=ordered)

    assert sorted(first.bought) == [0, 1, 2, 3, 4]
    assert sorted(second.bought) == [2, 5]
    assert [one.from_journal for one in again] == [True, True, False, True, True, False]
    assert [one.value for one in again if one.index != 3] == [
        f"value of {n}" for n in (0, 1, 2, 4, 5)
    ]
    assert isinstance(again[3].error, EarlierFailure)
    assert again[3].error.status == 400


def test_map_remembers_too(path):
    """Its values come in order, and a failure that is remembered is raised."""
    first, second = Buying(), Buying({7: BusyError(400)})
    assert threadllm.map(first, range(5), journal=path) == [f"value of {n}" for n in range(5)]
    with pytest.raises(BusyError):
        threadllm.map(second, [0, 1, 7], journal=path)
    with pytest.raises(EarlierFailure):
        threadllm.map(second, [0, 1, 7], journal=path)

    assert second.bought == [7]


def test_the_same_item_twice_is_bought_once(path, held):
    """While it is in hand, and later; it is handed out as often as it is asked for."""
    buying = Buying({"bad": ValueError("no")})

    def call(item):
        held.wait(PATIENCE)
        return buying(item)

    def items():
        yield from ["a", "a", "bad", "bad"]
        held.set()
        yield from ["b", "c", "d", "a", "bad"]

    with Dispatcher(2) as pool:
        seen = sorted(
            pool.outcomes(call, items(), journal=path, buffersize=5), key=lambda one: one.index
        )
        totals = pool.totals

    assert sorted(buying.bought) == ["a", "b", "bad", "c", "d"]
    assert [one.value for one in seen if one.item == "a"] == ["value of a"] * 3
    assert [one.index for one in seen if one.item == "bad" and one.error] == [2, 3, 8]
    assert (totals.ok, totals.failed, totals.remembered) == (6, 3, 4)


def test_the_users_keys_name_items(path):
    """Whatever they hold; outcomes show the key."""
    buying = Buying()
    outcomes(path, buying, ["a1"], key=lambda item: item[0])
    [again] = outcomes(path, buying, ["a2"], key=lambda item: item[0])

    assert (buying.bought, again.key, again.item, again.value) == (["a1"], "a", "a2", "value of a1")


def test_an_item_without_a_name_ends_the_feeding(path):
    """What came before it is handed over, then the error says what to do."""
    seen = []
    with Dispatcher(1) as pool, pytest.raises(OptionError, match="Give key="):
        seen.extend(pool.outcomes(str, ["a", object(), "b"], journal=path))

    assert [one.value for one in seen] == ["a"]
    Journal(path).open("builtins:str").close()


def test_nothing_is_handed_over_before_it_is_on_the_disk(path, held, monkeypatch):
    """It has ended, and is waited for."""
    put = Store.put
    monkeypatch.setattr(Store, "put", lambda *args: held.wait(PATIENCE) and put(*args))
    seen, read = [], threading.Event()

    def run():
        with Dispatcher(1) as pool:
            for outcome in pool.outcomes(str, range(2), journal=path):
                seen.append(outcome.item)
                read.set()

    thread = threading.Thread(target=run)
    thread.start()
    assert not read.wait(0.1)
    held.set()
    thread.join()
    assert sorted(seen) == [0, 1]


def test_a_journal_that_cannot_be_written_stops_the_run(path, monkeypatch):
    """What it has is handed over, what it has not is not; the error names path and reason."""
    put, rows = Store.put, []

    def full(store, group):
        rows.extend(group)
        if len(rows) > 3:
            raise JournalError(store.path, "database or disk is full", "Free some space")
        put(store, group)

    monkeypatch.setattr(Store, "put", full)
    seen = []
    with Dispatcher(1) as pool, pytest.raises(JournalError) as problem:
        seen.extend(pool.outcomes(Buying(), itertools.count(), journal=path))
    assert str(problem.value).startswith(f"journal {path}: database or disk is full")
    monkeypatch.undo()
    assert len(seen) == kept_in(path)


def test_a_second_that_cannot_be_written_is_none_the_worse(path, monkeypatch):
    """Both were in flight: the run is stopped once, and neither is handed over."""
    both, closes = threading.Barrier(2), []
    close = Store.close

    def broken(store, group):
        raise JournalError(store.path, f"{len(group)} came", "Try another")

    monkeypatch.setattr(Store, "put", broken)
    monkeypatch.setattr(Store, "close", lambda store: closes.append(1) or close(store))
    seen = []
    with Dispatcher(2) as pool, pytest.raises(JournalError, match="came"):
        seen.extend(pool.outcomes(lambda _: both.wait(PATIENCE), range(2), journal=path))

    assert (seen, closes, both.n_waiting) == ([], [1], 0)


def test_what_is_in_flight_when_the_reader_leaves_is_kept(path, held):
    """It was paid for; the journal is closed once it has it."""
    here = threading.Event()

    def call(item):
        if item == 0:
            assert here.wait(PATIENCE)
            return "first"
        here.set()
        held.wait(PATIENCE)
        return "second"

    with Dispatcher(2) as pool:
        reading = pool.outcomes(call, range(3), journal=path, buffersize=2)
        next(reading)
        reading.close()
        with pytest.raises(OptionError, match="whose calls have not all ended"):
            pool.outcomes(call, range(3), journal=path)
        held.set()

    with Dispatcher(2) as pool:
        seen = list(pool.outcomes(call, range(2), journal=path, ordered=True))
    assert [one.from_journal for one in seen] == [True, True]


def test_a_cancelled_run_keeps_what_it_finished(path, held):
    """What was undone is not in the journal, nor is what was cancelled."""
    buying = Buying()

    def call(item):
        if item > 1:
            held.wait(PATIENCE)
        return buying(item)

    seen = []
    with Dispatcher(2) as pool:
        reading = pool.outcomes(call, range(99), journal=path)
        seen += [next(reading), next(reading)]
        pool.cancel(grace=0)
        with pytest.raises(RunStopped):
            seen.extend(reading)
        held.set()

    assert {one.value for one in seen} == {"value of 0", "value of 1"}
    assert kept_in(path) == 2


def test_a_run_that_nobody_begins_to_read_lets_go(path):
    """The journal is free again when the iterator is."""
    with Dispatcher(1) as pool:
        pool.outcomes(str, range(3), journal=path)
        Journal(path).open("builtins:str").close()
        pool.map(str, range(99), journal=path)
    assert pool.totals.ok == 99
    Journal(path).open("builtins:str").close()
    with pytest.raises(LookupError), Dispatcher(1) as pool:
        values = pool.map(str, range(9999), journal=path)
        raise LookupError
    del values
    Journal(path).open("builtins:str").close()


def test_a_journal_is_refused_at_once(path):
    """Before anything is pulled."""
    with Dispatcher(1) as pool:
        list(pool.outcomes(str, [], journal=path))
        for run in (pool.outcomes, pool.map):
            with pytest.raises(OptionError, match="it is of builtins:str, not of builtins:repr"):
                run(repr, iter(int, 1), journal=path)


def test_whatever_the_journal_raises_nobody_waits_for_ever(path, monkeypatch, caplog):
    """The item is as good as not done, and the rest goes on."""
    record = OpenJournal.record

    def broken(journal, ended):
        ended = [*ended]
        if any(outcome.item == 1 for _, outcome, _ in ended):
            raise MemoryError
        record(journal, ended)

    monkeypatch.setattr(OpenJournal, "record", broken)
    seen = outcomes(path, Buying(), range(3))

    assert [one.item for one in seen] == [0, 2]
    assert "MemoryError" in caplog.text
    assert [one.from_journal for one in outcomes(path, Buying(), [0, 2])] == [True, True]


def test_what_a_partial_binds_tells_items_apart(path):
    """The answers of one model are not those of another; a journal has both."""

    def ask(model, prompt):
        return f"{prompt} {model}"

    def answers(model):
        return [
            (one.value, one.from_journal)
            for one in outcomes(path, functools.partial(ask, model), "a")
        ]

    assert answers("one") == [("a one", False)]
    assert answers("other") == [("a other", False)]
    assert answers("one") == [("a one", True)]


def test_a_map_that_is_read_on_after_an_error_is_told(path):
    """Its journal is another's by then."""

    def body():
        with Dispatcher(1) as pool:
            values.append(pool.map(str, itertools.count(), journal=path))
            next(values[0])
            raise LookupError

    values = []
    with pytest.raises(LookupError):
        body()
    Journal(path).open("builtins:str").close()
    with pytest.raises(RuntimeError, match="after shutdown"):
        list(values[0])


def test_what_was_asked_for_twice_and_not_finished_has_no_outcome(path, held):
    """Neither the first nor the second time, and is counted neither time."""
    here = threading.Event()

    def call(item):
        here.set()
        held.wait(PATIENCE)

    def items():
        yield from ("a", "a")
        assert here.wait(PATIENCE)
        pool.cancel(grace=0)

    seen = []
    with Dispatcher(1) as pool:
        with pytest.raises(RunStopped):
            seen.extend(pool.outcomes(call, items(), journal=path, buffersize=3))
        held.set()

    assert (seen, pool.totals.done) == ([], 0)
