"""Worker threads: no connection is left behind, and no query goes where it must not."""

import threading
from contextlib import contextmanager

import pytest
from articles.models import Article
from django.conf import settings
from django.db import OperationalError, connections, transaction
from django.urls import get_script_prefix, get_urlconf, set_script_prefix, set_urlconf
from django.utils import timezone, translation

from tests.contrib.support import articles, backends, pending, save, summaries
from tests.support import PATIENCE, until
from threadllm import DeadlineExceeded
from threadllm.contrib.django import DjangoExecutor, WorkerQueryError, run_queryset

THREADS = 64


def asks(article):
    """Asks the database in a worker thread, by a foreign key that was not fetched."""
    return article.author.name


class Peak:
    """How many connections the server has at most, asked for in each save."""

    def __init__(self):
        self.most = 0

    def __call__(self, article, result):
        self.most = max(self.most, backends())


def all_at_once(fn):
    """The function, of which as many calls wait for each other as there are threads."""
    every = threading.Barrier(THREADS)

    def call(article):
        every.wait(PATIENCE)
        return fn(article)

    return call


def test_without_the_orm_there_is_one_connection():
    """That of the thread that reads and saves."""
    articles(2 * THREADS, "postgres")
    peak = Peak()
    run_queryset(pending("postgres"), all_at_once(str), peak, concurrency=THREADS)
    assert peak.most == 1


@pytest.mark.parametrize("age", [0, 60, None])
def test_with_the_orm_all_are_closed(monkeypatch, eager_switching, age):
    """After each call, whatever CONN_MAX_AGE says: 64 threads, and one connection in the end."""
    monkeypatch.setitem(connections.databases["postgres"], "CONN_MAX_AGE", age)
    articles(2 * THREADS, "postgres")
    run_queryset(pending("postgres"), all_at_once(asks), save, concurrency=THREADS)
    until(lambda: backends() == 1)
    assert None not in summaries("postgres")


def test_more_threads_than_the_server_has_connections():
    """It has a hundred: each is held for as long as a call lasts, and no longer."""
    articles(300, "postgres")
    report = run_queryset(pending("postgres"), asks, save, concurrency=90)
    assert (report.saved, report.failed) == (300, 0)


def test_a_pool_of_connections_gets_them_back(monkeypatch, caplog):
    """psycopg's, of three: a call takes one, and gives it back, also where it fails.

    That no more than three run at a time is said, once.
    """
    if not hasattr(connections["postgres"], "pool"):
        pytest.skip("Django has pools from 5.1 on")
    options = {**settings.POSTGRES["OPTIONS"], "pool": {"min_size": 0, "max_size": 3}}
    with another_database(monkeypatch, CONN_MAX_AGE=0, OPTIONS=options) as alias:
        rows = articles(40, "postgres")

        def process(article):
            name = Article.objects.using(alias).get(pk=article.pk).author.name
            if article.pk == rows[0].pk:
                raise ValueError
            return name

        report = run_queryset(pending("postgres"), process, save, concurrency=8)
        (record,) = caplog.records
        assert record.getMessage().startswith(
            "database 'another' has a pool of 3 connections for 8 threads, and a call that asks"
        )
        caplog.clear()
        rows = Article.objects.using(alias).filter(pk__in=[row.pk for row in rows])
        assert run_queryset(rows, asks, lambda *_: None, concurrency=3).saved == 40
        assert caplog.records == []
        pool = connections[alias].pool
        connections[alias].close()
        assert (report.saved, report.failed) == (39, 1)
        assert pool.get_stats()["pool_size"] == pool.get_stats()["pool_available"]
        pool.close()


@contextmanager
def another_database(monkeypatch, **changed):
    """The same server, by another alias."""
    monkeypatch.setitem(
        connections.databases, "another", {**connections.databases["postgres"], **changed}
    )
    yield "another"
    connections["another"].close()
    del connections["another"]


def test_the_callers_connection_stays_as_it_is(alias):
    """Inline, and where a call runs within another one in the same thread."""
    articles(2, alias)
    connection = connections[alias]
    connection.ensure_connection()
    opened = connection.connection
    run_queryset(pending(alias), asks, save, concurrency=0)
    assert connection.connection is opened

    def outer(pool, article):
        with transaction.atomic(alias):
            Article.objects.using(alias).filter(pk=article.pk).update(text="changed")
            inner = pool.submit(lambda: Article.objects.using(alias).get(pk=article.pk).text)
            return inner.result()

    (first, _) = Article.objects.using(alias).order_by("pk")
    with DjangoExecutor(1) as pool:  # full: the inner call runs in the outer one's thread
        assert pool.submit(outer, pool, first).result() == "changed"
    first.refresh_from_db()
    assert first.text == "changed"


def test_what_is_opened_beside_a_call_is_closed_in_the_end():
    """In the pool's own callbacks, and by its initializer."""
    (row,) = articles(1, "postgres")
    with DjangoExecutor(2, initializer=lambda: pending("postgres").count()) as pool:
        done = threading.Event()
        future = pool.submit(done.wait, PATIENCE)
        future.add_done_callback(lambda _: asks(row))
        done.set()
    until(lambda: backends() == 1)


def test_a_transaction_that_a_call_leaves_open_ends_with_it():
    """It is rolled back, and the next call in that thread begins anew."""
    (row,) = articles(1, "postgres")

    def leave_open():
        transaction.atomic("postgres").__enter__()
        save(row, "never committed")

    with DjangoExecutor(1) as pool:
        pool.submit(leave_open).result()
        assert pool.submit(asks, row).result() == "author 0"
        pool.submit(save, row, "committed").result()
    assert summaries("postgres") == ["committed"]
    until(lambda: backends() == 1)


def test_a_thread_that_was_abandoned_keeps_its_own_until_it_returns(held):
    """Nobody closes a connection that is in use."""
    (row,) = articles(1, "postgres")
    names = []

    def hang():
        asks(row)
        held.wait(PATIENCE)
        row.refresh_from_db()
        names.append(row.author.name)

    with DjangoExecutor(1, deadline=0.2) as pool:
        assert pool.submit(asks, row).result() == "author 0"
        row.refresh_from_db()
        assert type(pool.submit(hang).exception()) is DeadlineExceeded
    assert backends() == 2
    held.set()
    until(lambda: backends() == 1)
    assert names == ["author 0"]
    until(lambda: not any(one.name.startswith("threadllm") for one in threading.enumerate()))


def test_worker_db_forbid_names_the_query():
    """And says what to do; what was fetched before is no query."""
    articles(1)
    report = run_queryset(pending(), asks, save, worker_db="forbid")
    (failure,) = report.failures
    assert type(failure.error) is WorkerQueryError
    assert failure.message.startswith("a query in a worker thread: SELECT ")
    assert "articles_author" in failure.error.sql
    assert "select_related" in failure.message
    deferred = run_queryset(pending().defer("text"), lambda row: row.text, save, worker_db="forbid")
    assert "articles_article" in deferred.failures[0].error.sql
    fetched = run_queryset(pending().select_related("author"), asks, save, worker_db="forbid")
    assert fetched.saved == 1


@pytest.mark.parametrize("concurrency", [0, 2])
def test_what_is_forbidden_is_so_everywhere_and_no_longer(concurrency):
    """Inline, too; after the run, and in prepare and save, the thread may ask as ever."""
    articles(2)
    report = run_queryset(
        pending(), asks, save, prepare=lambda row: row, worker_db="forbid", concurrency=concurrency
    )
    assert report.failed == 2
    assert pending().count() == 2


def test_a_long_query_is_shortened():
    """An error is to be read."""
    articles(1)

    def process(article):
        return Article.objects.filter(pk__in=range(500)).count()

    (failure,) = run_queryset(pending(), process, save, worker_db="forbid").failures
    assert len(failure.error.sql) == 301
    assert failure.error.sql.endswith("…")


def test_inside_a_transaction_a_worker_that_asks_is_told(alias):
    """It would not see into that; one that does not ask is welcome."""
    with transaction.atomic(alias):
        articles(2, alias)
        report = run_queryset(pending(alias), asks, save)
        assert {type(failure.error) for failure in report.failures} == {WorkerQueryError}
        assert "inside a transaction" in report.failures[0].message
        fetched = pending(alias).select_related("author")
        assert run_queryset(fetched, asks, save).saved == 2
        articles(1, alias)
        assert run_queryset(pending(alias), asks, save, concurrency=0).saved == 1


def test_another_databases_transaction_is_no_matter():
    """What asks elsewhere sees all that there is."""
    articles(1, "postgres")
    with transaction.atomic("default"):
        assert run_queryset(pending("postgres"), asks, save).saved == 1


def test_surroundings_go_along():
    """Language, time zone, script prefix and URL configuration, as they are when a row is read."""

    def here(_=None):
        zone = timezone.get_current_timezone_name()
        return translation.get_language(), zone, get_script_prefix(), get_urlconf()

    seen = []
    set_script_prefix("/under/")
    set_urlconf("articles.urls")
    with translation.override("de"), timezone.override("Asia/Tokyo"):
        run_queryset(range(8), here, lambda _, result: seen.append(result), concurrency=4)
        with DjangoExecutor(1) as pool:
            seen += [pool.submit(here).result(), *pool.map(here, [1]), next(outcome(pool, here))]
    set_script_prefix("/")
    set_urlconf(None)

    assert {*seen} == {("de", "Asia/Tokyo", "/under/", "articles.urls")}


def outcome(pool, fn):
    return (one.value for one in pool.outcomes(fn, [1]))


@pytest.mark.parametrize("concurrency", [0, 1])
def test_surroundings_do_not_leak_into_the_next_call(concurrency):
    """A call may change them for itself."""
    before = translation.get_language()

    def process(number):
        seen = translation.get_language(), get_script_prefix(), get_urlconf()
        translation.activate("fr")
        timezone.activate("Asia/Tokyo")
        set_script_prefix(f"/{number}/")
        set_urlconf("other")
        return (*seen, timezone.get_default_timezone_name())

    seen = []
    run_queryset(range(3), process, lambda _, got: seen.append(got), concurrency=concurrency)
    assert {*seen} == {(before, "/", None, "UTC")}
    assert (translation.get_language(), get_urlconf()) == (before, None)
    assert timezone.get_current_timezone_name() == "UTC"


def test_a_context_of_the_users_own_is_entered_around_each_call():
    """In the thread of the call; what it opens is closed."""
    articles(3, "postgres")
    entered = []

    @contextmanager
    def context():
        pending("postgres").count()
        entered.append(threading.get_ident())
        yield

    def process(article):
        assert threading.get_ident() in entered
        return article.text

    assert run_queryset(pending("postgres"), process, save, worker_context=context).saved == 3
    assert len(entered) == 3
    until(lambda: backends() == 1)


def kill_others():
    """Have the server end all connections but the one that asks it to."""
    killer = connections["postgres"].copy("killer")
    with killer.cursor() as cursor:
        cursor.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = 'articles' AND pid <> pg_backend_pid()"
        )
    killer.close()


@pytest.mark.parametrize("how", ["save", "batch", "page"])
def test_a_dead_connection_is_opened_again(how):
    """An idle one may have been ended by the server, or on the way: it is tried once more."""
    articles(150, "postgres")
    calls = []

    def process(article):
        calls.append(article.pk)
        if len(calls) == {"save": 3, "batch": 3, "page": 100}[how]:
            kill_others()
        return article.text

    def save_all(pairs):
        for pair in pairs:
            save(*pair)

    options = {"save_batch": save_all, "batch_size": 10} if how == "batch" else {"save": save}
    report = run_queryset(pending("postgres"), process, concurrency=1, **options)
    assert (report.saved, report.failed, len(calls)) == (150, 0, 150)


def test_a_dead_connection_inside_a_transaction_is_no_new_one():
    """What the transaction has done is lost, and who began it must hear of that."""
    articles(3, "postgres")

    def process(article):
        kill_others()
        return article.text

    with pytest.raises(OperationalError), transaction.atomic("postgres"):
        report = run_queryset(pending("postgres"), process, save, limit=1)
        assert report.failed == 1
        raise report.failures[0].error
    connections["postgres"].close()
    assert summaries("postgres") == [None] * 3


def test_an_error_of_a_connection_that_lives_is_no_reason_to_try_again():
    """A statement that took too long, say."""
    articles(1, "postgres")
    tries = []

    def keep(article, summary):
        tries.append(1)
        with connections["postgres"].cursor() as cursor:
            cursor.execute("SET statement_timeout = 1")
            cursor.execute("SELECT pg_sleep(1)")

    report = run_queryset(pending("postgres"), str, keep)
    assert (len(tries), report.failures[0].kind) == (1, "django.db.utils.OperationalError")


def test_sqlite_is_written_by_one_thread():
    """Sixteen of them would find it locked."""
    articles(160)
    report = run_queryset(pending(), lambda row: row.text, save, concurrency=16)
    assert (report.saved, report.failed) == (160, 0)


def test_no_transaction_is_open_across_a_call():
    """A server that ends idle ones would end it, and what is paid would be lost."""
    articles(3, "postgres")
    states = []

    def process(article):
        watcher = connections["postgres"].copy("watcher")
        with watcher.cursor() as cursor:
            cursor.execute(
                "SELECT state FROM pg_stat_activity "
                "WHERE datname = 'articles' AND pid <> pg_backend_pid()"
            )
            states.extend(state for (state,) in cursor.fetchall())
        watcher.close()
        return article.text

    run_queryset(pending("postgres"), process, save, concurrency=1)
    assert states
    assert [state for state in states if "transaction" in state] == []
