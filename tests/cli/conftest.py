"""What the command line's tests share: a command run in this process, which it leaves as it was."""

import io
import json
import os
import signal
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

from threadllm.cli import main
from threadllm.simulator import Simulator

PATIENCE = 60  # seconds after which what must come has not come, however busy the machine
SIGNALS = (signal.SIGINT, signal.SIGTERM)
LLM = """
import os
import requests

def ask(prompt):
    response = requests.post(
        os.environ["OPENAI_BASE_URL"] + "/chat/completions",
        json={"model": "m", "messages": [{"role": "user", "content": prompt}]},
        headers={"Authorization": "Bearer " + os.environ.get("OPENAI_API_KEY", "")},
    )
    response.raise_for_status()
    return response.json()["choices"][0]["message"]["content"]

def ask_or_none(prompt):
    try:
        return ask(prompt)
    except requests.RequestException as error:
        print(f"Error calling the API: {error}")
        return None

def echo(item):
    return item

class OddError(Exception):
    @property
    def response(self):
        raise RuntimeError("no response yet")

class OddDict(dict):
    def items(self):
        raise LookupError("no items")

def oddly(item):
    if item == "a":
        raise OddError("odd")
    if item == "b":
        from concurrent.futures import CancelledError
        raise CancelledError("by the function itself")
    return OddDict(value=1)

def nothing(item):
    print("nothing for", item)

def shout(text, mark="!"):
    return text + mark
"""


class Done(NamedTuple):
    """How a command ended, and what it wrote."""

    status: int
    out: str
    err: str


@pytest.fixture(autouse=True)
def _as_before(monkeypatch, tmp_path):
    """Puts back handlers, path, modules and environment; the current folder is the test's own."""
    monkeypatch.chdir(tmp_path)
    for name in ("OPENAI_BASE_URL", "OPENAI_API_KEY", "ANTHROPIC_API_KEY", "OLLAMA_HOST"):
        monkeypatch.delenv(name, raising=False)
    environment, path, modules = dict(os.environ), [*sys.path], {*sys.modules}
    handlers = {number: signal.getsignal(number) for number in SIGNALS}
    yield
    for number, handler in handlers.items():
        signal.signal(number, handler)
    for name in sys.modules.keys() - modules:
        if str(getattr(sys.modules[name], "__file__", "")).startswith(str(tmp_path)):
            del sys.modules[name]
    sys.path[:] = path
    os.environ.clear()
    os.environ.update(environment)


@pytest.fixture
def cli(capsys):
    """Runs a command line in this process."""

    def run(*argv):
        try:
            status = main([str(arg) for arg in argv])
        except SystemExit as end:
            status = end.code
        return Done(status, *capsys.readouterr())

    return run


@pytest.fixture
def write(tmp_path):
    """Writes a file into the current folder."""

    def file(name, content):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return file


@pytest.fixture
def llm(write):
    """A script of functions as people have them."""
    return write("llm.py", LLM)


@pytest.fixture
def prompts(write):
    """Three prompts."""
    return write("prompts.txt", "a\nb\nc\n")


@pytest.fixture
def sim(monkeypatch):
    """A provider that answers at once, to which the environment points."""
    with Simulator() as simulator:
        monkeypatch.setenv("OPENAI_BASE_URL", simulator.base_url)
        yield simulator


@pytest.fixture
def stdin(monkeypatch):
    """Gives the process another standard input."""

    def give(content):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content)))

    return give


def records(path):
    """The lines of a file, by their ids' and types' order, without what a clock has measured."""
    found = [json.loads(line) for line in Path(path).read_text().splitlines()]
    for record in found:
        assert record.pop("elapsed", 0.0) >= 0
    return sorted(found, key=lambda record: repr(record.get("id")))


def values(path):
    """What the function returned, by id."""
    return [(record["id"], record["value"]) for record in records(path)]


def ok(name, value, *, tokens=(0, 0)):
    """A line of `call` for an item that went well at once."""
    usage = dict(zip(("input_tokens", "output_tokens"), tokens, strict=True))
    return {"id": name, "value": value, "error": None, "attempts": 1, "usage": usage}


def failed(name, kind, message, status=None, attempts=1):
    """A line of `call` for an item that failed."""
    error = {"type": kind, "message": message, "status": status}
    return {**ok(name, None), "error": error, "attempts": attempts}
