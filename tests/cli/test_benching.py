"""`threadllm bench`: a table, JSON and a chart of an endpoint."""

import json
import signal
import subprocess

import pytest

from tests.support import until
from threadllm.simulator import Fault, Latency, Simulator, digest


@pytest.fixture
def bench(cli):
    """Runs the command without a bar."""
    return lambda *words: cli("bench", "--model", "m", "--no-progress", *words)


def test_an_endpoint_is_measured(bench, sim, tmp_path):
    """The table on stdout; figures and chart in files."""
    done = bench("-c", "1,4", "-n", 8, "-o", "bench.json", "--chart", "bench.png")
    assert (done.status, done.err) == (0, "")
    title, heads, one, four = done.out.splitlines()
    assert title == f"m, {sim.base_url}"
    assert heads.split()[:3] == ["at", "a", "time"]
    assert (one.split()[0], four.split()[0]) == ("1", "4")
    assert one.split()[-3:] == ["8", "0", "0"]
    levels = json.loads((tmp_path / "bench.json").read_text())["levels"]
    assert [level["ok"] for level in levels] == [8, 8]
    assert (tmp_path / "bench.png").read_bytes().startswith(b"\x89PNG")
    assert sim.counts().requests == 17


def test_by_default_it_asks_questions_of_its_own(bench):
    """At 1, 8, 32 and 128 at a time; --simulate brings a provider along."""
    done = bench("--simulate", "latency=0")
    assert done.status == 0
    rows = [line.split() for line in done.out.splitlines()[2:]]
    assert [(row[0], row[-3]) for row in rows] == [
        ("1", "8"),
        ("8", "32"),
        ("32", "128"),
        ("128", "512"),
    ]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("p.txt", "one\ntwo\n"),
        ("p.csv", "prompt,id\none,1\ntwo,2\n"),
        ("p.jsonl", '{"prompt": "one"}\n{"messages": [{"role": "user", "content": "two"}]}\n'),
    ],
)
def test_prompts_come_from_a_file(bench, sim, write, name, content):
    """In turns."""
    done = bench("-c", 2, "-n", 4, "--prompts", write(name, content))
    assert done.status == 0
    assert sim.counts().answered["/v1/chat/completions"] == {digest("one"): 3, digest("two"): 2}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["-c", "1,x"], "argument -c/--concurrency: 'x': give a whole number from 1 to 10,000"),
        (["-c", "1,1"], "argument -c/--concurrency: '1,1': name each number once"),
        (["-n", "0"], "argument -n/--requests: '0': give a whole number, 1 or more"),
        (["-o", "no/x.json"], "no/x.json: there is no folder "),
        (["--chart", "x.doc"], "x.doc: name it .png, .svg or .pdf"),
        (["--prompts", "no.txt"], "no.txt"),
        (["--prompts", "odd.jsonl"], "odd.jsonl: line 2: give it a prompt, or messages"),
        (["--prompts", "worse.jsonl"], "worse.jsonl: line 1: "),
        (["--prompts", "empty.txt"], "prompts: give at least one"),
        (["--base-url", "here"], "--base-url 'here': write it like http://localhost:11434/v1"),
        (["--api-key-env", "NOT_SET"], "--api-key-env: NOT_SET is not set"),
    ],
)
def test_what_cannot_be_meant_is_refused(bench, sim, write, words, said):
    """Before anything is asked."""
    write("odd.jsonl", '{"prompt": "one"}\n{"question": "two"}\n')
    write("worse.jsonl", "{\n")
    write("empty.txt", "")
    done = bench(*words)
    assert done.status == 2
    assert said in done.err
    assert sim.counts().requests == 0


def test_failures_are_shown_and_make_the_status_1(bench, sim):
    """Below the table, with their text."""
    sim.script([Fault(kind="ok"), Fault(status=500)])
    done = bench("-c", 1)
    assert done.status == 1
    assert done.out.splitlines()[-1].startswith("1 x requests.exceptions.HTTPError: 500 ")


def test_nobody_there_is_one_line(bench, monkeypatch):
    """And no table."""
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:9/v1")
    done = bench()
    assert (done.status, done.out) == (1, "")
    assert done.err.startswith("stopped: requests.exceptions.ConnectionError: ")
    assert done.err.count("\n") == 1


def test_a_key_that_is_not_accepted_is_said_at_once(bench, monkeypatch):
    """With what to do, and without the key."""
    with Simulator(api_keys={"sk-planted-another"}) as sim:
        monkeypatch.setenv("OPENAI_BASE_URL", sim.base_url)
        monkeypatch.setenv("OPENAI_API_KEY", "sk-planted-bench")
        done = bench()
        assert sim.counts().requests == 1
    assert done.status == 1
    assert done.err.startswith("stopped: ")
    assert "401" in done.err
    assert "planted" not in done.err


def test_a_file_that_cannot_be_written_is_said_behind_the_table(bench, sim, tmp_path):
    """What was measured has been shown."""
    (tmp_path / "bench.json").mkdir()
    done = bench("-c", 1, "-o", "bench.json")
    assert done.status == 2
    assert done.err == "threadllm: bench.json: Is a directory\n"
    assert len(done.out.splitlines()) == 3


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_what_was_measured_is_shown_when_it_is_ended(spawn, number, status, tmp_path):
    """The level that was under way is not."""
    with Simulator(latency=Latency(mean=0.05)) as sim:
        words = ["-c", "1,2", "-n", 60, "--base-url", sim.base_url, "--no-progress"]
        words += ["--model", "m", "-o", tmp_path / "b.json"]
        process = spawn("-m", "threadllm", "bench", *words, stdout=subprocess.PIPE)
        until(lambda: sim.counts().max_in_flight == 2)
        process.send_signal(number)
        out, err = process.communicate(timeout=60)
    assert process.returncode == status
    assert err.splitlines()[-1] == f"stopped: {number.name}"
    assert [row.split()[0] for row in out.splitlines()[2:]] == ["1"]
    assert len(json.loads((tmp_path / "b.json").read_text())["levels"]) == 1
