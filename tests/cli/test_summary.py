"""What a run says on stderr, as a whole."""

import io
import re
import sys

import pytest

from threadllm.cli import main
from threadllm.cli.summary import Report
from threadllm.progress import Totals
from threadllm.simulator import Fault, Simulator


def without_seconds(text):
    return re.sub(r"\d+\.\d( s| items/s)", r"_\1", text)


def test_a_run_that_went_well_is_summed_up_in_four_lines(cli, llm, prompts, sim):
    """Items, requests, tokens, and the time beside what it would have been one by one."""
    done = cli("call", f"{llm}:ask", prompts, "-o", "out.jsonl", "--no-progress")

    assert without_seconds(done.err) == (
        "3 items: 3 ok, 0 failed -> out.jsonl\n"
        "3 requests, 0 retries, 0 429s\n"
        "3 tokens in, 21 tokens out\n"
        "_ s; one after another up to _ s\n"
    )


def test_off_a_terminal_progress_is_a_line(cli, llm, prompts, sim):
    """Before the summary, what the bar would have shown at its end."""
    done = cli("call", f"{llm}:ask", prompts, "-o", "out.jsonl")

    assert without_seconds(done.err) == (
        "3/3 _ items/s ok=3 failed=0 tokens=24\n"
        "3 items: 3 ok, 0 failed -> out.jsonl\n"
        "3 requests, 0 retries, 0 429s\n"
        "3 tokens in, 21 tokens out\n"
        "_ s; one after another up to _ s\n"
    )


def test_of_a_pipe_the_end_is_not_known(cli, llm, stdin):
    """Where the items cannot be counted beforehand, progress says so."""
    stdin(b'{"prompt": "a"}\n')

    done = cli("call", f"{llm}:echo", "-", "-o", "out.jsonl")

    assert without_seconds(done.err).splitlines()[0] == "1/? _ items/s ok=1 failed=0"


def test_failures_are_told_by_name_and_the_first_alone(cli, write):
    """Five are told, each on one line that cannot steer a terminal; the rest are counted."""
    ids = ["1", '"1"', "1.0", "true", '"\\u001b[31m"', "6", "7"]
    source = write("in.jsonl", "".join(f'{{"id": {name}, "prompt": ""}}\n' for name in ids))
    script = write("f.py", "def f(x):\n    raise ValueError('two\\nlines and \\x1b[31m')\n")

    done = cli(
        "call", f"{script}:f", source, "-o", "out.jsonl", "--no-progress", "-c", 1, "--ordered"
    )

    assert done.status == 1
    assert without_seconds(done.err) == (
        "7 items: 0 ok, 7 failed -> out.jsonl\n"
        "0 requests, 0 retries, 0 429s\n"
        "0 tokens in, 0 tokens out\n"
        "_ s; one after another up to _ s\n"
        "failed:\n"
        "  1: ValueError: two lines and  [31m\n"
        '  "1": ValueError: two lines and  [31m\n'
        "  1.0: ValueError: two lines and  [31m\n"
        "  true: ValueError: two lines and  [31m\n"
        '  "\\u001b[31m": ValueError: two lines and  [31m\n'
        "  and 2 more: see out.jsonl\n"
    )


def test_retries_and_429s_are_counted(cli, llm, write, monkeypatch):
    """What went wrong on the way to a value stands in the sums."""
    source = write("in.jsonl", '{"prompt": "a"}\n{"prompt": "b"}\n{')
    with Simulator(script=[Fault(status=429, retry_after=0), Fault(status=503)]) as sim:
        monkeypatch.setenv("OPENAI_BASE_URL", sim.base_url)

        done = cli("call", f"{llm}:ask", source, "-o", "-", "--no-progress", "-c", 1)

    lines = done.err.splitlines()
    assert lines[1:3] == [
        "2 items: 2 ok, 0 failed; 1 line refused -> stdout",
        "4 requests, 1 retry, 1 429",
    ]


def test_the_sum_of_what_ran_side_by_side_is_told():
    """The last figure is the time of all calls added up, thousands set apart."""
    report = Report("out")
    report.stopped("first")
    report.stopped("second")
    totals = Totals(requests=1, retries=1234, input_tokens=5678, output_tokens=1, busy=90.04)

    assert report.text(totals, 1.25) == (
        "0 items: 0 ok, 0 failed -> out\n"
        "1 request, 1,234 retries, 0 429s\n"
        "5,678 tokens in, 1 tokens out\n"
        "1.2 s; one after another up to 90.0 s\n"
        "stopped: first. What is written is kept\n"
    )
    assert not report.all_ok


def test_a_run_that_did_nothing_says_so(cli, llm, prompts, sim):
    """A function that swallows an error before its first request is not simply ok."""
    done = cli("call", f"{llm}:nothing", prompts, "-o", "out.jsonl", "--no-progress")

    assert without_seconds(done.err) == (
        "3 items: 3 ok, 0 failed -> out.jsonl\n"
        "0 requests, 0 retries, 0 429s\n"
        "0 tokens in, 0 tokens out\n"
        "_ s; one after another up to _ s\n"
        "no request was made and no value returned: is an error swallowed before?\n"
    )


class Terminal(io.TextIOWrapper):
    def isatty(self):
        return True


@pytest.mark.parametrize("output", ["out.jsonl", "-"])
def test_on_a_terminal_prints_stand_above_the_bar(llm, prompts, monkeypatch, output):
    """What a function prints is written on lines of its own, and on stderr as the bar is."""
    out, err = (Terminal(io.BytesIO(), write_through=True) for _ in range(2))
    monkeypatch.setattr(sys, "stdout", out)
    monkeypatch.setattr(sys, "stderr", err)

    assert main(["call", f"{llm}:nothing", str(prompts), "-o", output]) == 0
    printed = err.buffer.getvalue().decode()
    assert len(re.findall(r"(?<!\S)nothing for \w\n", printed)) == 3
    assert b"nothing for" not in out.buffer.getvalue()
