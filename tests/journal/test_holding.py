"""One process at a time holds a journal, and one run within it."""

import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from tests.journal.conftest import found, tell
from threadllm import OptionError


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
