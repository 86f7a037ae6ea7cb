"""`import threadllm` costs little more than `import requests`, and brings nothing else along."""

import os
import statistics
import subprocess
import sys

import pytest

RUNS = 7
LATER = ("aiohttp", "asyncio", "backoff", "requests", "sqlite3", "tqdm", "urllib3")
SLOWER = ("COVERAGE_", "PYTHONDONTWRITEBYTECODE", "PYTHONPYCACHEPREFIX")


@pytest.fixture
def python(tmp_path):
    """Runs a process that nothing slows down, and that finds all modules compiled."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith(SLOWER)}
    environment["PYTHONPYCACHEPREFIX"] = str(tmp_path)

    def run(*arguments):
        command = [sys.executable, *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True, env=environment)

    run("-c", "import threadllm")
    return run


@pytest.fixture
def microseconds(python):
    """What a fresh process says that an import cost, with all that it brought along."""

    def measure(name):
        told = python("-X", "importtime", "-c", f"import {name}").stderr.splitlines()
        rows = [line.removeprefix("import time:").split("|") for line in told]
        return next(int(cumulative) for _, cumulative, module in rows if module.strip() == name)

    return measure


def test_the_import_costs_little_more_than_that_of_requests(microseconds):
    """At most 1.3 times as much, as the median of runs that take turns."""
    ratios = [microseconds("threadllm") / microseconds("requests") for _ in range(RUNS)]

    assert statistics.median(ratios) <= 1.3


def test_what_is_needed_later_is_imported_later(python):
    """The bar, the journal, the simulator, the transport, the waits: each with its first use."""
    program = f"import sys, threadllm; print(*sorted({{*sys.modules}} & {{*{LATER!r}}}))"

    assert python("-c", program).stdout == "\n"
