from articles.llm import call_llm
from articles.models import Article
from threadllm.contrib.django import ThreadedCommand


class Command(ThreadedCommand):
    def get_queryset(self, **options):
        return Article.objects.filter(summary=None).select_related("author")

    def process(self, article):
        return call_llm(f"Summarize, as {article.author.name} would: {article.text}")

    def save(self, article, summary):
        article.summary = summary
        article.save(update_fields=["summary"])
