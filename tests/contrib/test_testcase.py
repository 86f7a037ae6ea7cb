"""In the tests of a project: Django's own TestCase, which wraps each test in a transaction."""

import threading
import unittest

import pytest
from articles.models import Article
from django.db import connections
from django.test import TestCase, TransactionTestCase, override_settings

from tests.contrib.support import articles, pending, summaries
from threadllm.contrib.django import WorkerQueryError, run_queryset
from threadllm.testing import inline


def save(article, summary):
    article.summary = summary
    article.save(update_fields=["summary"])


def text(article):
    return article.text


def author(article):
    return article.author.name


@pytest.fixture(params=["default", "postgres"])
def ended(request):
    """Runs a test of a project, as Django's runner does, and says how it has ended."""

    def run(base, body):
        case = type("Case", (base,), {"databases": {request.param}, "test": body})
        case.alias = request.param
        connections[request.param].ensure_connection()
        result = unittest.TestResult()
        unittest.TestSuite([case("test"), case("test")]).run(result)
        assert result.testsRun == 2
        return [error for _, error in (*result.failures, *result.errors)]

    return run


def test_real_threads_pass_in_a_test_case(ended):
    """As long as they do not ask the database; each test begins with an empty one."""

    def test(self):
        articles(20, self.alias)
        threads = set()
        report = run_queryset(
            pending(self.alias),
            lambda row: threads.add(threading.get_ident()) or text(row),
            save,
            concurrency=4,
        )
        assert report.saved == 20
        assert threading.get_ident() not in threads
        assert None not in summaries(self.alias)

    assert ended(TestCase, test) == []


def test_a_thread_that_asks_in_a_test_case_is_told_what_to_do(ended):
    """The rows are in a transaction that only the test's own thread sees into."""

    def test(self):
        articles(1, self.alias)
        (failure,) = run_queryset(pending(self.alias), author, save).failures
        assert type(failure.error) is WorkerQueryError
        assert "inline()" in failure.message

    assert ended(TestCase, test) == []


@pytest.mark.parametrize("way", [inline, lambda: override_settings(THREADLLM_INLINE=True)])
def test_inline_it_may_ask(ended, way):
    """In the test's thread, with its connection, which stays open."""

    def test(self):
        articles(5, self.alias)
        with way():
            assert run_queryset(pending(self.alias), author, save).saved == 5
        assert Article.objects.using(self.alias).count() == 5

    assert ended(TestCase, test) == []


def test_a_transaction_test_case_may_ask_in_threads(ended):
    """Nothing keeps its database from being emptied afterwards."""

    def test(self):
        articles(5, self.alias)
        assert run_queryset(pending(self.alias), author, save).saved == 5

    assert ended(TransactionTestCase, test) == []
