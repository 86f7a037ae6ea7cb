"""ThreadedCommand: its options, what it prints, and how it ends."""

import io
import json
import threading
import time

import pytest
from articles.management.commands.summarize_articles import Command as Summarize
from articles.models import Article
from django.core.management import CommandError, call_command
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from tests.contrib.support import articles, pending, save, summaries, summarize
from tests.support import PATIENCE, until
from threadllm import Quota, Retry
from threadllm.contrib.django import Report, ThreadedCommand
from threadllm.simulator import Fault


class Command(ThreadedCommand):
    """Needs no provider; some rows fail."""

    failing = ()

    def add_arguments(self, parser):
        parser.add_argument("--only")

    def get_queryset(self, *, only=None, **options):
        return pending() if only is None else pending().filter(text=only)

    def process(self, article):
        if article.text in self.failing:
            raise ValueError(f"no summary of {article.text}")
        return summarize(article)

    def save(self, article, summary):
        save(article, summary)


class Ran:
    """A command that has been called: what it wrote, and how it ended."""

    def __init__(self, command, **options):
        self.out, self.err = io.StringIO(), io.StringIO()
        self.error = None
        try:
            call_command(command, stdout=self.out, stderr=self.err, **options)
        except CommandError as error:
            self.error = error
        self.report = command.report
        self.lines = self.out.getvalue().splitlines()
        self.told = self.err.getvalue().splitlines()

    @property
    def ended(self):
        return None if self.error is None else (self.error.returncode, str(self.error))


@pytest.fixture
def failing():
    """A command two of whose rows fail."""
    command = Command()
    command.failing = ("text 1", "text 3")
    return command


def test_a_row_each_is_summarized_and_saved(sim):
    """The whole of it, with a function as people have it, and the real thing in between."""
    articles(20)
    ran = Ran(Summarize(), concurrency=8)
    assert ran.ended is None
    assert len(ran.lines) == 1
    assert ran.lines[0].startswith("20 saved, 0 failed, ")
    assert ran.lines[0].endswith(" tokens")
    assert ran.told == []
    assert all(map(str, summaries()))
    assert None not in summaries()
    assert (ran.report.saved, sim.counts().requests) == (20, 20)


def test_rows_that_fail_are_told_and_make_it_fail(failing):
    """On stderr: key, type and text; the others are saved, and the status is 1."""
    rows = articles(5)
    ran = Ran(failing)
    assert ran.ended == (1, "2 of 5 failed")
    assert len(ran.told) == 2
    assert set(ran.told) == {
        f"{rows[1].pk}: ValueError: no summary of text 1",
        f"{rows[3].pk}: ValueError: no summary of text 3",
    }
    assert ran.lines[0].startswith("3 saved, 2 failed, ")
    assert summaries() == ["TEXT 0", None, "TEXT 2", None, "TEXT 4"]


@pytest.mark.parametrize(("verbosity", "traces"), [(0, 0), (1, 0), (2, 2)])
def test_verbosity(failing, verbosity, traces):
    """0 writes errors alone, 2 their tracebacks as well."""
    articles(5)
    ran = Ran(failing, verbosity=verbosity)
    assert "\n".join(ran.told).count("Traceback (most recent call last):") == traces
    assert "\n".join(ran.told).count("ValueError: no summary of text 1") >= 1
    assert len(ran.lines) == (1 if verbosity else 0)


def test_no_rows_is_a_success():
    """There is nothing to do."""
    ran = Ran(Command())
    assert (ran.ended, ran.lines, ran.told) == (None, ["nothing to do"], [])
    assert ran.report.done == 0


@pytest.mark.parametrize("concurrency", [0, 1, 3])
def test_concurrency(concurrency):
    """Threads; with 0 all runs in the main one."""
    articles(9)
    threads = set()

    class Watching(Command):
        def process(self, article):
            threads.add(threading.current_thread())
            return summarize(article)

    assert Ran(Watching(), concurrency=concurrency).report.saved == 9
    if concurrency:
        assert threading.main_thread() not in threads
        assert len(threads) <= concurrency
    else:
        assert threads == {threading.main_thread()}


def test_limit():
    """No more rows than that."""
    articles(9)
    assert Ran(Command(), limit=4).report.saved == 4
    assert [bool(summary) for summary in summaries()] == [True] * 4 + [False] * 5


def test_options_of_ones_own():
    """They reach get_queryset."""
    articles(9)
    assert Ran(Command(), only="text 7").report.saved == 1
    assert summaries()[7] == "TEXT 7"


def test_all_options_may_come_from_a_shell(failing, tmp_path):
    """As text; what handle returns is nothing that would be printed."""
    articles(5)
    words = (
        "--concurrency=2 --limit=4 --rate=6000 --retries=1 --max-failures=50% --progress=none "
        f"--failures={tmp_path}/f.jsonl --journal={tmp_path}/run.db --verbosity=1"
    )
    out, err = io.StringIO(), io.StringIO()
    with pytest.raises(CommandError, match="2 of 4 failed"):
        call_command(failing, *words.split(), stdout=out, stderr=err)
    assert out.getvalue().startswith("2 saved, 2 failed, ")
    failing.failing = ()
    assert call_command(failing, *words.split(), stdout=out, stderr=err) is None
    assert out.getvalue().count("\n") == 2
    assert summaries() == [f"TEXT {n}" for n in range(5)]


def test_dry_run_counts_and_no_more():
    """Nothing is called, nothing is written."""
    articles(9)
    with CaptureQueriesContext(connection) as queries:
        ran = Ran(Command(), dry_run=True, limit=7)
    assert (ran.ended, ran.lines) == (None, ["7 to do; nothing was done"])
    assert [query["sql"].startswith("SELECT COUNT(*)") for query in queries] == [True]
    assert ran.report == Report()


def test_dry_run_of_what_cannot_be_counted():
    """A generator, say."""

    class Endless(Command):
        def get_items(self, **options):
            return iter(int, 1)

    assert Ran(Endless(), dry_run=True).lines == ["an unknown number to do; nothing was done"]


def test_items_that_are_no_rows():
    """get_items gives them, and save keeps what becomes of them."""
    kept = {}

    class Items(ThreadedCommand):
        def get_items(self, **options):
            return [{"id": name, "text": name.upper()} for name in "abc"]

        def process(self, item):
            return item["text"]

        def save(self, item, result):
            kept[item["id"]] = result

    assert Ran(Items()).report.saved == 3
    assert kept == {"a": "A", "b": "B", "c": "C"}


def test_prepare_and_on_error(failing):
    """Both in the main thread, with the row."""
    rows = articles(5)
    told = []

    class Prepared(Command):
        failing = ("text 1",)

        def prepare(self, article):
            assert article.author.name
            return article

        def on_error(self, article, exc):
            told.append((article.pk, str(exc)))

    assert Ran(Prepared()).report.saved == 4
    assert told == [(rows[1].pk, "no summary of text 1")]


def test_rate():
    """Requests a minute, for functions that make requests and for those that make none."""
    articles(2)
    seen = []

    class Limited(Command):
        def _quota(self, rate, concurrency):
            seen.append(super()._quota(rate, concurrency))
            return seen[-1]

    assert Ran(Limited(), rate=600, concurrency=3).report.saved == 2
    (quota,) = seen
    assert (quota.concurrency, quota.settings.requests_per_minute) == (3, 600)


def test_a_quota_of_the_commands_own():
    """It states the limits; --rate would put it aside unseen."""
    articles(2)

    class Limited(Command):
        quota = Quota(2, requests_per_minute=60_000)

    assert Ran(Limited()).report.saved == 2
    assert Ran(Limited(), rate=5).ended == (
        1,
        "--rate: the command has a quota of its own, which says how fast",
    )


@pytest.mark.parametrize(("retries", "requests"), [(0, 1), (2, 3)])
def test_retries(sim, retries, requests):
    """How often a request is tried again."""
    articles(1)
    sim.script([Fault(status=503)] * 9)

    class Quick(Summarize):
        retry = Retry(wait_initial=0)

    ran = Ran(Quick(), retries=retries)
    assert (ran.report.failed, sim.counts().requests) == (1, requests)


@pytest.mark.parametrize("allowed", [1, "1", "1%"])
def test_max_failures(failing, allowed):
    """The run is stopped; what is done is saved."""
    articles(9)
    ran = Ran(failing, max_failures=allowed, concurrency=1)
    assert ran.error.returncode == 1
    assert str(ran.error).startswith("2 items have failed, more than max_failures=")
    assert (ran.report.saved, ran.report.failed) == (2, 2)


def test_failures_are_written_to_a_file(failing, tmp_path):
    """A line each, as JSON."""
    rows = articles(5)
    file = tmp_path / "failures.jsonl"
    Ran(failing, failures=str(file))
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    assert sorted(lines, key=lambda line: line["pk"]) == [
        {"pk": rows[n].pk, "error": "ValueError", "message": f"no summary of text {n}"}
        for n in (1, 3)
    ]


def test_keys_stay_secret(tmp_path):
    """On stderr, in tracebacks and in the file."""
    articles(1)
    file = tmp_path / "failures.jsonl"

    class Leaking(Command):
        def process(self, article):
            raise ValueError("Authorization: Bearer sk-planted-leak")

    ran = Ran(Leaking(), failures=str(file), verbosity=2)
    assert "ValueError: Authorization" in ran.err.getvalue()
    assert "sk-planted-leak" not in ran.err.getvalue() + file.read_text()


def test_batch_size():
    """As many are saved at a time."""
    articles(5)
    sizes = []

    class Batched(Command):
        save = ThreadedCommand.save
        batch_size = 4

        def save_batch(self, pairs):
            sizes.append(len(pairs))
            for pair in pairs:
                save(*pair)

    assert Ran(Batched()).report.saved == 5
    Article.objects.update(summary=None)
    assert Ran(Batched(), batch_size=2).report.saved == 5
    assert sizes == [4, 1, 2, 2, 1]


def test_journal(tmp_path):
    """What could not be saved is not paid for again."""
    articles(3)
    asked = []

    class Unsaved(Command):
        broken = True

        def process(self, article):
            asked.append(article.pk)
            return summarize(article)

        def save(self, article, summary):
            if self.broken:
                raise OSError("no space")
            save(article, summary)

    command = Unsaved()
    assert Ran(command, journal=tmp_path / "run.db").report.failed == 3
    command.broken = False
    ran = Ran(command, journal=tmp_path / "run.db")
    assert (ran.report.saved, ran.report.remembered, len(asked)) == (3, 3, 3)
    assert ran.lines[0].startswith("3 saved, 0 failed, 3 from the journal, ")


def test_a_journal_that_cannot_be_used_says_so(tmp_path):
    """Before anything is asked for."""
    file = tmp_path / "run.db"
    file.write_text("no journal")
    assert str(file) in str(Ran(Command(), journal=file).error)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"concurrency": -1}, "concurrency=-1: give a number of threads, or 0 for none"),
        ({"limit": -1}, "limit=-1: give a number of rows, 0 or more"),
        ({"retries": -1}, "--retries -1: give a number of retries, 0 or more"),
        ({"rate": 0.0}, "requests_per_minute=0.0"),
        ({"max_failures": "many"}, "max_failures"),
        ({"batch_size": 5}, "batch_size=5: at least one row, and a save_batch(pairs)"),
        ({"failures": "/nowhere/at/all.jsonl"}, "--failures /nowhere/at/all.jsonl: No such file"),
    ],
)
def test_an_option_that_cannot_be_used_is_named(options, text):
    """Nothing is done then."""
    articles(1)
    ran = Ran(Command(), **options)
    assert text in str(ran.error)
    assert summaries() == [None]


UNWRITTEN = [
    ("get_queryset", (), "write get_queryset(), or get_items()"),
    ("process", (1,), "write process(payload)"),
    ("save", (1, 2), "write save(obj, result), or save_batch(pairs)"),
    ("save_batch", ([],), "write save(obj, result), or save_batch(pairs)"),
]


@pytest.mark.parametrize(("name", "args", "text"), UNWRITTEN)
def test_what_is_not_written_is_named(name, args, text):
    """To whoever writes the command, and calls what it inherits."""
    with pytest.raises(NotImplementedError) as caught:
        getattr(ThreadedCommand(), name)(*args)
    assert str(caught.value) == text


@pytest.mark.parametrize("name", ["get_queryset", "process"])
def test_what_is_missing_is_told_once(name):
    """And not for each row."""
    articles(3)
    unwritten = type("Unwritten", (Command,), {name: getattr(ThreadedCommand, name)})
    with pytest.raises(NotImplementedError, match=f"write {name}"):
        Ran(unwritten())


def test_nothing_that_saves_is_named():
    """Before anything is paid for."""
    unwritten = type("Unwritten", (Command,), {"save": ThreadedCommand.save})
    assert str(Ran(unwritten()).error) == "save: give save(obj, result), or save_batch(pairs)"


def test_it_may_run_inside_a_transaction():
    """Of a caller, or of a TestCase: a row that fails spoils no other."""
    with transaction.atomic():
        rows = articles(3)

        class Deleting(Command):
            def prepare(self, article):
                if article.pk == rows[1].pk:
                    Article.objects.filter(pk=article.pk).delete()
                return article

        assert Ran(Deleting()).ended == (1, "1 of 3 failed")
        assert summaries() == ["TEXT 0", "TEXT 2"]


def test_a_provider_that_refuses_for_good_is_told(sim):
    """With its reason, and what to do; the status is 1."""
    articles(3)
    sim.script([Fault(status=401)] * 9)
    ran = Ran(Summarize(), concurrency=1)
    assert ran.error.returncode == 1
    assert "401" in str(ran.error) or "key" in str(ran.error)
    assert ran.report.saved == 0


def test_an_exit_of_the_users_own_is_theirs():
    """Nobody's signal; what has been finished beside it is saved."""
    articles(6)
    finished, every = [], threading.Barrier(6)

    class Exiting(Command):
        concurrency = 6

        def process(self, article):
            every.wait(PATIENCE)
            finished.append(article)
            return summarize(article)

        def save(self, article, summary):
            until(lambda: len(finished) == 6)
            time.sleep(0.05)  # until their threads have handed them over
            if article.text == "text 0":
                raise SystemExit(7)
            save(article, summary)

    with pytest.raises(SystemExit) as caught:
        Ran(Exiting())
    assert caught.value.code == 7
    assert summaries() == [None, *(f"TEXT {n}" for n in range(1, 6))]
