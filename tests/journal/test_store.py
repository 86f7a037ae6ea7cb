"""What can be a journal, and what cannot: refused files are left as they are."""

import os
import sqlite3
from pathlib import Path

import pytest

from tests.journal.conftest import JOB, tell
from threadllm import Journal, OptionError


def bytes_beside(path):
    """All files of a folder, with their content."""
    return {file.name: file.read_bytes() for file in Path(path).parent.iterdir() if file.is_file()}


def refused(path, why, job=JOB):
    before = bytes_beside(path) if "\0" not in path and Path(path).parent.is_dir() else None
    with pytest.raises(OptionError) as refusal:
        Journal(path).open(job)
    assert str(refusal.value) == f"journal {why}"
    if before is not None:
        assert bytes_beside(path) == before


def test_a_file_of_something_else_is_refused(path):
    """A text, a database, a journal of a later format; none of them is touched."""
    Path(path).write_text("some text that is no database, and long enough to be one" * 9)
    refused(path, f"{path}: file is not a database. Name another file, or mend this one")
    Path(path).unlink()
    database = sqlite3.connect(path)
    database.execute("CREATE TABLE mine (a)")
    database.commit()
    refused(path, f"{path}: it is a database, but no journal. Name another file")
    database.execute("PRAGMA application_id = 0x746c6c6d")
    database.execute("PRAGMA user_version = 2")
    database.commit()
    database.close()
    refused(
        path,
        f"{path}: its format is 2, and this version knows 1. Install the version of threadllm that "
        "wrote it, or name another file",
    )


def test_an_empty_file_may_become_one(path, opened):
    """As `mktemp` makes it."""
    Path(path).touch()
    assert tell(opened(), "k", "v") is None


def test_another_jobs_is_refused(path, opened):
    """Both are named; what is beside it while it is in use does not count."""
    opened().close()
    with pytest.raises(OptionError) as refusal:
        opened(job="other:f")
    assert str(refusal.value) == (
        f"journal {path}: it is of llm:ask, not of other:f. Name another file, or say what it is "
        "of: Journal(…, job=…)"
    )
    opened()


def test_a_place_that_cannot_be_is_refused(tmp_path):
    """A folder, one that is missing, a name that cannot be one, a device."""
    refused(str(tmp_path), f"{tmp_path}: it is a folder. Name a file")
    missing = tmp_path / "missing" / "run.db"
    refused(str(missing), f"{missing}: there is no folder {missing.parent}")
    refused("a\0b", "'a\\x00b': it is no path. Name a file")
    refused("", "'': it is no path. Name a file")
    refused(os.devnull, f"{os.devnull}: it is a device, or a pipe. Name a file")


def test_a_file_that_cannot_be_read_is_refused(tmp_path):
    """A link to itself."""
    path = tmp_path / "run.db"
    path.symlink_to(path)
    with pytest.raises(OptionError, match="Name another file, or mend this one"):
        Journal(path).open(JOB)


def test_a_folder_that_nothing_can_be_put_into_is_refused():
    """As the lock cannot be had."""
    with pytest.raises(OptionError, match=r"^journal /proc/run.db: unable to open database file"):
        Journal("/proc/run.db").open(JOB)


def test_a_damaged_file_is_refused(path, opened):
    """And the lock is let go."""
    opened().close()
    content = bytearray(Path(path).read_bytes())
    content[100:] = b"x" * (len(content) - 100)
    Path(path).write_bytes(content)
    for _ in range(2):
        with pytest.raises(OptionError, match="Name another file, or mend this one"):
            opened()


def test_closed_it_is_one_file_but_for_the_lock(path, opened):
    """What SQLite keeps beside it in use has gone."""
    journal = opened()
    tell(journal, "k", "v")
    journal.close()

    assert sorted(bytes_beside(path)) == ["run.db", "run.db-lock"]


def test_what_was_killed_before_it_was_one_becomes_one(path, opened):
    """A database with nothing in it."""
    with sqlite3.connect(path) as database:
        database.execute("CREATE TABLE a (b)")
        database.execute("DROP TABLE a")
    database.close()
    assert Path(path).stat().st_size
    assert tell(opened(), "k", "v") is None


def test_one_without_its_table_is_refused(path, opened):
    """Somebody has been at it."""
    opened().close()
    with sqlite3.connect(path) as database:
        database.execute("DROP TABLE journal")
    database.close()
    with pytest.raises(OptionError, match="no such table: journal"):
        opened()
