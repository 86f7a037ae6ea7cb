"""What no line would fare better with ends the run, and the summary says what to do."""

import pytest

from threadllm.cli import main
from threadllm.simulator import Limits, Simulator

from .conftest import LLM, records

KEY = "sk-planted-0123456789"
WHY = "stopped: 401 Unauthorized for url: {url}/chat/completions: "
WHAT_TO_DO = (
    "The key was not accepted: set a valid one. --on-stop continue runs the rest all the same. "
    "What is written is kept"
)


@pytest.fixture
def ask(cli, write, monkeypatch):
    """Runs `call` over eight prompts, one at a time, with a key that a simulator does not know."""
    script, items = write("llm.py", LLM), write("in.txt", "\n".join("abcdefgh") + "\n")

    def run(sim, *options, key=KEY):
        monkeypatch.setenv("OPENAI_BASE_URL", sim.base_url)
        monkeypatch.setenv("OPENAI_API_KEY", key)
        return cli(
            "call", f"{script}:ask", items, "-o", "out.jsonl", "--no-progress", "-c", 1, *options
        )

    return run


def test_a_key_that_is_not_accepted_ends_the_run(ask):
    """One request finds out, and one line says so; the rest of the input is left."""
    with Simulator(api_keys=["another"]) as sim:
        done = ask(sim)
        assert sim.counts().requests == 1

    [line] = records("out.jsonl")
    assert (done.status, line["error"]["status"]) == (1, 401)
    last = done.err.splitlines()[-1]
    assert last.startswith(WHY.format(url=sim.base_url))
    assert last.endswith(WHAT_TO_DO)
    assert KEY not in done.err


def test_it_may_go_on(ask):
    """Each line then fails by itself."""
    with Simulator(api_keys=["another"]) as sim:
        done = ask(sim, "--on-stop", "continue")

    assert (done.status, len(records("out.jsonl"))) == (1, 8)
    assert "stopped" not in done.err


@pytest.mark.parametrize(
    ("option", "limits"),
    [
        ("--rpm", Limits(requests_per_minute=600, burst=1)),
        ("--tpm", Limits(tokens_per_minute=6000)),
    ],
    ids=["requests", "tokens"],
)
def test_a_limit_that_is_stated_is_kept(ask, option, limits):
    """The provider, which allows just that, refuses nothing."""
    figure = 600 if option == "--rpm" else 6000
    with Simulator(limits=limits) as sim:
        done = ask(sim, option, figure)
        counts = sim.counts()

    assert (done.status, counts.by_status) == (0, {200: 8})


@pytest.mark.parametrize("option", ["--rpm", "--tpm"])
def test_a_limit_that_cannot_be_meant_is_refused(option, capsys):
    """As argparse refuses."""
    with pytest.raises(SystemExit):
        main(["call", "a.py:f", "in.txt", "-o", "out.jsonl", option, "0"])

    assert f"argument {option}: '0': give a number above 0" in capsys.readouterr().err
