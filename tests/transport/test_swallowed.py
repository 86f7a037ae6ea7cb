"""Errors that a function swallows: its item has failed all the same, with the original error."""

import sys
import traceback
from pathlib import Path

import pytest
import requests

import threadllm
from threadllm.simulator import Fault, Simulator

from .support import CHAT, call, chat_body, reply, run

ONCE = threadllm.Retry(attempts=1)


def swallowing(*urls):
    """Asks each URL and returns what came of it, None for an error."""
    found = []
    for url in urls:
        try:
            response = requests.get(url, timeout=5)
            response.raise_for_status()
            found.append(response.text)
        except requests.RequestException:
            found.append(None)
    return found


def test_a_bad_status_that_is_swallowed_fails_the_item(serve):
    """The error is what `raise_for_status` raises, with the response and the provider's words."""
    server = serve(reply(b"no such model", status=404))

    outcome = call(lambda: swallowing(server.url + "/a?key=k"))

    assert outcome.value is None
    assert type(outcome.error) is requests.HTTPError
    assert str(outcome.error) == f"404 Reason for url: {server.url}/a: no such model"
    assert outcome.error.response.status_code == 404


def test_a_bad_status_that_is_ignored_fails_the_item(serve):
    """A function that never looks at the status has not succeeded for that."""
    server = serve(reply(status=500))

    outcome = call(lambda: requests.get(server.url, timeout=5).text, retry=ONCE)

    assert str(outcome.error) == f"500 Reason for url: {server.url}/"


def test_a_function_that_falls_back_may_be_trusted(serve):
    """With `trust_returns` what it returns counts; what it raises is still the item's error."""
    broken, working = serve(reply(status=500)), serve(reply(b"from another host"))

    fallen_back = call(lambda: swallowing(broken.url, working.url), retry=ONCE, trust_returns=True)
    raised = call(lambda: {}[swallowing(broken.url)[0]], retry=ONCE, trust_returns=True)

    assert (fallen_back.value, fallen_back.error) == ([None, "from another host"], None)
    assert type(raised.error) is KeyError


def test_an_error_in_a_good_answer_fails_the_item(serve):
    """The code in the body counts, and the body is quoted."""
    body = {"error": {"code": 400, "message": "too long"}}
    server = serve(reply(body))

    outcome = call(lambda: requests.get(server.url, timeout=5).json())

    assert outcome.error.response.json() == body
    assert '"code": 400' in str(outcome.error)


def test_a_long_answer_is_quoted_in_part(serve):
    """An error's text stays readable."""
    server = serve(reply(b"x" * 10_000, status=400))

    outcome = call(lambda: requests.get(server.url, timeout=5).text)

    assert str(outcome.error).endswith(": " + "x" * 300)


def test_a_broken_connection_that_is_swallowed_fails_the_item(serve):
    """The error is the original, and its traceback leads into the user's function."""
    server = serve(lambda _: None)

    outcome = call(lambda: swallowing(server.url), retry=ONCE)

    assert type(outcome.error) is requests.exceptions.ConnectionError
    frames = traceback.extract_tb(outcome.error.__traceback__)
    assert "swallowing" in [frame.name for frame in frames]


def test_an_error_that_is_raised_anew_is_the_items(serve):
    """The function's own error goes before the request's, and the call is not repeated."""
    server = serve(reply(status=503))

    def work():
        requests.get(server.url, timeout=5)
        raise ValueError("no answer")

    outcome = call(work, retry=threadllm.Retry(wait_initial=0, attempts=2))

    assert repr(outcome.error) == "ValueError('no answer')"
    assert len(server.requests) == 2


def test_a_later_success_takes_it_back(serve):
    """A function that tries again itself, and gets through, has not failed."""
    server = serve(reply(status=400), reply(b"well"))

    outcome = call(lambda: swallowing(server.url, server.url))

    assert (outcome.value, outcome.error) == ([None, "well"], None)


def test_a_success_elsewhere_does_not(serve):
    """A failure at one host stays, though another host answered before and after."""
    good, bad = serve(reply(b"well")), serve(reply(status=400))

    outcome = call(lambda: swallowing(good.url, bad.url, good.url))

    assert outcome.error.response.status_code == 400


def test_a_later_failure_counts_after_a_success(serve):
    """What counts is how the last request to a URL ended."""
    server = serve(reply(b"well"), reply(status=404))

    outcome = call(lambda: swallowing(server.url, server.url))

    assert outcome.error.response.status_code == 404


@pytest.fixture
def legacy(monkeypatch):
    """The benchmarks' functions, pointed at a provider that is often busy or broken."""
    monkeypatch.syspath_prepend(Path(__file__).parents[2] / "benchmarks")
    monkeypatch.delitem(sys.modules, "legacy", raising=False)
    faults = [Fault(status=429, rate=0.1, retry_after=0.02), Fault(status=503, rate=0.1)]
    with Simulator(faults=faults) as sim:
        monkeypatch.setenv("OPENAI_BASE_URL", sim.base_url)
        monkeypatch.setenv("SEARCH_BASE_URL", sim.url)
        monkeypatch.setenv("OPENAI_API_KEY", "k")
        import legacy

        yield legacy, sim
        legacy.session.close()


@pytest.mark.long
@pytest.mark.parametrize(
    ("name", "number"),
    [
        ("call_llm", 1000),
        ("call_llm_or_none", 1000),
        ("answer_with_search", 1000),
        ("call_llm_in_own_session", 200),
        ("call_llm_in_shared_session", 200),
    ],
)
def test_a_thousand_prompts_all_get_their_answer_once(legacy, name, number):
    """While a fifth goes wrong, functions as people have them lose nothing, and pay once."""
    module, sim = legacy
    prompts = [f"prompt {n}" for n in range(number)]

    outcomes = run(
        getattr(module, name),
        prompts,
        max_workers=16,
        quota=threadllm.Quota(16, adaptive=False),  # its 429s tell of no pace that could be kept
        retry=threadllm.Retry(wait_initial=0.02),
    )

    assert [outcome.error for outcome in outcomes if not outcome.ok] == []
    counts = sim.counts()
    assert [*counts.answered[CHAT].values()] == [1] * number
    assert counts.answered_twice == 0
    assert sum(counts.by_status[status] for status in (429, 503)) > number / 10


def test_errors_of_a_prompt_reach_its_own_item(sim):
    """With many at once, each failure belongs to the item that met it."""
    bad = [f"prompt {n}" for n in range(0, 60, 7)]
    sim.script({prompt: [Fault(status=400)] for prompt in bad})

    def work(prompt):
        requests.post(sim.url + CHAT, json=chat_body(prompt), timeout=5)

    outcomes = run(work, [f"prompt {n}" for n in range(60)], max_workers=8)

    assert [outcome.item for outcome in outcomes if not outcome.ok] == bad
