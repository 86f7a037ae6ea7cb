"""`threadllm call`: what becomes of items that fail, and what is shown of it."""

import pytest

from tests.cli.conftest import failed, ok, records
from threadllm.simulator import Fault, Simulator, answer_to

KEY = "sk-planted-0123456789"


@pytest.fixture
def call(cli, prompts):
    """Runs `threadllm call` on three prompts, with one retry."""

    def run(target, *options):
        return cli("call", target, prompts, "-o", "out.jsonl", "--retries", 1, *options)

    return run


@pytest.fixture
def provider(monkeypatch):
    """Starts a provider with a script for the prompt "b"."""
    started = []

    def start(*faults):
        started.append(Simulator(script={"b": faults}).__enter__())
        monkeypatch.setenv("OPENAI_BASE_URL", started[-1].base_url)
        return started[-1]

    yield start
    for simulator in started:
        simulator.__exit__()


def test_what_a_function_raises_is_its_items_error(call, write):
    """Type and text are told, keys taken out; other items are not touched."""
    script = write(
        "f.py",
        f"""
class OddError(Exception):
    pass

def f(x):
    if x == "b":
        raise OddError("refused: Bearer {KEY}")
    if x == "c":
        raise SystemExit(3)
    return x
""",
    )

    done = call(f"{script}:f")

    assert done.status == 1
    assert KEY not in done.err
    assert records("out.jsonl") == [
        ok(1, "a"),
        failed(2, "f.OddError", "refused: Bearer [redacted]"),
        failed(3, "SystemExit", "3"),
    ]


@pytest.mark.parametrize("name", ["ask", "ask_or_none"])
def test_a_request_that_fails_fails_its_item(call, llm, provider, name):
    """Whether the function raises or swallows it, status and error are in the line."""
    sim = provider(Fault(status=404, body={"error": {"message": f"not for {KEY}"}}))

    done = call(f"{llm}:{name}")

    lines = records("out.jsonl")
    assert done.status == 1
    assert (lines[0], lines[2]) == (
        ok(1, answer_to("a"), tokens=(1, 7)),
        ok(3, answer_to("c"), tokens=(1, 7)),
    )
    error = lines[1].pop("error")
    assert (error["type"], error["status"]) == ("requests.exceptions.HTTPError", 404)
    assert error["message"].startswith(f"404 Client Error: Not Found for url: {sim.url}/") or (
        error["message"].startswith(f"404 Not Found for url: {sim.url}/")
    )
    assert KEY not in (str(error) + done.err)


def test_retries_are_counted_and_their_number_can_be_set(call, llm, provider):
    """A 503 is tried again as often as --retries says."""
    sim = provider(Fault(status=503), Fault(status=503))

    assert call(f"{llm}:ask", "--no-progress").status == 1
    line = records("out.jsonl")[1]
    assert (line["error"]["status"], line["attempts"]) == (503, 2)
    assert sim.counts().received_of("b") == 2


def test_a_retry_that_helps_is_no_failure(call, llm, provider):
    """What went well in the end is a value, and its attempts are told."""
    provider(Fault(status=503))

    assert call(f"{llm}:ask").status == 0
    assert records("out.jsonl")[1] == {**ok(2, answer_to("b"), tokens=(1, 7)), "attempts": 2}


def test_a_429_is_waited_out_and_uses_no_attempt(call, llm, provider):
    """A throttled item goes well, and the summary counts the 429."""
    provider(Fault(status=429, retry_after=0.01))

    done = call(f"{llm}:ask", "--retries", 0, "--no-progress")

    assert done.status == 0
    assert records("out.jsonl")[1] == ok(2, answer_to("b"), tokens=(1, 7))
    assert done.err.splitlines()[1] == "4 requests, 0 retries, 1 429"


def test_a_server_that_is_silent_runs_into_the_timeout(call, llm, provider):
    """--timeout bounds the requests that set no timeout of their own."""
    provider(Fault(kind="hang"), Fault(kind="hang"))

    call(f"{llm}:ask", "--timeout", 0.1, "--retries", 0)

    error = records("out.jsonl")[1]["error"]
    assert error["type"] == "requests.exceptions.ReadTimeout"
    assert error["message"].endswith("Read timed out. (read timeout=0.1)")


def test_a_value_that_json_cannot_hold_fails_its_item(call, write):
    """The line says what the function returned, and what to return."""
    script = write("f.py", "def f(x):\n    return {x} if x == 'b' else x\n")

    assert call(f"{script}:f").status == 1
    assert records("out.jsonl") == [
        ok(1, "a"),
        failed(
            2,
            "TypeError",
            (
                "the function returned a value of type set, which JSON cannot hold "
                "(Object of type set is not JSON serializable). "
                "Return text, finite numbers, or lists and dicts of them"
            ),
        ),
        ok(3, "c"),
    ]


def test_odd_errors_and_values_fail_their_items_alone(call, llm):
    """Whatever their own classes raise when they are looked at; each has its line."""
    assert call(f"{llm}:oddly", "--no-progress", "--ordered").status == 1
    assert [line["error"]["type"] for line in records("out.jsonl")] == [
        "llm.OddError",
        "concurrent.futures._base.CancelledError",
        "ValueError",
    ]
