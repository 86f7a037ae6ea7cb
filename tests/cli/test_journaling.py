"""`threadllm journal`: what it shows of a journal, and what it does with it."""

import json
from pathlib import Path

import pytest

from tests.journal.conftest import tell
from threadllm import Journal


@pytest.fixture
def journal(tmp_path):
    """One with items of each kind, in use."""
    with_items = Journal("run.db").open("llm:ask")
    tell(with_items, "good", ("a", 1))
    for number in range(12):
        tell(with_items, number, error=ValueError(f"bad\x1b {number}"), permanent=number > 9)
    tell(with_items, "odd", print)
    yield with_items
    with_items.close()


def test_show_sums_up(cli, journal):
    """How many of each kind, and of those without a value the first few, with their reasons."""
    done = cli("journal", "show", "run.db")
    head, *rest = done.out.splitlines()

    assert done.status == 0
    assert head.startswith("journal of llm:ask: 14 items in 1 runs, ")
    assert rest[:3] == ["  failed: 12, 2 of them for good", "  ok: 1", "  unkept: 1"]
    assert rest[3] == "  0 failed: ValueError: bad  0"
    assert rest[-1] == "  and 3 more: see threadllm journal export"


def test_show_tells_of_versions(cli, journal):
    """Where there are several."""
    journal.close()
    later = Journal("run.db", version="2").open("llm:ask")
    tell(later, "good", "again")
    later.close()

    assert "  version '': 14\n  version '2': 1\n" in cli("journal", "show", "run.db").out


def test_show_tells_all_of_an_item(cli, journal):
    """By its key; of one that it does not know nothing."""
    told = json.loads(cli("journal", "show", "run.db", "good").out)

    assert (told["key"], told["status"], told["value"]) == ("good", "ok", ["a", 1])
    assert cli("journal", "show", "run.db", "none").out == ""


def test_export_writes_json_lines(cli, journal):
    """To a file that is new, or to stdout."""
    cli("journal", "export", "run.db", "-o", "all.jsonl")
    lines = Path("all.jsonl").read_text().splitlines()

    assert [json.loads(line)["key"] for line in lines] == ["good", *range(12), "odd"]
    assert cli("journal", "export", "run.db").out.splitlines() == lines
    assert cli("journal", "export", "run.db", "-o", "all.jsonl").status == 2
    assert cli("journal", "export", "run.db", "-o", "/dev/full").status == 1


def test_vacuum_tells_what_it_saved(cli, journal):
    """Once nobody uses it."""
    assert cli("journal", "vacuum", "run.db").status == 2
    journal.close()
    done = cli("journal", "vacuum", "run.db")

    assert done.status == 0
    assert done.out.startswith("run.db: ")
    assert done.out.endswith(" after\n")


def test_what_is_no_journal_is_refused(cli, write):
    """In a line, with what to do."""
    write("other.db", "some text that is long enough not to be taken for an empty database " * 9)
    done = cli("journal", "show", "other.db")

    assert (done.status, done.out) == (2, "")
    assert done.err == (
        "threadllm: journal other.db: file is not a database. Name another file, or mend this one\n"
    )


def test_a_damaged_one_is_told(cli, journal):
    """And nothing is changed."""
    journal._store._writing.execute("DROP TABLE items")
    done = cli("journal", "show", "run.db")

    assert (done.status, done.out) == (1, "")
    assert "no such table: items. Is the file damaged? Nothing was changed" in done.err


def test_show_of_one_without_troubles_is_short(cli, tmp_path):
    """How many, and no more."""
    fine = Journal("fine.db").open("llm:ask")
    tell(fine, "k", "v")
    fine.close()
    done = cli("journal", "show", "fine.db")

    assert [line.partition(" items")[0] for line in done.out.splitlines()] == [
        "journal of llm:ask: 1",
        "  ok: 1",
    ]
