"""A program that ends without a thought for its dispatcher: at once, and nothing done is lost."""

import re
import subprocess
import sys
import time

import pytest

from tests.dispatcher.support import PATIENCE, plain_environment
from threadllm.journal import reading

PROMPT = 5.0  # seconds, an interpreter's start on a busy machine included
BEGINNING = """
import itertools, socket, sys, threading, time
import requests
from threadllm import Dispatcher, Retry

nobody = socket.create_server(("127.0.0.1", 0))
url = f"http://127.0.0.1:{nobody.getsockname()[1]}"

def slow(item):
    time.sleep(0.05)
    return item

def fail(item):
    time.sleep(0.2)
    if item:
        raise ConnectionError

def hang(item):
    time.sleep(0.2)
    if item:
        requests.get(url)

"""
LATER = "retry=Retry(wait_initial=60, jitter='none')"
ENDINGS = {
    "an idle pool": ("pool = Dispatcher(4); pool.submit(str, 1).result()", 0),
    "an idle pool with a bar": (
        "pool = Dispatcher(4, progress=True); pool.submit(str).result()",
        0,
    ),
    "an idle pool with a deadline": (
        "pool = Dispatcher(4, deadline=60); pool.submit(str, 1).result()",
        0,
    ),
    "a map that is half read": ("values = Dispatcher(2).map(slow, range(9999)); next(values)", 0),
    "a map without an end": ("values = Dispatcher(2).map(slow, itertools.count())", 0),
    "a map whose calls wait": (f"m = Dispatcher(2, {LATER}).map(fail, range(9999)); next(m)", 0),
    "outcomes that are half read": ("o = Dispatcher(2).outcomes(slow, range(9999)); next(o)", 0),
    "outcomes that nobody has read": ("o = Dispatcher(2).outcomes(slow, range(9999))", 0),
    "outcomes whose calls wait": (
        f"o = Dispatcher(2, {LATER}).outcomes(fail, range(9999)); next(o)",
        0,
    ),
    "outcomes whose calls hang": (
        "o = Dispatcher(2, grace=0.2).outcomes(hang, range(9999)); next(o)",
        0,
    ),
    "a loop that ends the program": (
        "for one in Dispatcher(2).outcomes(slow, range(9999)): sys.exit(3)",
        3,
    ),
    "a loop with an error": (
        "for one in Dispatcher(2).outcomes(slow, range(9999)): raise ValueError",
        1,
    ),
}


def ended(program, folder):
    """Run a program to its end; what it has come to."""
    return subprocess.run(
        [sys.executable, "-c", BEGINNING + program],
        cwd=folder,
        env=plain_environment(),
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_program_that_ends_does_so_at_once(tmp_path, ending):
    """Whatever the dispatcher it forgets was about; and in silence, but for its own error."""
    program, status = ENDINGS[ending]
    began = time.monotonic()
    done = ended(program, tmp_path)

    assert time.monotonic() - began < PROMPT
    assert done.returncode == status, done.stderr
    assert "threadllm" not in done.stderr
    assert ("Traceback" in done.stderr) is (status == 1)


def test_what_is_in_flight_then_is_kept(tmp_path):
    """It has its time of grace, and the journal is closed after it."""
    program = """
outcomes = Dispatcher(4).outcomes(slow, range(9999), journal="run.db")
print([next(outcomes).value for _ in range(6)])
"""
    done = ended(program, tmp_path)
    kept = [record["value"] for record in reading.records(str(tmp_path / "run.db"))]

    assert (done.returncode, done.stderr) == (0, "")
    assert {*map(int, done.stdout.strip("[]\n").split(","))} <= {*kept}
    assert 6 <= len(kept) <= 6 + 8  # no more than the window
    assert [path.name for path in tmp_path.glob("run.db-wal")] == []


def test_what_was_submitted_is_run_to_its_end(tmp_path):
    """As with ThreadPoolExecutor: retries, too."""
    program = """
def ask(item):
    seen.append(item)
    if len(seen) < 6:
        raise ConnectionError
    print("done", item)

seen = []
pool = Dispatcher(1, retry=Retry(wait_initial=0.1))
futures = [pool.submit(ask, n) for n in range(2)]
"""
    done = ended(program, tmp_path)

    assert (done.returncode, done.stderr) == (0, "")
    assert sorted(done.stdout.splitlines()) == ["done 0", "done 1"]


def test_who_reads_elsewhere_reads_on(tmp_path):
    """A thread that is no daemon outlives the main one, and its run goes on."""
    program = """
def read():
    print(sum(outcome.ok for outcome in Dispatcher(4).outcomes(slow, range(40))))

threading.Thread(target=read).start()
mine = Dispatcher(2).outcomes(slow, range(9999))
next(mine)
"""
    done = ended(program, tmp_path)

    assert (done.returncode, done.stdout, done.stderr) == (0, "40\n", "")


def test_a_run_that_is_begun_when_the_program_has_ended_is_told(tmp_path):
    """No thread can be had any more, and nothing hangs."""
    program = """
import atexit
pool = Dispatcher(2)
atexit.register(lambda: print([*pool.outcomes(str, [1])]))
"""
    done = ended(program, tmp_path)

    assert (done.returncode, done.stdout) == (0, "")
    told = (
        r"RuntimeError: (cannot schedule new futures after|can't create new thread at) interpreter"
    )
    assert re.search(told, done.stderr)
