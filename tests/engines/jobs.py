"""Functions that workers are given: they can be imported there."""

import os
import signal
import threading
import time
from pathlib import Path

import requests

import threadllm


def double(n):
    return 2 * n


def where(_=None):
    """The process that it runs in."""
    return os.getpid()


def after(seconds):
    time.sleep(seconds)
    return seconds


class Together:
    """How many calls of `counted` are under way in this process, and the most that were."""

    lock = threading.Lock()
    now = most = 0


def counted(seconds):
    with Together.lock:
        Together.now += 1
        Together.most = max(Together.most, Together.now)
    time.sleep(seconds)
    with Together.lock:
        Together.now -= 1
    return seconds


def span(seconds):
    """When it began and when it ended, by a clock that all processes of a machine share."""
    began = time.monotonic()
    time.sleep(seconds)
    return began, time.monotonic()


def span_until(path):
    """The same; it ends once there is such a file."""
    began = time.monotonic()
    while not Path(path).exists():
        time.sleep(0.01)
    return began, time.monotonic()


def write(path, text):
    with Path(path).open("a", encoding="utf-8") as file:
        file.write(f"{text}\n")


def marked_after(path, seconds, text):
    """Say that it begins, wait, and say what there is to say."""
    write(path, text)
    time.sleep(seconds)
    return text


def fail(n):
    if n % 3 == 0:
        raise ValueError(f"{n} is no good")
    return n


def ask(url):
    body = {"model": "m", "messages": [{"role": "user", "content": "p"}]}
    headers = {"Authorization": "Bearer sk-planted-engine"}
    response = requests.post(f"{url}/chat/completions", json=body, headers=headers, timeout=30)
    response.raise_for_status()
    return response.json()["choices"][0]["message"]["content"]


def die(n):
    if n == 13:
        os.kill(os.getpid(), signal.SIGKILL)
    return n


def die_once(path, n):
    """Kill its process the first time that it is given a certain item."""
    if n == 13 and not Path(path).exists():
        write(path, "died")
        os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(0.01)
    return n


def initialise():
    os.environ["THREADLLM_TEST_INIT"] = "done"


def initialised(_):
    return os.environ.get("THREADLLM_TEST_INIT")


def break_init():
    raise RuntimeError("no settings, and api_key=sk-planted-init")


def exit_init():
    os._exit(7)


class UnpicklableError(Exception):
    """Loads nowhere, as many SDKs' errors do."""

    def __init__(self, message, *, response):
        super().__init__(message)
        self.response = response


def raise_unpicklable(_):
    response = requests.Response()
    response.status_code = 422
    raise UnpicklableError("no, with Authorization: Bearer sk-planted-error", response=response)


def raise_with_key(_):
    raise ValueError("Incorrect API key provided: sk-planted-argument", {"api_key": "sk-planted-x"})


def ask_by_key(url):
    """By a query, as some providers want it; the error has the address."""
    requests.get(f"{url}/nothing?api_key=sk-planted-query", timeout=30).raise_for_status()


def give_lock(_):
    return threading.Lock()


def nested(n):
    """A dispatcher within a worker."""
    return threadllm.map(double, range(n), max_workers=2)


def after_and_where(seconds):
    time.sleep(seconds)
    return os.getpid()


def timed_ask(url):
    """When it was answered, by a clock that all processes share."""
    ask(url)
    return time.time()


def load_only_in(process):
    if os.getpid() != process:
        raise RuntimeError("not in this process")


class OnlyThere:
    def __reduce__(self):
        return load_only_in, (os.getpid(),)


def give_what_loads_only_there(_):
    return OnlyThere()


class StatusError(Exception):
    def __init__(self, status, text):
        super().__init__(status, text)
        self.status = status


class MoodyError(Exception):
    """Never says the same twice."""

    def __str__(self):
        return f"{time.perf_counter_ns()}"


class RaisingError(Exception):
    """Whoever looks at what it carries is raised at, and it takes nothing more."""

    __slots__ = ()

    @property
    def response(self):
        raise RuntimeError

    @property
    def status(self):
        return None

    @property
    def retry_after(self):
        return None
