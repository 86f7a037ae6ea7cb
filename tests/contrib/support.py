"""What the tests of contrib share."""

from pathlib import Path

from django.db import connections

PROJECT = Path(__file__).parent / "django_project"


def articles(number, alias="default", **fields):
    """So many new ones, in a list, each of an author of its own, who is not fetched."""
    from articles.models import Article, Author

    authors = [Author(name=f"author {n}") for n in range(number)]
    made = Author.objects.using(alias).bulk_create(authors)
    rows = [Article(author=author, text=f"text {n}", **fields) for n, author in enumerate(made)]
    first, *_ = Article.objects.using(alias).bulk_create(rows)
    return list(Article.objects.using(alias).filter(pk__gte=first.pk).order_by("pk"))


def pending(alias="default"):
    from articles.models import Article

    return Article.objects.using(alias).filter(summary=None)


def summaries(alias="default"):
    from articles.models import Article

    return list(Article.objects.using(alias).order_by("pk").values_list("summary", flat=True))


def summarize(article):
    """A result, without any LLM."""
    return article.text.upper()


def save(article, summary):
    article.summary = summary
    article.save(update_fields=["summary"])


def backends(name="articles"):
    """How many connections a server has of a program, that of this thread included."""
    with connections["postgres"].cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_stat_activity WHERE application_name = %s", [name])
        return cursor.fetchone()[0]
