"""The command as a process of its own, on a real server: ended by signals, and begun again."""

import fcntl
import os
import pty
import re
import signal
import struct
import subprocess
import termios
import threading

import pytest

from tests.contrib.support import PROJECT, articles, backends, summaries
from tests.support import PATIENCE, until
from threadllm.simulator import Fault, Latency, Limits, Simulator

THREADS = 64
FAULTS = [
    Fault(status=503, rate=0.03),
    Fault(kind="reset", rate=0.01),
    Fault(kind="html", rate=0.01),
]
LIMITS = Limits(requests_per_minute=24_000, burst=200)


@pytest.fixture
def faulty(monkeypatch):
    """A provider as they are: it has limits, and some of its answers are none."""
    with Simulator(latency=Latency(mean=0.1), faults=FAULTS, limits=LIMITS) as simulator:
        yield simulator


@pytest.fixture
def begin(spawn, faulty, socket_folder, tmp_path):
    """Starts the command, over the rows of the server's database."""
    environment = {
        **os.environ,
        "ARTICLES_POSTGRES": socket_folder,
        "ARTICLES_NAME": "command",
        "OPENAI_BASE_URL": faulty.base_url,
        "OPENAI_API_KEY": "sk-planted-command",
        "DJANGO_SETTINGS_MODULE": "project.settings",
    }

    def start(*words, **options):
        return spawn(
            PROJECT / "manage.py", "summarize_articles", "--concurrency", THREADS, *words,
            cwd=tmp_path, env=environment, **options,
        )  # fmt: skip

    return start


def saved():
    return sum(summary is not None for summary in summaries("postgres"))


class Watch:
    """Asks the server, again and again, how many connections the command has."""

    def __enter__(self):
        self.most, self._ends = 0, threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()
        return self

    def _run(self):
        from django.db import connections

        while not self._ends.wait(0.01):
            self.most = max(self.most, backends("command"))
        connections["postgres"].close()

    def __exit__(self, *_):
        self._ends.set()
        self._thread.join()


@pytest.mark.long
def test_two_thousand_rows_by_one_connection(begin, faulty):
    """Killed by SIGTERM, by -9, and begun again: each has its summary, few were paid for twice."""
    articles(2000, "postgres")
    with Watch() as watch:
        first = begin(stdout=subprocess.PIPE)
        until(lambda: saved() > 400)
        first.send_signal(signal.SIGTERM)
        out, err = first.communicate(timeout=PATIENCE)
        after_first, twice_by_then = saved(), faulty.counts().answered_twice
        assert (first.returncode, twice_by_then) == (143, 0)
        assert f"{after_first:,} saved, 0 failed" in out
        assert "CommandError: stopped; what was finished is saved" in err

        second = begin()
        until(lambda: saved() > after_first + 400)
        second.kill()
        second.wait(PATIENCE)

        third = begin(stdout=subprocess.PIPE)
        out, err = third.communicate(timeout=PATIENCE)

    assert (third.returncode, err) == (0, "")
    assert saved() == 2000
    assert faulty.counts().answered_twice <= 2 * THREADS  # in flight, or finished and not yet saved
    assert watch.most == 1


def test_ctrl_c_saves_what_is_in_flight(begin, faulty):
    """Status 130, and nothing that was answered is asked for again."""
    articles(400, "postgres")
    process = begin(stdout=subprocess.PIPE)
    until(lambda: saved() > 50)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=PATIENCE)

    assert process.returncode == 130
    assert "SIGINT: stopping; up to 10 s for the calls in flight" in err
    assert f"{saved()} saved, 0 failed" in out
    (answered,) = faulty.counts().answered.values()
    assert sum(answered.values()) == saved()
    assert 50 < saved() < 400


def test_on_a_terminal_there_is_a_bar(begin):
    """It stays on its line; the summary follows on stdout."""
    articles(300, "postgres")
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("4H", 24, 120, 0, 0))
    process = begin(stdout=subprocess.PIPE, stderr=theirs)
    os.close(theirs)
    shown = b""
    try:
        while chunk := os.read(ours, 1000):
            shown += chunk
    except OSError:  # its end was closed
        pass
    os.close(ours)
    out, _ = process.communicate(timeout=PATIENCE)

    assert process.returncode == 0
    assert out.startswith("300 saved, 0 failed, ")
    last = shown.decode().rstrip().split("\r")[-1]
    assert re.search(r"100%.* 300/300 .*ok=300 failed=0", last)
