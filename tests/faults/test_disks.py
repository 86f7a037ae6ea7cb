"""Row 23: a full disk at the command line: what is said, what stays, and how it goes on."""

import json
import subprocess
import sys

import pytest

from tests.dispatcher.support import plain_environment
from threadllm.journal import reading

ITEMS = 200
ROOM = 100_000  # bytes that a file may have
COMMAND = """
import resource, sys
if sys.argv[1] != "all":
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]), resource.RLIM_INFINITY))
from threadllm.cli import main
sys.exit(main(sys.argv[2:]))
"""
FUNCTION = """
def shout(text):
    with open("calls.txt", "a") as file:
        file.write(f"{text}\\n")
    return text * 1_000
"""


@pytest.fixture
def call(tmp_path):
    """Runs `threadllm call` in a process of its own whose files may not grow beyond a size."""
    (tmp_path / "f.py").write_text(FUNCTION)
    (tmp_path / "in.txt").write_text("".join(f"{n}\n" for n in range(ITEMS)))

    def run(room, *options):
        words = ["call", "f.py:shout", "in.txt", "-c", "8", "--no-progress", *options]
        return subprocess.run(
            [sys.executable, "-c", COMMAND, str(room), *words],
            cwd=tmp_path,
            env=plain_environment(),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    return run


def bought(folder):
    """How often the function was called."""
    return len((folder / "calls.txt").read_text().split())


@pytest.mark.parametrize("full", ["out.jsonl", "run.db"])
def test_fault_23_a_full_disk_stops_the_run_and_loses_nothing(call, tmp_path, full):
    """The path and the reason are told, the journal can be read, and the next run goes on."""
    # The journal holds more bytes than the output, unless the items have been bought before.
    options = ["-o", "out.jsonl", "--journal", "run.db"]
    if full == "out.jsonl":
        assert call("all", "-o", "-", *options[2:]).returncode == 0
    before = bought(tmp_path) if full == "out.jsonl" else 0
    stopped = call(ROOM, *options)
    kept = [*reading.records(str(tmp_path / "run.db"))] if full == "run.db" else []
    done = call("all", *options)
    lines = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]

    assert stopped.returncode == 1
    assert full in stopped.stderr
    assert "Traceback" not in stopped.stderr
    assert any(why in stopped.stderr for why in ("too large", "full", "disk I/O error"))
    assert done.returncode == 0, done.stderr
    assert sorted(line["id"] for line in lines) == [*range(1, ITEMS + 1)]
    assert all(line["value"] == str(line["id"] - 1) * 1_000 for line in lines)
    if full == "out.jsonl":
        assert bought(tmp_path) == before == ITEMS
    else:
        assert 0 < len(kept) < ITEMS
        assert bought(tmp_path) <= ITEMS + 8  # those in flight
