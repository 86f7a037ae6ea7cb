"""What the environment says: ARTICLES_SQLITE is a path, ARTICLES_POSTGRES a socket's folder."""

import os

USE_TZ = True
TIME_ZONE = "UTC"
USE_I18N = True
LANGUAGE_CODE = "en-us"
SECRET_KEY = "planted-not-secret"
INSTALLED_APPS = ["articles"]
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
SQLITE = {
    "ENGINE": "django.db.backends.sqlite3",
    "NAME": os.environ.get("ARTICLES_SQLITE", "articles.db"),
}
POSTGRES = {
    "ENGINE": "django.db.backends.postgresql",
    "HOST": os.environ.get("ARTICLES_POSTGRES", ""),
    "NAME": "articles",
    "USER": "postgres",
    "CONN_MAX_AGE": None,  # which keeps connections for ever
    "OPTIONS": {"application_name": os.environ.get("ARTICLES_NAME", "articles")},
}
DATABASES = {"default": POSTGRES if os.environ.get("ARTICLES_POSTGRES") else SQLITE}
