"""What people and other programs see of a journal, also while it is in use."""

import sqlite3

import pytest

from tests.journal.conftest import JOB, tell
from threadllm import Journal, JournalError, OptionError
from threadllm.journal import reading


@pytest.fixture
def journal(opened):
    """One with an item of each kind."""
    made = opened()
    tell(made, "good", ("a", 1))
    tell(made, "passing", error=TimeoutError("late"))
    tell(made, 1, error=ValueError("bad\x1b[31m"), permanent=True)
    tell(made, "odd", print)
    return made


def test_it_is_summed_up_while_it_is_in_use(journal, path):
    """Items by status and version, and some of those without a value."""
    found = reading.summary(path, troubles=2)

    assert (found.job, found.runs, found.permanent) == (JOB, 1, 1)
    assert found.statuses == {"ok": 1, "failed": 2, "unkept": 1}
    assert found.versions == {"": 4}
    assert [record["key"] for record in found.troubles] == ["passing", 1]
    assert found.size > 0


def test_records_are_plain_json(journal, path):
    """All that is known of each item, in the order in which they were written."""
    records = list(reading.records(path))

    assert [record["key"] for record in records] == ["good", "passing", 1, "odd"]
    at = records[0].pop("at")
    assert at > 1.7e9
    assert records[0] == {
        "key": "good",
        "version": "",
        "status": "ok",
        "value": ["a", 1],
        "error": None,
        "permanent": False,
        "attempts": 2,
        "elapsed": 1.5,
        "usage": {"input_tokens": 3, "output_tokens": 4},
        "run": 1,
    }
    assert records[1]["error"]["kind"] == "TimeoutError"


@pytest.mark.parametrize(
    ("key", "found"), [("good", ["good"]), ('"good"', ["good"]), ("1", [1]), ("none", [])]
)
def test_one_item_is_found_by_its_key(journal, path, key, found):
    """As text, or as JSON has it."""
    assert [record["key"] for record in reading.records(path, key)] == found


def test_vacuum_gives_room_back(opened, path):
    """Once nobody writes."""
    made = opened()
    for number in range(30):
        tell(made, number, "x" * 5000)
    with pytest.raises(OptionError, match="in use"):
        reading.vacuum(path)
    made.close()
    with sqlite3.connect(path) as database:
        database.execute("DELETE FROM items")
    database.close()
    before, after = reading.vacuum(path)

    assert before > 2 * after
    opened()


def test_what_is_no_journal_is_refused(tmp_path):
    """As a run refuses it; one that is not there is not made."""
    path = str(tmp_path / "none.db")
    for action in (reading.summary, reading.vacuum, lambda path: list(reading.records(path))):
        with pytest.raises(OptionError, match="there is no such file, or nothing in it"):
            action(path)
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_journal_is_told(journal, path, monkeypatch):
    """With its path, and that nothing was changed."""
    journal.close()
    with sqlite3.connect(path) as database:
        database.execute("DROP TABLE items")
    database.close()
    with pytest.raises(JournalError, match=r"no such table: items\. Is the file damaged\?"):
        reading.summary(path)


def test_a_vacuum_that_fails_is_told_and_lets_go(journal, path, monkeypatch):
    """Such as for lack of room."""
    journal.close()

    class Full:
        def __init__(self, journal):
            self._journal = journal

        def execute(self, statement):
            if statement == "VACUUM":
                raise sqlite3.OperationalError("database or disk is full")
            return self._journal.execute(statement)

        def close(self):
            self._journal.close()

    connect = reading.connect
    monkeypatch.setattr(reading, "connect", lambda path: Full(connect(path)))
    with pytest.raises(JournalError, match="database or disk is full"):
        reading.vacuum(path)
    Journal(path).open(JOB).close()


def test_a_journal_that_cannot_be_opened_is_refused(journal, path, monkeypatch):
    """Though it could be looked at a moment before."""

    def gone(path):
        raise sqlite3.OperationalError("unable to open database file")

    monkeypatch.setattr(reading, "connect", gone)
    with pytest.raises(OptionError, match="unable to open database file"):
        reading.summary(path)
