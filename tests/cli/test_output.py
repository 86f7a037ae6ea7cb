"""Where results go: files that are there already, disks that are full, readers that leave."""

import json
import os
import resource
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.cli.conftest import values
from threadllm.dispatcher import Dispatcher
from threadllm.jobs import Writer
from threadllm.simulator import Latency, Simulator

THOUSAND = "".join(f"{n}\n" for n in range(1000))


def shell(script, *, sim=None, measured=True, **options):
    """Runs a line of shell in which $threadllm stands for the command."""
    env = os.environ | {"threadllm": f"{sys.executable} -m threadllm"}
    if not measured:  # coverage's own file would not fit onto the disk
        env = {name: text for name, text in env.items() if not name.startswith("COVERAGE")}
    if sim is not None:
        env["OPENAI_BASE_URL"] = sim.base_url
    return subprocess.run(
        ["/bin/sh", "-c", script], env=env, capture_output=True, text=True, check=False, **options
    )


def test_results_are_not_thrown_away(cli, llm, prompts, write):
    """A file that holds something is refused as it is; --overwrite empties it."""
    kept = write("out.jsonl", "paid for\n")

    assert cli("call", f"{llm}:echo", prompts, "-o", kept) == (
        2,
        "",
        f"threadllm: {kept} holds results already. Name another, or say --overwrite\n",
    )
    assert kept.read_text() == "paid for\n"
    assert cli("call", f"{llm}:echo", prompts, "-o", kept, "--overwrite").status == 0
    assert values(kept) == [(1, "a"), (2, "b"), (3, "c")]


@pytest.mark.parametrize("link", [os.link, os.symlink, None])
def test_the_input_is_no_place_for_the_output(cli, llm, prompts, link):
    """However the output is spelt, a file is not written while it is read."""
    output = "./prompts.txt"
    if link:
        output = "other.txt"
        link(prompts, output)

    assert cli("call", f"{llm}:echo", prompts, "-o", output, "--overwrite") == (
        2,
        "",
        f"threadllm: {output}: is the input too. Name another file for the results\n",
    )
    assert prompts.read_text() == "a\nb\nc\n"


@pytest.mark.parametrize(
    "pipes", ["- -o in.jsonl --overwrite < in.jsonl", "in.jsonl -o - >> in.jsonl"]
)
def test_the_shell_too_may_make_one_file_of_both(llm, write, pipes):
    """Standard input and output count as the files that they are."""
    source = write("in.jsonl", '{"prompt": "a"}\n')

    done = shell(f"$threadllm call llm.py:echo {pipes}")

    assert done.returncode == 2
    assert done.stderr.endswith(": is the input too. Name another file for the results\n")
    assert source.read_text() == '{"prompt": "a"}\n'


@pytest.mark.parametrize(
    ("output", "reason"),
    [
        ("missing/out", "No such file or directory"),
        (".", "Is a directory"),
        ("a\0b", "embedded null byte"),
    ],
)
def test_a_place_that_cannot_be_written_is_refused(cli, llm, prompts, sim, output, reason):
    """The path and the reason are told before anything is sent."""
    done = cli("call", f"{llm}:ask", prompts, "-o", output)

    assert done == (2, "", f"threadllm: cannot write {output}: {reason}\n")
    assert sim.counts().requests == 0


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a device of Linux")
def test_a_full_device_ends_the_run(cli, llm, write, sim):
    """Path and reason are told, and what has not begun is neither sent nor paid for."""
    done = cli(
        "call", f"{llm}:ask", write("in.txt", THOUSAND), "-o", "/dev/full", "-c", 2, "--no-progress"
    )

    lines = done.err.splitlines()
    assert done.status == 1
    assert lines[0] == "0 items: 0 ok, 0 failed -> /dev/full"
    assert lines[-1] == "stopped: /dev/full: No space left on device. What is written is kept"
    assert sim.counts().requests <= 4


def test_a_full_disk_ends_the_run_and_keeps_what_is_written(llm, write, tmp_path):
    """Whole lines stay in the file, the status is 1, and the run does not run on."""
    write("in.txt", THOUSAND)

    with Simulator() as sim:
        done = shell(
            "$threadllm call llm.py:ask in.txt -o out.jsonl -c 2 --no-progress",
            sim=sim,
            measured=False,
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000)),
        )
        requests = sim.counts().requests

    lines = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert done.returncode == 1
    assert (
        done.stderr.splitlines()[0] == f"{len(lines)} items: {len(lines)} ok, 0 failed -> out.jsonl"
    )
    assert done.stderr.endswith("stopped: out.jsonl: File too large. What is written is kept\n")
    assert len(lines) >= 4
    assert requests <= len(lines) + 4


@pytest.mark.parametrize("command", ["call llm.py:ask in.txt", "run in.jsonl"])
def test_a_reader_that_leaves_ends_the_run(llm, write, command):
    """`| head -1` gets its line; the rest is not run, and there is no traceback."""
    write("in.txt", THOUSAND)
    write(
        "in.jsonl",
        '{"prompt": "a", "model": "m"}\n' * 1
        + "".join(f'{{"prompt": "{n}", "model": "m"}}\n' for n in range(999)),
    )

    with Simulator(latency=Latency(mean=0.02)) as sim:
        done = shell(
            f"{{ $threadllm {command} -o - -c 2 --no-progress; echo $? >&2; }} | head -1", sim=sim
        )
        requests = sim.counts().requests

    assert json.loads(done.stdout)["error"] is None
    assert done.stderr.splitlines()[4:] == [
        "stopped: stdout: Broken pipe. What is written is kept",
        "1",
    ]
    assert requests < 1000


def test_an_input_that_breaks_ends_the_run(cli, llm, tmp_path):
    """What the system cannot read on is told with its reason; what was begun is finished."""
    (tmp_path / "in.jsonl").symlink_to("/proc/self/mem")

    done = cli("call", f"{llm}:echo", "in.jsonl", "-o", "out.jsonl", "--no-progress")

    assert done.status == 1
    assert (
        done.err.splitlines()[-1]
        == "stopped: in.jsonl: Input/output error. What is written is kept"
    )


def test_threads_that_cannot_be_started_end_the_run(cli, llm, prompts, monkeypatch):
    """Where the system gives no more threads that is the reason told, not a traceback."""

    def submit(*_):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(ThreadPoolExecutor, "submit", submit)

    done = cli("call", f"{llm}:echo", prompts, "-o", "out.jsonl", "--no-progress")

    assert done.status == 1
    assert done.err.splitlines()[-1] == "stopped: can't start new thread. What is written is kept"


def test_a_signal_while_an_item_is_on_its_way_is_no_error(cli, llm, prompts, monkeypatch):
    """A pool that a signal has shut before the item reached it says so as the signal it was."""

    def outcomes(pool, *args, **options):
        signal.raise_signal(signal.SIGINT)
        pool.shutdown()
        yield pool.submit(print)

    monkeypatch.setattr(Dispatcher, "outcomes", outcomes)

    done = cli("call", f"{llm}:echo", prompts, "-o", "out.jsonl", "--no-progress")

    assert done.status == 130
    assert done.err.splitlines()[-1] == "stopped: SIGINT. What is written is kept"


@pytest.mark.parametrize("kind", [RecursionError, NotImplementedError, RuntimeError])
def test_a_fault_of_our_own_is_not_told_as_an_end_of_the_run(cli, llm, prompts, monkeypatch, kind):
    """What is wrong in the program itself comes with its traceback."""

    def write(*_):
        raise kind("of our own")

    monkeypatch.setattr(Writer, "write", write)

    with pytest.raises(kind, match=r"^of our own$"):
        cli("call", f"{llm}:echo", prompts, "-o", "out.jsonl", "--no-progress")
