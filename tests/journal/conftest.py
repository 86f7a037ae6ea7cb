"""What these tests share: a journal's path, opening it, and telling it outcomes."""

import pytest

from threadllm import Journal, JournalError, Outcome, Usage
from threadllm.journal.names import name_of

PATIENCE = 30  # seconds after which what must come has not come
JOB = "llm:ask"


def outcome(value=None, error=None):
    """What became of some item."""
    return Outcome(0, "k", "i", value, error, 2, 1.5, Usage(3, 4), ())


def tell(journal, key, value=None, error=None, *, permanent=False):
    """Have an outcome written; the error that there was."""
    try:
        journal.record([(name_of(None, key), outcome(value, error), permanent)])
    except JournalError as problem:
        return problem
    return None


def found(journal, key):
    """The outcome that is remembered of a key, if it need not be run again."""
    entry = journal.find(name_of(None, key))
    return None if entry is None else entry.outcome(7, key, "item")


@pytest.fixture
def path(tmp_path):
    return str(tmp_path / "run.db")


@pytest.fixture
def opened(path):
    """Opens the journal, of the same job unless another is named; all are closed at the end."""
    open_ones = []

    def make(job=JOB, **settings):
        open_ones.append(Journal(path, **settings).open(job))
        return open_ones[-1]

    yield make
    for one in open_ones:
        one.close()
