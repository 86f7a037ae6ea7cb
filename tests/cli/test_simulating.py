"""`--simulate` and `threadllm simulate`: a provider for trying things out."""

import io
import os
import re
import signal
import socket
import sys
import threading

import pytest
import requests

from tests.cli.conftest import SIGNALS, ok, records
from threadllm.cli import main
from threadllm.simulator import Fault, Latency, Limits, answer_to

KEY = "sk-planted-0123456789"
AT_ONCE = ("--simulate", "latency=0")
ENVIRONMENT = (
    "OPENAI_BASE_URL",
    "OPENAI_API_KEY",
    "ANTHROPIC_BASE_URL",
    "ANTHROPIC_API_KEY",
    "OLLAMA_HOST",
    "SEARCH_BASE_URL",
)


@pytest.fixture
def made(monkeypatch):
    """What simulators are made with; none is started."""
    seen = []

    class Seen:
        def __init__(self, **options):
            seen.append(options)

        def run(self, ready):
            pass

    monkeypatch.setattr("threadllm.simulator.Simulator", Seen)
    return seen


def test_a_function_meets_a_simulated_provider(cli, llm, prompts):
    """The function's own requests go to the simulator, without any setting up."""
    done = cli("call", f"{llm}:ask", prompts, "-o", "out.jsonl", *AT_ONCE)

    assert done.status == 0
    assert records("out.jsonl") == [
        ok(number, answer_to(prompt), tokens=(1, 7)) for number, prompt in enumerate("abc", 1)
    ]


def test_a_module_that_reads_the_environment_when_loaded_is_served(cli, write, prompts):
    """The simulator runs before the function's file is imported."""
    script = write(
        "f.py", "import os\nURL = os.environ['OPENAI_BASE_URL']\ndef f(x):\n    return URL\n"
    )

    cli("call", f"{script}:f", prompts, "-o", "out.jsonl", *AT_ONCE)

    [url] = {record["value"] for record in records("out.jsonl")}
    assert re.fullmatch(r"http://127\.0\.0\.1:\d+/v1", url)


def test_the_environment_is_lent_and_put_back(cli, write, prompts, monkeypatch):
    """While it lasts no real key and no real address is there; afterwards all is as before."""
    for name in ENVIRONMENT[:3]:
        monkeypatch.setenv(name, KEY)
    for name in ENVIRONMENT[3:]:
        monkeypatch.delenv(name, raising=False)
    before = dict(os.environ)
    script = write(
        "f.py", f"import os\ndef f(x):\n    return [os.environ[n] for n in {ENVIRONMENT}]\n"
    )

    cli("call", f"{script}:f", prompts, "-o", "out.jsonl", *AT_ONCE)

    lent = [re.sub(r"127\.0\.0\.1:\d+", "HOST", text) for text in records("out.jsonl")[0]["value"]]
    assert lent == [
        "http://HOST/v1",
        "sk-simulated",
        "http://HOST",
        "sk-simulated",
        "http://HOST",
        "http://HOST",
    ]
    assert dict(os.environ) == before


def test_settings_are_handed_to_the_simulator(cli, made):
    """Each option of the command is a setting of the simulator's own."""
    done = cli(
        "simulate",
        *("--latency", 1, "--spread", 0, "--ttft", 2, "--tps", 30),
        *("--load", 0.05, "--rpm", 60, "--tpm", 600, "--rpd", 6000, "--burst", 9),
        *("--refill", 10, "--concurrency", 5),
        *("--throttled", 0.25, "--errors", 0.5, "--seed", 7, "--port", 8080, "--speed", 20),
    )

    assert done == (0, "", "")
    assert made == [
        {
            "latency": Latency(1, 0, time_to_first_token=2, tokens_per_second=30, load=0.05),
            "limits": Limits(
                concurrency=5,
                requests_per_minute=60,
                tokens_per_minute=600,
                requests_per_day=6000,
                burst=9,
                refill=10,
            ),
            "faults": [
                Fault(status=429, rate=0.25, retry_after=1),
                Fault(status=503, rate=0.5),
            ],
            "seed": 7,
            "port": 8080,
            "speed": 20,
        }
    ]


def test_a_silent_provider_with_fixed_windows(cli, made):
    """Switched on, windows are fixed, and nothing is told, of refusals by chance neither."""
    cli("simulate", "--rpm", 60, "--fixed", 1, "--silent", 1, "--throttled", 0.5)

    [options] = made
    assert options["limits"] == Limits(
        requests_per_minute=60, window="fixed", headers=False, retry_after=False
    )
    assert options["faults"] == [Fault(status=429, rate=0.5)]


def test_without_settings_it_is_lively_and_without_limits(cli, made):
    """The defaults are those that the help tells."""
    cli("simulate")

    assert made == [
        {
            "latency": Latency(mean=0.3, spread=0.5),
            "limits": Limits(),
            "faults": [],
            "seed": 0,
            "port": 0,
            "speed": 1,
        }
    ]


@pytest.mark.parametrize(
    ("pair", "reason"),
    [
        ("rpm", "--simulate rpm: write KEY=VALUE, and --simulate after INPUT"),
        (
            "rate=1",
            (
                "--simulate rate=1: the keys are latency, spread, ttft, tps, load, rpm, tpm, rpd, "
                "concurrency, burst, refill, fixed, silent, throttled, errors, seed, port, speed"
            ),
        ),
        ("rpm=many", "--simulate rpm='many': give a number above 0"),
        ("rpm=0", "--simulate rpm='0': give a number above 0"),
        ("latency=nan", "--simulate latency='nan': give a number, 0 or more"),
        ("tps=-1", "--simulate tps='-1': give a number, 0 or more"),
        ("concurrency=0", "--simulate concurrency='0': give a whole number, 1 or more"),
        ("throttled=2", "--simulate throttled='2': give a share from 0 to 1"),
        ("seed=x", "--simulate seed='x': give a whole number"),
        (
            "port=70000",
            "--simulate port='70000': give a port from 1 to 65535, or 0 for any that is free",
        ),
        ("silent=yes", "--simulate silent='yes': give 1 for yes, 0 for no"),
        ("fixed=2", "--simulate fixed='2': give 1 for yes, 0 for no"),
        ("speed=0", "--simulate speed='0': give a number above 0"),
        ("burst=5", "burst=5: give rpm with it"),
        ("fixed=1", "fixed: give a rate with it"),
        ("errors=1", "throttled and errors: they add up to more than 1. Lower them"),
    ],
)
def test_a_setting_that_cannot_be_meant_is_refused(cli, llm, prompts, pair, reason):
    """It is named as it was typed, with what would do."""
    done = cli("call", f"{llm}:ask", prompts, "-o", "out", "--simulate", "throttled=.5", pair)

    assert done == (2, "", f"threadllm: {reason}\n")


@pytest.mark.parametrize(
    "command", [("simulate",), ("call", "llm:ask", "in.txt", "-o", "out", "--simulate")]
)
def test_without_its_library_the_extra_is_named(cli, monkeypatch, command):
    """Where aiohttp is not installed, the error says how to install it."""
    for name in [name for name in sys.modules if name.startswith("threadllm.simulator")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "aiohttp", None)

    assert cli(*command) == (
        2,
        "",
        "threadllm: the simulator needs aiohttp: pip install 'threadllm[sim]'\n",
    )


def test_a_port_in_use_is_told(cli):
    """The port and the reason are named."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]

        done = cli("simulate", "--port", port)

    assert done.status == 2
    assert done.err.startswith(f"threadllm: port={port}: cannot listen on it: Address already in")


@pytest.mark.parametrize("number", SIGNALS)
def test_it_serves_until_it_is_told_to_stop(cli, monkeypatch, number):
    """The address is printed when it answers; a signal ends it quietly, and handlers are back."""
    answers = []

    class Asking(io.StringIO):
        """Standard output, upon whose flush the provider at the printed address is asked."""

        def flush(self):
            url = self.getvalue().split()[1].partition("=")[2]
            threading.Thread(target=ask, args=[url]).start()

    def ask(url):
        answers.append(requests.get(f"{url}/models", timeout=5).status_code)
        os.kill(os.getpid(), number)

    before = [signal.getsignal(one) for one in SIGNALS]
    printed = Asking()
    monkeypatch.setattr(sys, "stdout", printed)

    assert main(["simulate", "--latency", "0"]) == 0
    first, second = printed.getvalue().splitlines()
    assert re.fullmatch(r"export OPENAI_BASE_URL=http://127\.0\.0\.1:\d+/v1", first)
    assert second == "export OPENAI_API_KEY=sk-simulated"
    assert answers == [200]
    assert [signal.getsignal(one) for one in SIGNALS] == before


def test_no_proxy_stands_before_the_simulator(cli, llm, prompts, monkeypatch):
    """Loopback is excepted from the proxies of the environment, for as long as the run lasts."""
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("NO_PROXY", "llm.example")
    options = ["--retries", "0", "--no-progress", "--simulate", "latency=0"]

    assert cli("call", f"{llm}:ask", prompts, "-o", "out.jsonl", *options).status == 0
    assert os.environ["NO_PROXY"] == "llm.example"
