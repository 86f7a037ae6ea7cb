"""A journal in use: what is told is there once it has been heard of, and is found in other runs."""

import logging
import os
import random
import sqlite3
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import requests

from tests.dispatcher.support import python, until
from tests.journal.conftest import JOB, PATIENCE, found, tell
from threadllm import EarlierFailure, Journal, JournalError, OptionError
from threadllm.journal.store import Store


def test_what_is_told_is_found_in_this_run_and_the_next(opened):
    """With all but its requests."""
    journal = opened()
    assert tell(journal, "k", {"a": (1, 2)}) is None
    again = found(journal, "k")
    journal.close()
    later = found(opened(), "k")

    for one in (again, later):
        assert (one.value, one.error, one.attempts, one.elapsed) == ({"a": (1, 2)}, None, 2, 1.5)
        assert (one.index, one.key, one.item, one.requests) == (7, "k", "item", ())
        assert (one.usage.input_tokens, one.usage.output_tokens) == (3, 4)
        assert one.from_journal


@pytest.mark.parametrize(
    ("retry_failed", "passing", "final"), [(None, 0, 1), (True, 0, 0), (False, 1, 1)]
)
def test_items_that_failed_are_run_again_as_is_said(opened, retry_failed, passing, final):
    """In the same run none is."""
    first = opened()
    tell(first, "passing", error=TimeoutError("late"))
    tell(first, "final", error=ValueError("bad"), permanent=True)
    assert (found(first, "passing") is None, found(first, "final") is None) == (False, False)
    first.close()
    later = opened(retry_failed=retry_failed)

    assert (found(later, "passing") is not None, found(later, "final") is not None) == (
        bool(passing),
        bool(final),
    )


def test_an_error_comes_back_without_what_it_held(opened):
    """Its type's name, its text without keys, and what the provider said."""
    response = requests.Response()
    response.status_code = 400
    response.headers["x-request-id"] = "req-1"
    response._content = b'{"error": {"message": "no, sk-planted-0123456789abcdef"}}'
    error = requests.HTTPError("400 for ?key=sk-planted-0123456789", response=response)
    journal = opened()
    tell(journal, "k", error=error, permanent=True)
    came = found(journal, "k").error

    assert isinstance(came, EarlierFailure)
    assert (came.kind, came.status, came.request_id) == (
        "requests.exceptions.HTTPError",
        400,
        "req-1",
    )
    assert str(came) == "requests.exceptions.HTTPError: 400 for ?key=[redacted]"
    assert came.body == {"error": {"message": "no, [redacted]"}}


def test_an_error_whose_attributes_raise_is_kept(opened):
    """By what it says."""

    class OddError(Exception):
        @property
        def response(self):
            raise LookupError

    journal = opened()
    tell(journal, "k", error=OddError("odd"))
    assert (found(journal, "k").error.message, found(journal, "k").error.status) == ("odd", None)


def test_what_another_version_bought_is_bought_again(opened):
    """And stays, for those who go back."""
    first = opened(version="1")
    tell(first, "k", "one")
    first.close()
    second = opened(version="2")
    assert found(second, "k") is None
    tell(second, "k", "two")
    second.close()

    assert found(opened(version="1"), "k").value == "one"


def test_a_value_that_json_cannot_hold_is_told_and_not_kept(opened, caplog):
    """Its row says why, and it is run again."""
    journal = opened()
    with caplog.at_level(logging.WARNING, "threadllm.journal"):
        assert tell(journal, "k", print) is None

    assert found(journal, "k") is None
    [message] = caplog.messages
    assert 'the value of "k" cannot be kept, and its item will be run again' in message


def test_values_of_the_users_own_go_through_theirs(opened, path):
    """There and back; without the way back the error says what is missing."""
    first = opened(
        encode=lambda value: [value.real, value.imag], decode=lambda pair: complex(*pair)
    )
    tell(first, "k", 1 + 2j)
    assert found(first, "k").value == 1 + 2j
    first.close()

    later = opened()
    tell(later, "plain", "text")
    with pytest.raises(JournalError) as problem:
        found(later, "k")
    assert str(problem.value) == (
        f'journal {path}: the value of "k" cannot be had: it was made by encode=: give decode= too.'
    )
    later.close()
    with_decode = opened(encode=str, decode=lambda value: pytest.fail("not made by encode"))
    assert found(with_decode, "plain").value == "text"


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
    """Such as by Ctrl-C; the next group is written."""
    journal, put = opened(), Store.put

    def interrupted(store, rows):
        monkeypatch.setattr(Store, "put", put)
        raise KeyboardInterrupt

    monkeypatch.setattr(Store, "put", interrupted)
    with pytest.raises(KeyboardInterrupt):
        tell(journal, 1, "one")
    assert tell(journal, 2, "two") is None
    assert found(journal, 2).value == "two"


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


def test_fault_25_another_process_is_told_who_holds_it(opened, path):
    """Until that ends; and another run of this process, too."""
    journal = opened()
    with pytest.raises(OptionError) as here:
        opened()
    code = f"from threadllm import Journal; Journal({path!r}).open('x')"
    elsewhere = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    journal.close()

    assert f"another run of this process ({os.getpid()})" in str(here.value)
    assert f"it is in use by process {os.getpid()}. Let that end first" in elsewhere.stderr
    opened()


def test_who_holds_it_may_be_unknown(opened, path):
    """Where that cannot be read."""
    lock = sqlite3.connect(f"{path}-lock", isolation_level=None)
    lock.execute("BEGIN EXCLUSIVE")
    with pytest.raises(OptionError, match=r"in use by another process$"):
        opened()
    lock.close()


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_fork_neither_holds_nor_lets_go(opened):
    """Its parent goes on as before; when that has let go, the fork keeps nobody out."""
    journal = opened()
    ready, goes_on = os.pipe(), os.pipe()
    child = os.fork()
    if not child:
        journal.close()
        os.write(ready[1], b"x")
        os.read(goes_on[0], 1)
        os._exit(0)
    os.read(ready[0], 1)
    assert tell(journal, "k", "v") is None
    with pytest.raises(OptionError, match="another run of this process"):
        opened()
    journal.close()
    assert found(opened(), "k").value == "v"
    os.write(goes_on[1], b"x")
    assert os.waitpid(child, 0)[1] == 0
    for end in (*ready, *goes_on):
        os.close(end)


def test_a_file_that_cannot_be_read_on_is_told(opened, path):
    """In words that name it."""
    journal = opened()
    journal._store._reading.execute("ATTACH ':memory:' AS other")
    journal._store._reading.close()
    with pytest.raises(JournalError, match="Is the file damaged"):
        found(journal, "k")
    journal._store._reading = sqlite3.connect(path)


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        ({"path": 7}, "journal=7: give the path of a file"),
        ({"version": 2}, "version=2: give it a text"),
        ({"retry_failed": "all"}, "retry_failed='all': give True, False or None"),
        ({"encode": str}, "encode and decode: give both, as each undoes the other"),
        ({"decode": str}, "encode and decode: give both, as each undoes the other"),
    ],
)
def test_settings_that_cannot_be_meant_are_refused(settings, why):
    """At once."""
    with pytest.raises(OptionError) as refused:
        Journal(**({"path": "run.db"} | settings))

    assert str(refused.value) == why


def test_it_is_what_it_says_that_it_is_of(opened):
    """If it says so, and not the function's name."""
    opened(job="mine").close()
    with pytest.raises(OptionError, match="it is of mine, not of llm:ask"):
        opened()
    opened(job="mine")


def test_the_path_may_be_any_that_python_takes(tmp_path):
    """A text or a path, with what URLs would take for something else."""
    for path in (Path(tmp_path / "a?b#c%20.db"), str(tmp_path / "ä b.db")):
        journal = Journal(path).open(JOB)
        tell(journal, "k", "v")
        journal.close()
        assert Path(path).is_file()


def test_a_copy_in_a_fork_lets_nothing_go(opened, monkeypatch):
    """It has neither the lock nor the file, though it looks as if it had."""
    journal = opened()
    with monkeypatch.context() as patch:
        patch.setattr(journal, "_process", 0)
        patch.setattr(journal._hold, "_process", 0)
        journal.close()
        journal._hold.let_go()
    assert tell(journal, "k", "v") is None
    with pytest.raises(OptionError, match="another run of this process"):
        opened()


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


def test_a_lock_that_cannot_be_made_is_told(opened, path):
    """Such as where a folder has its name."""
    Path(f"{path}-lock").mkdir()
    with pytest.raises(OptionError, match="unable to open database file"):
        opened()


def test_a_lock_that_is_something_else_is_told(opened, path):
    """It is not taken for one that somebody holds."""
    with sqlite3.connect(f"{path}-lock") as database:
        database.execute("CREATE TABLE holder (one, other)")
    database.close()
    with pytest.raises(OptionError, match="holder has 2 columns"):
        opened()
