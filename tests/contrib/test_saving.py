"""Saving: at once or by batches, and nothing that was deleted comes back."""

from contextlib import nullcontext

import pytest
from articles.models import Article, Author
from django.db import DatabaseError, transaction

from tests.contrib.support import articles, pending, save, summaries, summarize
from threadllm.contrib.django import RowDeletedError, run_queryset


def save_whole(article, summary):
    article.summary = summary
    article.save()


def save_forced(article, summary):
    article.summary = summary
    article.save(force_update=True)


@pytest.mark.parametrize("how", [save, save_whole, save_forced])
@pytest.mark.parametrize("in_transaction", [False, True])
def test_a_row_that_was_deleted_meanwhile_is_reported(alias, how, in_transaction):
    """It is not inserted again, and the others are saved."""
    rows = articles(3, alias)

    def delete_first(article):
        if article.pk == rows[0].pk:
            Article.objects.using(alias).filter(pk=article.pk).delete()
        return article

    with transaction.atomic(alias) if in_transaction else nullcontext():
        report = run_queryset(pending(alias), summarize, how, prepare=delete_first)

    (failure,) = report.failures
    assert type(failure.error) is RowDeletedError
    assert str(failure).endswith("RowDeletedError: it was deleted while its result was waited for")
    assert summaries(alias) == ["TEXT 1", "TEXT 2"]


def test_what_is_edited_meanwhile_stays():
    """Where only its own field is saved."""
    rows = articles(1)

    def edit(article):
        Article.objects.filter(pk=article.pk).update(text="edited")
        return article

    run_queryset(pending(), summarize, save, prepare=edit)
    row = Article.objects.get(pk=rows[0].pk)
    assert (row.text, row.summary) == ("edited", "TEXT 0")


def test_new_rows_may_be_saved():
    """Such as those of another table, or ones that were made for it."""
    made = [Author(name=name) for name in "ab"]

    def keep(author, name):
        author.name = name
        author.save()
        Author.objects.create(name=f"beside {name}")

    assert run_queryset(made, lambda author: author.name.upper(), keep).saved == 2
    assert sorted(Author.objects.values_list("name", flat=True)) == [
        "A", "B", "beside A", "beside B",
    ]  # fmt: skip


@pytest.mark.parametrize("in_transaction", [False, True])
def test_a_row_that_cannot_be_saved_spoils_no_other(alias, in_transaction):
    """Inside a transaction each has a savepoint of its own."""
    articles(3, alias)

    def keep(article, summary):
        if article.text == "text 1":
            article.author_id = None
            article.save()
        save(article, summary)

    with transaction.atomic(alias) if in_transaction else nullcontext():
        report = run_queryset(pending(alias), summarize, keep)
    assert report.failed == 1
    assert summaries(alias) == ["TEXT 0", None, "TEXT 2"]


class Batches:
    """Saves batches, and remembers how large they were; some rows break them."""

    def __init__(self, *breaking):
        self.sizes = []
        self.breaking = breaking

    def __call__(self, pairs):
        self.sizes.append(len(pairs))
        for article, summary in pairs:
            save(article, summary)
        if any(article.text in self.breaking for article, _ in pairs):
            raise DatabaseError("one of them")


def test_results_are_saved_by_batches(alias):
    """As many as are asked for, and at the end what is left."""
    articles(25, alias)
    batches = Batches()
    report = run_queryset(pending(alias), summarize, save_batch=batches, batch_size=10)
    assert batches.sizes == [10, 10, 5]
    assert (report.saved, sorted(map(str, summaries(alias)))) == (
        25,
        sorted(f"TEXT {n}" for n in range(25)),
    )


@pytest.mark.parametrize("alone", [None, save])
def test_a_bad_row_in_a_batch_is_found_row_by_row(alias, alone):
    """The batch is undone as a whole first; each is then saved by `save`, or as a batch of one."""
    articles(10, alias)
    batches = Batches("text 3")
    report = run_queryset(
        pending(alias), summarize, alone, save_batch=batches, batch_size=5, concurrency=1
    )
    if alone is None:
        assert batches.sizes == [5, 1, 1, 1, 1, 1, 5]
        assert [str(one.error) for one in report.failures] == ["one of them"]
        assert summaries(alias).index(None) == 3
    else:
        assert batches.sizes == [5, 5]
        assert report.failed == 0
    assert report.saved == 10 - report.failed


def test_a_deleted_row_breaks_no_batch():
    """It is reported alone."""
    rows = articles(4)

    def delete(pairs):
        Article.objects.filter(pk=rows[2].pk).delete()
        for article, summary in pairs:
            save_whole(article, summary)

    report = run_queryset(pending(), summarize, save_batch=delete, batch_size=4)
    assert [type(one.error) for one in report.failures] == [RowDeletedError]
    assert summaries() == ["TEXT 0", "TEXT 1", "TEXT 3"]


def test_a_batch_is_saved_before_the_end_whatever_that_is():
    """Even where it is an interrupt while the batch is saved."""
    articles(4)
    interrupts = [KeyboardInterrupt]

    def keep(pairs):
        for article, summary in pairs:
            save(article, summary)
            if interrupts:
                raise interrupts.pop()

    with pytest.raises(KeyboardInterrupt):
        run_queryset(pending(), summarize, save_batch=keep, batch_size=4)
    assert summaries() == [f"TEXT {n}" for n in range(4)]


def test_what_does_not_fit_is_no_silent_loss():
    """bulk_update would cut it off on PostgreSQL: `save` is refused, and the row is told."""
    rows = articles(2, "postgres")

    def keep(article, name):
        article.author.name = name * (60 if article.pk == rows[0].pk else 1)
        article.author.save(update_fields=["name"])

    report = run_queryset(pending("postgres"), lambda _: "x", keep)
    (failure,) = report.failures
    assert (failure.key, failure.kind) == (rows[0].pk, "django.db.utils.DataError")
    assert [*Author.objects.using("postgres").order_by("pk").values_list("name", flat=True)] == [
        "author 0",
        "x",
    ]
