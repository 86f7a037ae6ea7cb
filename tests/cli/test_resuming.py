"""Runs that remember: nothing is paid for twice, and the output has one line an item."""

import json
import os
from pathlib import Path

import pytest

from tests.cli.conftest import records, values
from threadllm.simulator import Fault, Simulator

SCRIPT = """
import os

def f(x):
    with open("calls.txt", "a") as file:
        file.write(f"{x}\\n")
    if x == "b" and not os.path.exists("mended"):
        raise ValueError("no b")
    return {"got": x}
"""


@pytest.fixture
def run(cli, write):
    """Runs `call` over a file, with options."""
    script = write("f.py", SCRIPT)
    write("in.txt", "a\nb\nc\nd\n")

    def call(*options, source="in.txt", output="out.jsonl"):
        return cli("call", f"{script}:f", source, "-o", output, "-c", 2, "--no-progress", *options)

    return call


def calls():
    """What the function was called with since this was asked last."""
    file = Path("calls.txt")
    seen = sorted(file.read_text().split()) if file.exists() else []
    file.unlink(missing_ok=True)
    return seen


@pytest.mark.parametrize("options", [("--resume",), ("--journal", "run.db")])
def test_a_second_run_does_what_is_left(run, options):
    """What failed is run again, its line replaced; the bar's total and the summary count all."""
    first = run(*options)
    assert (first.status, calls()) == (1, ["a", "b", "c", "d"])
    Path("mended").touch()
    second = run(*options)

    assert (second.status, calls()) == (0, ["b"])
    assert values("out.jsonl") == [(n, {"got": x}) for n, x in enumerate("abcd", 1)]
    assert second.err.startswith("4 items: 4 ok, 0 failed, 3 of them remembered -> out.jsonl\n")


def test_a_journal_beside_the_output_is_gone_on_with(run):
    """Nobody need say so."""
    run("--resume")
    calls()
    assert run().status == 1
    assert calls() == ["b"]
    assert not run("--overwrite").out
    assert (len(records("out.jsonl")), calls()) == (4, ["b"])


def test_without_a_journal_a_file_with_results_is_left_alone(run):
    """As nothing says what they are."""
    Path("out.jsonl").write_text('{"id": 1}\n')
    done = run("--resume")

    assert (done.status, Path("out.jsonl").read_text()) == (2, '{"id": 1}\n')
    assert "holds results already" in done.err


@pytest.mark.parametrize("torn", [0, 1, 30, 150])
def test_fault_24_a_torn_end_is_repaired(run, torn):
    """Wherever the last line was cut; the next one is not swallowed, and none is there twice."""
    run("--resume", "--ordered")
    whole = Path("out.jsonl").read_bytes()
    Path("out.jsonl").write_bytes(whole[: len(whole) - torn])
    calls()
    run("--retry-failed", "none")

    assert calls() == []
    assert sorted(Path("out.jsonl").read_bytes().splitlines()) == sorted(whole.splitlines())


def test_a_line_stays_where_it_was(run):
    """That which takes its place, too."""
    run("--resume", "--ordered")
    Path("mended").touch()
    run("--ordered")
    ids = [json.loads(line)["id"] for line in Path("out.jsonl").read_text().splitlines()]

    assert ids == [1, 2, 3, 4]


def test_lines_that_are_there_twice_are_there_once_then(run):
    """As a run leaves them that is killed before it has put things right."""
    run("--resume")
    lines = Path("out.jsonl").read_text().splitlines(keepends=True)
    Path("out.jsonl").write_text("".join([*lines, lines[0].replace("elapsed", "later")]))
    Path("out.jsonl").chmod(0o640)
    run("--retry-failed", "none")
    found = Path("out.jsonl").read_text().splitlines(keepends=True)

    assert found == lines
    assert Path("out.jsonl").stat().st_mode & 0o777 == 0o640
    assert not Path("out.jsonl.new").exists()


def test_an_output_through_a_link_stays_one(run):
    """What it leads to is put right."""
    Path("out.jsonl").symlink_to("real.jsonl")
    run("--resume")
    Path("mended").touch()
    run()

    assert Path("out.jsonl").is_symlink()
    assert len(values("real.jsonl")) == 4


@pytest.mark.parametrize("line", ["no json", "[1]", '{"custom_id": 1}', '"id"', "\ufeff{}"])
def test_an_output_of_something_else_is_left_alone(run, line):
    """The error names the line."""
    run("--resume")
    with Path("out.jsonl").open("a") as file:
        file.write(f"{line}\n")
    before = Path("out.jsonl").read_bytes()
    done = run()

    assert (done.status, Path("out.jsonl").read_bytes()) == (2, before)
    assert done.err.endswith(
        "out.jsonl, line 5: it is no result with 'id', and so cannot be gone on with. Name "
        "another file, or say --overwrite\n"
    )


def test_items_go_by_their_content(run, write):
    """Lines may move, be added, and come twice; one that is changed is run again."""
    run("--resume")
    calls()
    write("in.txt", "new\nd\na\na\nc changed\n")
    run()

    assert calls() == ["c", "changed", "new"]
    lines = [(line["id"], line["value"]["got"]) for line in records("out.jsonl")]
    assert lines == [(1, "new"), (2, "d"), (3, "a"), (4, "a"), (5, "c changed")]


def test_items_with_ids_go_by_both(run, write):
    """Two that ask for the same are two."""
    write("in.jsonl", '{"id": "x", "prompt": "a"}\n{"id": "y", "prompt": "a"}\n')
    run("--resume", source="in.jsonl")
    assert calls() == ["a", "a"]
    write("in.jsonl", '{"id": "y", "prompt": "a"}\n{"id": "x", "prompt": "c"}\n')
    run(source="in.jsonl")

    assert calls() == ["c"]
    assert values("out.jsonl") == [("x", {"got": "c"}), ("y", {"got": "a"})]


def test_another_version_runs_all_again(run):
    """A text that says what the items do not."""
    run("--resume")
    run("--journal-version", "2")
    assert calls() == sorted([*"abcd"] * 2)


def test_results_on_stdout_are_all_written(run):
    """Those that are remembered, too; the journal must be named."""
    run("--journal", "run.db", output="-")
    calls()
    done = run("--journal", "run.db", output="-", source="in.txt")
    refused = run("--resume", output="-")

    assert (len(done.out.splitlines()), calls()) == (4, ["b"])
    assert (refused.status, "say which journal: --journal FILE" in refused.err) == (2, True)


def test_another_functions_journal_is_refused(run, cli, llm):
    """Nothing is called, and nothing written."""
    run("--journal", "run.db")
    done = cli("call", f"{llm}:echo", "in.txt", "-o", "new.jsonl", "--journal", "run.db")

    assert (done.status, Path("new.jsonl").read_text()) == (2, "")
    assert "it is of threadllm call f:f, not of threadllm call llm:echo" in done.err


def test_a_journal_that_cannot_be_written_ends_the_run(run, monkeypatch):
    """With its path and the reason."""
    from threadllm import JournalError
    from threadllm.journal.store import Store

    def full(store, rows):
        raise JournalError(store.path, "database or disk is full", "Free some space")

    monkeypatch.setattr(Store, "put", full)
    done = run("--journal", "run.db")

    assert done.status == 1
    assert done.err.endswith(
        "stopped: journal run.db: database or disk is full. Free some space. What is written is "
        "kept\n"
    )


def test_batch_lines_are_remembered_with_their_answers(cli, write, monkeypatch):
    """One that was refused for good has the line that it had, its body included."""
    lines = [{"custom_id": str(n), "messages": [{"role": "user", "content": f"p{n}"}], "model": "m"}
             for n in range(3)]  # fmt: skip
    write("in.jsonl", "".join(json.dumps(line) + "\n" for line in lines))
    with Simulator(script={"p1": [Fault(kind="status", status=400)] * 3}) as sim:

        def run(*options):
            return cli(
                "run",
                "in.jsonl",
                "-o",
                "out.jsonl",
                "--base-url",
                sim.base_url,
                "--resume",
                *options,
            )

        assert run().status == 1
        first = Path("out.jsonl").read_text()
        Path("out.jsonl").unlink()
        assert run().status == 1
        again = Path("out.jsonl").read_text()
        assert sim.counts().requests == 3
        assert run("--retry-failed", "all").status == 1
        assert sim.counts().requests == 4

    assert sorted(first.splitlines()) == sorted(again.splitlines())
    assert [json.loads(line)["response"]["status_code"] for line in sorted(first.splitlines())] == [
        200,
        400,
        200,
    ]


def test_a_line_of_what_failed_without_an_answer_says_why(cli, write):
    """As it did then."""
    write("in.jsonl", '{"custom_id": "a", "prompt": "p", "model": "m"}\n')
    options = ("--retries", 0, "--base-url", "http://127.0.0.1:9/v1", "--retry-failed", "none")

    def run():
        cli("run", "in.jsonl", "-o", "out.jsonl", "--resume", "--no-progress", *options)
        return Path("out.jsonl").read_text()

    first = run()
    Path("out.jsonl").unlink()
    assert run() == first
    assert json.loads(first)["error"]["code"] == "requests.exceptions.ConnectionError"


def test_a_disk_that_is_full_in_the_end_leaves_both_lines(run, monkeypatch):
    """The next run puts that right."""
    run("--resume")
    Path("mended").touch()

    def full(descriptor):
        raise OSError(28, "No space left on device", "out.jsonl.new")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        done = run()
    assert done.status == 1
    assert "stopped: out.jsonl.new: No space left on device" in done.err
    assert len(records("out.jsonl")) == 5
    assert run().status == 0
    assert len(values("out.jsonl")) == 4


@pytest.mark.parametrize("size", [5, 70_000, 200_000])
def test_a_file_of_one_torn_line_is_begun_anew(run, size):
    """However long that is, and whatever stands before it."""
    run("--resume", "--ordered")
    whole = Path("out.jsonl").read_text()
    for before in ("", whole):
        Path("out.jsonl").write_text(before + "x" * size)
        run("--ordered", "--retry-failed", "none")
        assert Path("out.jsonl").read_text() == whole


@pytest.mark.parametrize(
    ("option", "said"),
    [
        (["--fail-fast"], "--fail-fast"),
        (["--max-failures", 0], "--max-failures 0"),
        (["--max-failures", "0.5%"], "--max-failures 0.5%"),
    ],
)
def test_a_run_is_stopped_by_too_many_failures(run, option, said):
    """What is done is kept, and the rest can be run later."""
    done = run(*option, "-c", 1)

    assert (done.status, calls()[:2]) == (1, ["a", "b"])
    assert done.err.endswith(
        f"stopped: more items have failed than {said} allows. What is written is kept\n"
    )


@pytest.mark.parametrize("text", ["-1", "x", "101%", "1.5"])
def test_failures_that_cannot_be_allowed_are_refused(run, text):
    """As argparse refuses."""
    done = run(f"--max-failures={text}")

    assert done.status == 2
    assert f"'{text}': give a whole number, or a share such as 5%" in done.err
