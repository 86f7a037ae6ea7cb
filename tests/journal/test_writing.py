"""How a journal is written: in groups, each of them whole on the disk, or not there."""

import random
import sqlite3
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.dispatcher.support import python
from tests.journal.conftest import PATIENCE, found, tell
from tests.support import until
from threadllm import Journal, JournalError
from threadllm.journal.store import Store


def test_a_group_is_written_at_a_time(opened, monkeypatch):
    """What comes while one is being written waits for the next, which one of them writes."""
    journal, groups = opened(), []
    writing, goes_on = threading.Event(), threading.Event()
    put = Store.put

    def slowly(store, rows):
        groups.append(len(rows))
        writing.set()
        assert goes_on.wait(PATIENCE)
        put(store, rows)

    monkeypatch.setattr(Store, "put", slowly)
    with ThreadPoolExecutor(10) as pool:
        first = pool.submit(tell, journal, 0, 0)
        assert writing.wait(PATIENCE)
        others = [pool.submit(tell, journal, number, number) for number in range(1, 10)]
        until(lambda: len(journal._next.rows) == 9)
        assert not any(one.done() for one in (first, *others))
        goes_on.set()

    assert [one.result() for one in (first, *others)] == [None] * 10
    assert groups == [1, 9]


def test_who_is_interrupted_while_it_writes_holds_nobody_up(opened, monkeypatch):
    """Such as by Ctrl-C: others whose rows it had are told, and the next group is written."""
    journal, put, groups = opened(), Store.put, []

    def interrupted(store, rows):
        groups.append(len(rows))
        if len(groups) == 1:
            until(lambda: len(journal._next.rows) == 2)
        if len(groups) == 2:
            raise KeyboardInterrupt
        put(store, rows)

    def told(key):
        try:
            return str(tell(journal, key, key))
        except KeyboardInterrupt:
            return "interrupted"

    monkeypatch.setattr(Store, "put", interrupted)
    with ThreadPoolExecutor(3) as pool:
        first = pool.submit(told, "first")
        until(lambda: groups)
        others = [*pool.map(told, ["second", "third"])]

    assert (first.result(), told("last"), groups) == ("None", "None", [1, 2, 1])
    assert sorted(others) == [
        "interrupted",
        f"journal {journal._path}: KeyboardInterrupt while it was written.",
    ]
    assert [found(journal, key) is None for key in ("first", "second", "third", "last")] == [
        False,
        True,
        True,
        False,
    ]


@pytest.mark.parametrize("error", [sqlite3.OperationalError("full"), KeyboardInterrupt()], ids=repr)
def test_what_is_broken_off_amid_a_group_is_taken_back(opened, error):
    """All of the group, or nothing of it; the next one begins anew."""

    class Rows(list):
        def __iter__(self):
            yield self[0]
            raise error

    store = opened()._store
    with pytest.raises(JournalError if isinstance(error, sqlite3.Error) else KeyboardInterrupt):
        store.put(Rows([("", '"k"', "", "ok", 0, "1", 0, None, 1, 0.0, 0, 0, 1, 0.0)]))

    assert not store._writing.in_transaction
    assert [*store._reading.execute("SELECT key FROM items")] == []
    store.put([])


def test_many_threads_lose_nothing(opened, path, eager_switching):
    """Each outcome is on the disk when its teller goes on."""
    journal = opened()

    def work(thread):
        for number in range(50):
            assert tell(journal, (thread, number), f"{number}") is None
            assert found(journal, (thread, number)).value == f"{number}"

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(8)))
    journal.close()

    with sqlite3.connect(path) as database:
        assert database.execute("SELECT count(*) FROM items").fetchone() == (400,)
    database.close()


def test_fault_23_a_disk_that_is_full_is_told_and_what_is_there_stays(tmp_path):
    """To all that wait for it, with path and reason; what was heard of before is kept."""
    out = python(
        f"""
import resource
from tests.journal.conftest import tell, found
from threadllm import Journal
journal = Journal({str(tmp_path / "run.db")!r}).open("job")
assert tell(journal, 0, "x" * 100) is None
resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))
errors = [tell(journal, n, "x" * 30_000) for n in range(1, 12)]
kept = [n for n, error in enumerate(errors, 1) if error is None]
print(str(next(error for error in errors if error)))
print(errors[-1] is not None, [n for n in range(12) if found(journal, n)] == [0, *kept])
journal.close()
journal = Journal({str(tmp_path / "run.db")!r}).open("job")
print([n for n in range(12) if found(journal, n)] == [0, *kept])
"""
    )
    problem, *rest = out.splitlines()
    assert problem.startswith(f"journal {tmp_path / 'run.db'}: ")
    assert problem.endswith("Free some space, then run again")
    assert rest == ["True True", "True"]


def test_the_value_of_an_item_is_never_lost_by_a_kill(tmp_path):
    """What was heard of before a kill -9 is there after it, whenever it strikes."""
    path = tmp_path / "run.db"
    code = """
import sys
from concurrent.futures import ThreadPoolExecutor
from tests.journal.conftest import tell
from threadllm import Journal
journal = Journal(sys.argv[1]).open("job")

def work(thread):
    for n in range(thread, 10**6, 8):
        assert tell(journal, n, "x" * 500) is None
        sys.stdout.write(f"{n}\\n")
        sys.stdout.flush()

list(ThreadPoolExecutor(8).map(work, range(8)))
"""
    dice = random.Random(7)
    for _ in range(5):
        path.unlink(missing_ok=True)
        process = subprocess.Popen(
            [sys.executable, "-c", code, str(path)], stdout=subprocess.PIPE, text=True
        )
        heard = [process.stdout.readline() for _ in range(dice.randrange(1, 300))]
        process.kill()
        heard += process.communicate()[0].splitlines(keepends=True)
        journal = Journal(path).open("job")
        told = [int(line) for line in "".join(heard).split("\n")[:-1] if line]
        lost = [number for number in told if found(journal, number) is None]
        journal.close()
        assert (lost, bool(told)) == ([], True)


def test_once_broken_it_stays_so(opened, monkeypatch):
    """Nothing is written after what could not be: it would look as if all were there."""
    journal, put = opened(), Store.put

    def full(store, rows):
        monkeypatch.setattr(Store, "put", put)
        raise JournalError(store.path, "database or disk is full")

    monkeypatch.setattr(Store, "put", full)
    errors = [tell(journal, n, n) for n in range(2)]

    assert [str(error).partition(": ")[2] for error in errors] == ["database or disk is full."] * 2
    assert found(journal, 1) is None


def test_a_write_that_fails_is_taken_back(opened):
    """The file is as before, and the error says what to do."""
    journal = opened()
    journal._store._writing.execute(
        "CREATE TRIGGER refuses BEFORE INSERT ON items BEGIN SELECT RAISE(ABORT, 'no'); END"
    )
    error = tell(journal, "k", "v")

    assert "Free some space, then run again" in str(error)
    assert not journal._store._writing.in_transaction
