"""The engine: rows in, results saved, and what becomes of those that fail."""

import asyncio
import threading

import pytest
import requests
from asgiref.sync import sync_to_async
from django.core.exceptions import SynchronousOnlyOperation
from django.db import connection

from tests.contrib.support import articles, pending, save, summaries, summarize
from tests.support import PATIENCE, until
from threadllm import EarlierFailure, OptionError, Retry, RunStopped, TooManyFailures
from threadllm.contrib.django import run_queryset
from threadllm.outcome import Usage
from threadllm.simulator import Fault


@pytest.mark.parametrize("concurrency", [0, 1, 8])
def test_each_row_is_processed_and_saved(alias, concurrency):
    """Processed in threads, prepared and saved in the one that called."""
    articles(50, alias)
    threads = {"prepare": set(), "process": set(), "save": set()}

    def noted(step, fn):
        def call(*args):
            threads[step].add(threading.get_ident())
            return fn(*args)

        return call

    report = run_queryset(
        pending(alias),
        noted("process", str.upper),
        noted("save", save),
        prepare=noted("prepare", lambda article: article.text),
        concurrency=concurrency,
    )

    assert (report.saved, report.failed, report.failures) == (50, 0, ())
    assert summaries(alias) == [f"TEXT {n}" for n in range(50)]
    me = {threading.get_ident()}
    assert threads["prepare"] == threads["save"] == me
    assert (threads["process"] == me) == (concurrency == 0)


def test_no_more_rows_are_in_hand_than_twice_the_threads(held):
    """Prepared, and not yet processed, while the first call lasts."""
    articles(50)
    prepared, ends = [], threading.Event()

    def prepare(article):
        prepared.append(article.pk)
        if len(prepared) == 6:
            threading.Timer(0.05, ends.set).start()
        return article

    def process(article):
        assert ends.wait(10)
        seen.append(len(prepared))
        return summarize(article)

    seen = []
    run_queryset(pending(), process, save, prepare=prepare, concurrency=3)

    assert seen[0] == 6
    assert len(prepared) == 50


def test_a_row_that_fails_is_told_and_the_others_go_on():
    """Whichever step fails: it is one failure, in the calling thread."""
    rows = articles(6)
    told = []

    def prepare(article):
        if article.pk == rows[0].pk:
            raise LookupError("prepared in vain")
        return article

    def process(article):
        if article.pk == rows[1].pk:
            raise ValueError("processed in vain")
        return summarize(article)

    def keep(article, summary):
        if article.pk == rows[2].pk:
            raise ArithmeticError("saved in vain")
        save(article, summary)

    report = run_queryset(
        pending(),
        process,
        keep,
        prepare=prepare,
        on_error=lambda article, error: told.append((article.pk, str(error))),
    )

    expected = [
        (rows[0].pk, "LookupError", "prepared in vain"),
        (rows[1].pk, "ValueError", "processed in vain"),
        (rows[2].pk, "ArithmeticError", "saved in vain"),
    ]
    assert sorted((one.key, one.kind, one.message) for one in report.failures) == expected
    assert sorted(told) == [(key, text) for key, _, text in expected]
    assert (report.saved, report.failed, report.done) == (3, 3, 6)
    assert summaries() == [None, None, None, "TEXT 3", "TEXT 4", "TEXT 5"]


def test_an_on_error_that_fails_is_logged(caplog):
    """The run goes on, and what is paid is saved."""
    rows = articles(2)

    def process(article):
        if article.pk == rows[0].pk:
            raise ValueError("in vain")
        return summarize(article)

    def tell(article, error):
        raise KeyError

    assert run_queryset(pending(), process, save, on_error=tell).saved == 1
    assert [record.getMessage() for record in caplog.records] == [
        f"on_error of {rows[0].pk}: ValueError: in vain"
    ]


def test_a_report_keeps_the_first_hundred_failures():
    """Of all it keeps the number: a run may be long."""

    def fail(item):
        raise ValueError(item)

    report = run_queryset(range(300), fail, save)
    assert (report.failed, len(report.failures)) == (300, 100)
    assert {failure.key for failure in report.failures} <= {*range(300)}


def test_a_provider_that_refuses_for_good_ends_the_run(sim):
    """What was finished is saved first."""
    articles(30)

    def process(article):
        if article.text == "text 20":
            response = requests.Response()
            response.status_code = 401
            raise requests.HTTPError("401 Client Error", response=response)
        return summarize(article)

    with pytest.raises(RunStopped):
        run_queryset(pending(), process, save, concurrency=1)
    assert [bool(summary) for summary in summaries()] == [True] * 20 + [False] * 10


def test_too_many_failures_end_the_run():
    """A number, or a share; what was finished is saved."""
    articles(30)

    def process(article):
        if article.text >= "text 2":
            raise ValueError
        return summarize(article)

    with pytest.raises(TooManyFailures):
        run_queryset(pending(), process, save, concurrency=1, max_failures=3)
    assert sum(map(bool, summaries())) == 2


def test_a_run_goes_on_from_its_journal(tmp_path):
    """What was processed and could not be saved is not processed again."""
    articles(6)
    asked = []

    def process(article):
        asked.append(article.pk)
        if article.text == "text 5":
            raise ValueError("of no use")
        return summarize(article)

    def broken(article, summary):
        raise OSError

    options = {"journal": tmp_path / "run.db", "concurrency": 2}
    assert run_queryset(pending(), process, broken, **options).failed == 6
    report = run_queryset(pending(), process, save, **options)

    assert (report.saved, report.remembered, report.failed) == (5, 5, 1)
    assert len(asked) == 7
    assert type(report.failures[0].error) is not EarlierFailure
    assert summaries() == [f"TEXT {n}" for n in range(5)] + [None]


def test_tokens_are_counted_once(sim, tmp_path):
    """Those of a journal were paid before."""
    from articles.llm import call_llm

    articles(4)
    options = {"journal": tmp_path / "run.db", "prepare": lambda article: article.text}
    first = run_queryset(pending(), call_llm, lambda *_: None, **options)
    second = run_queryset(pending(), call_llm, lambda *_: None, **options)

    assert first.usage.total_tokens > 0
    assert (second.usage, second.remembered) == (Usage(), 4)


def test_options_are_those_of_the_dispatcher(sim):
    """Such as a policy of retries."""
    from articles.llm import call_llm

    articles(1)
    sim.script([Fault(status=503)])
    report = run_queryset(
        pending(), call_llm, save, prepare=lambda one: one.text, retry=Retry(attempts=1)
    )
    assert (report.failed, report.failures[0].kind) == (1, "requests.exceptions.HTTPError")


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"concurrency": -1}, "concurrency=-1: give a number of threads, or 0 for none"),
        ({"limit": -1}, "limit=-1: give a number of rows, 0 or more"),
        ({"save": None}, "save: give save(obj, result), or save_batch(pairs)"),
        ({"batch_size": 5}, "batch_size=5: at least one row, and a save_batch(pairs) to save them"),
        ({"worker_db": "no"}, "worker_db='no': choose 'allow' or 'forbid'"),
        ({"queryset": 5}, "5: give a query set, or what else gives items"),
    ],
)
def test_what_cannot_be_meant_is_refused(options, text):
    """Before anything is asked for."""
    given = {"queryset": pending(), "process": str, "save": save, **options}
    with pytest.raises(OptionError) as caught:
        run_queryset(**given)
    assert str(caught.value) == text


def test_inside_an_event_loop_it_says_so():
    """The ORM would refuse with less of an explanation."""

    async def main():
        run_queryset(pending(), summarize, save)

    with pytest.raises(SynchronousOnlyOperation, match="call it by sync_to_async"):
        asyncio.run(main())


def test_in_another_thread_all_is_as_ever():
    """A view's or a task's, say, which knows no signals; its connection stays its own."""
    articles(20)

    async def main():
        return await sync_to_async(run_queryset, thread_sensitive=False)(pending(), summarize, keep)

    def keep(article, summary):
        save(article, summary)
        kept.append((threading.get_ident(), connection.connection is not None))
        connection.close()

    kept = []
    assert asyncio.run(main()).saved == 20
    ((thread, is_open),) = {*kept}
    assert thread != threading.get_ident()
    assert is_open


def test_a_second_interrupt_while_saving_loses_nothing():
    """What had been finished by then is saved all the same, the row that was being saved, too."""
    articles(6)
    finished, saving, both = [], [], threading.Barrier(2)

    def process(article):
        both.wait(PATIENCE)
        finished.append(article.pk)
        return summarize(article)

    def keep(article, summary):
        until(lambda: len(finished) > 1)
        saving.append(article.pk)
        if len(saving) == 1:
            raise KeyboardInterrupt
        save(article, summary)

    with pytest.raises(KeyboardInterrupt):
        run_queryset(pending(), process, keep, concurrency=2)
    assert sum(map(bool, summaries())) == len(finished)


def test_what_the_input_raises_is_raised_after_what_it_gave():
    """Nothing of that is lost."""
    rows = articles(3)

    def broken():
        yield from rows
        raise LookupError("no more")

    with pytest.raises(LookupError, match="no more"):
        run_queryset(broken(), summarize, save)
    assert summaries() == ["TEXT 0", "TEXT 1", "TEXT 2"]
