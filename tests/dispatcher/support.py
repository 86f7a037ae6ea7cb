"""What these tests share: errors as SDKs raise them, gauges, and Python processes of their own."""

import os
import signal
import subprocess
import sys
import threading
from contextlib import contextmanager
from types import SimpleNamespace
from unittest import mock

PATIENCE = 30  # real seconds after which something hangs


class BusyError(Exception):
    """An error as an SDK raises it: a status, and headers that may ask to wait."""

    def __init__(self, status=503, after=None):
        super().__init__(f"status {status}")
        self.status_code = status
        headers = {} if after is None else {"Retry-After": str(after)}
        self.response = SimpleNamespace(status_code=status, headers=headers)


class Gauge:
    """Counts how many are in at a time, and how many were at most."""

    def __init__(self):
        self._lock = threading.Lock()
        self._inside = 0
        self.peak = 0

    def __enter__(self):
        with self._lock:
            self._inside += 1
            self.peak = max(self.peak, self._inside)

    def __exit__(self, *_):
        with self._lock:
            self._inside -= 1


class Calls:
    """A function that notes its calls, and fails as often as an item is to fail."""

    def __init__(self, failures, clock=None):
        self.seen = []
        self._clock = clock
        self._failures = {item: list(errors) for item, errors in failures.items()}

    def __call__(self, item):
        self.seen.append((item, self._clock.monotonic()) if self._clock else item)
        errors = self._failures.get(item)
        if errors:
            raise errors.pop(0)
        return item


class Told:
    """A run that notes what signals tell it."""

    def __init__(self):
        self.heard = []
        self.stopped = threading.Event()

    def interrupt(self, signal_name):
        self.heard.append(signal_name)
        self.stopped.set()

    def cut(self):
        self.heard.append("cut")


def interrupted(run, number=signal.SIGINT):
    """Send a signal, and wait until the run has been told."""
    signal.raise_signal(number)
    assert run.stopped.wait(PATIENCE)


def plain_environment():
    """The environment without what would have coverage measure a new process."""
    return {name: text for name, text in os.environ.items() if not name.startswith("COVERAGE_")}


def python(code, *options, env=None):
    """What a Python process prints; it must end well, and in time."""
    ended = subprocess.run(
        [sys.executable, *options, "-c", code],
        capture_output=True,
        text=True,
        timeout=2 * PATIENCE,
        check=False,
        env=env,
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    return ended.stdout


@contextmanager
def no_threads():
    """While it lasts no thread can be started."""

    def refuse(thread):
        raise RuntimeError("can't start new thread")

    with mock.patch.object(threading.Thread, "start", refuse):
        yield


def begun(pool, held, *args):
    """The future of a call that has begun, and lasts until it is let go."""
    here = threading.Event()

    def call():
        here.set()
        held.wait(PATIENCE)
        return args

    future = pool.submit(call)
    assert here.wait(PATIENCE)
    return future
