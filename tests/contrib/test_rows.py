"""Rows page by page, whatever order or slice they have, and whatever becomes of them meanwhile."""

import itertools

import pytest
from articles.models import Article
from django.db import connection, connections
from django.test.utils import CaptureQueriesContext

from tests.contrib.support import articles, pending, save, summaries, summarize
from threadllm import OptionError
from threadllm.contrib.django import run_queryset
from threadllm.contrib.django.rows import source_of

ALL = 250  # more than two pages


def taken(given, limit=None):
    """The texts of the rows, in the order in which they come."""
    return [int(row.text.split()[1]) for row in source_of(given, limit=limit, window=8)]


def test_rows_that_leave_the_query_set_are_no_gap(alias):
    """Each of them is visited once, though those that are done leave it."""
    articles(ALL, alias)
    report = run_queryset(pending(alias), summarize, save, concurrency=4)
    assert report.saved == ALL
    assert None not in summaries(alias)


def test_a_page_is_asked_for_from_where_the_last_one_ended():
    """By the key, no offset: so no cursor need stay open."""
    articles(ALL)
    with CaptureQueriesContext(connection) as queries:
        assert taken(pending()) == [*range(ALL)]
    assert len(queries) == 4
    assert not any("OFFSET" in query["sql"] for query in queries)


def test_the_connection_may_be_closed_between_pages(alias):
    """No cursor would outlive that, nor a pooler of connections."""
    articles(ALL, alias)
    rows = iter(source_of(pending(alias), limit=None, window=8))
    first = next(rows)
    connections[alias].close()
    assert [first.pk, *(row.pk for row in rows)] == sorted(
        Article.objects.using(alias).values_list("pk", flat=True)
    )


@pytest.mark.parametrize(
    ("narrowed", "expected"),
    [
        (lambda rows: rows.order_by("-pk"), [*range(ALL)][::-1]),
        (lambda rows: rows.order_by("author__name", "pk")[:3], [0, 1, 10]),
        (lambda rows: rows.order_by("pk")[100:220], [*range(100, 220)]),
        (lambda rows: rows.extra(order_by=["-id"]), [*range(ALL)][::-1]),
        (lambda rows: rows.filter(text="text 7").union(rows.filter(text="text 5")), [5, 7]),
        (lambda rows: rows.reverse(), [*range(ALL)]),
        (lambda rows: rows.none(), []),
        (lambda rows: rows.filter(author__article__text__contains="text 1").distinct(), None),
        (lambda rows: rows.select_related("author").defer("text"), [*range(ALL)]),
    ],
)
def test_an_order_and_a_slice_are_kept(alias, narrowed, expected):
    """By their keys, which are listed first; each row comes once."""
    articles(ALL, alias)
    rows = narrowed(pending(alias))
    if expected is None:
        expected = [n for n in range(ALL) if str(n).startswith("1")]
    got = taken(rows)
    is_ordered = rows.query.standard_ordering and not rows.query.combinator
    assert (got if is_ordered else sorted(got)) == expected
    assert len(source_of(rows, limit=None, window=8)) == len(expected)


def test_distinct_on_fields_is_kept():
    """Which only PostgreSQL has; it goes by the order."""
    rows = articles(6, "postgres")
    Article.objects.using("postgres").filter(pk__gt=rows[2].pk).update(author=rows[0].author)
    given = pending("postgres").order_by("author", "-pk").distinct("author")
    assert taken(given) == [5, 1, 2]


def test_a_row_that_a_join_repeats_comes_once(alias):
    """In a page of its own, too."""
    rows = articles(3, alias)
    Article.objects.using(alias).update(author=rows[0].author)
    given = Article.objects.using(alias).filter(author__article__pk__in=[row.pk for row in rows])
    assert given.count() == 9
    assert taken(given) == [0, 1, 2]


def test_a_row_that_has_left_meanwhile_is_left_out():
    """Somebody else has done it, or deleted it, since its key was listed."""
    rows = articles(ALL)
    source = iter(source_of(pending().order_by("-pk"), limit=None, window=8))
    next(source)
    save(rows[0], "by somebody else")
    rows[1].delete()
    assert len([*source]) == ALL - 3


@pytest.mark.parametrize("given", [pending, lambda: pending().order_by("-pk"), lambda: range(ALL)])
def test_there_are_no_more_than_the_limit(given):
    """Nor does it count more."""
    articles(9)
    source = source_of(given(), limit=7, window=8)
    assert (len([*source]), len(source)) == (7, 7)
    assert [*source_of(given(), limit=0, window=8)] == []


def test_an_endless_input_is_no_more_than_asked_for():
    """And has no length."""
    report = run_queryset(itertools.count(), str, lambda *_: None, limit=20, concurrency=2)
    assert report.saved == 20
    with pytest.raises(TypeError):
        len(source_of(itertools.count(), limit=20, window=8))


def test_items_need_not_be_rows(tmp_path):
    """They go by their `id`, or by their index, and in a journal by what they hold."""

    def process(item):
        if item == "b":
            raise ValueError("b")
        return item["text"] if isinstance(item, dict) else item

    items = ["a", "b", {"id": "x", "text": 5}, {"id": "y"}]
    got = []
    for _ in range(2):
        report = run_queryset(
            items, process, lambda item, value: got.append(value), journal=tmp_path / "run.db"
        )
        assert sorted(map(str, report.failures)) == ["1: ValueError: b", "y: KeyError: 'text'"]
    assert sorted(map(str, got)) == ["5", "5", "a", "a"]
    assert report.remembered == 2


@pytest.mark.parametrize("fields", [lambda rows: rows.values(), lambda rows: rows.values_list()])
def test_what_gives_no_rows_is_refused(fields):
    """It could not be saved."""
    with pytest.raises(OptionError, match="leave them out"):
        run_queryset(fields(pending()), str, save)
