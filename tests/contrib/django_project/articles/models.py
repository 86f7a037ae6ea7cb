from django.db import models


class Author(models.Model):
    name = models.CharField(max_length=50)


class Article(models.Model):
    author = models.ForeignKey(Author, models.CASCADE)
    text = models.TextField()
    summary = models.TextField(null=True)
