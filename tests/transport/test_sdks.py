"""SDKs that do not use requests: the dispatcher repeats their calls, through its delay queue."""

import anthropic
import openai
import pytest

import threadllm
from threadllm.simulator import Fault

from .support import chat_body, run

RETRY = threadllm.Retry(wait_initial=0.01)


def ask_openai(sim, prompt):
    with openai.OpenAI(base_url=sim.base_url, api_key="k", max_retries=0) as client:
        answer = client.chat.completions.create(**chat_body(prompt))
    return answer.choices[0].message.content


def ask_anthropic(sim, prompt):
    with anthropic.Anthropic(base_url=sim.url, api_key="k", max_retries=0) as client:
        answer = client.messages.create(**chat_body(prompt, max_tokens=99))
    return answer.content[0].text


@pytest.mark.parametrize("ask", [ask_openai, ask_anthropic])
def test_a_429_and_a_503_are_waited_out(sim, ask):
    """The item has its value in the end; only the 503 is charged to it."""
    prompts = [f"prompt {n}" for n in range(6)]
    faults = [Fault(status=429, retry_after=0.05), Fault(status=503), Fault(kind="reset")]
    sim.script({prompts[0]: faults, prompts[3]: faults[:1]})

    outcomes = run(lambda prompt: ask(sim, prompt), prompts, max_workers=3, retry=RETRY)

    assert [outcome.error for outcome in outcomes] == [None] * 6
    assert [outcome.attempts for outcome in outcomes] == [3, 1, 1, 1, 1, 1]
    assert [bool(outcome.value) for outcome in outcomes] == [True] * 6
    assert (sim.counts().requests, sim.counts().answered_twice) == (10, 0)


@pytest.mark.parametrize("ask", [ask_openai, ask_anthropic])
def test_a_call_is_bounded_as_a_whole(sim, ask):
    """No more of them are in flight than there are slots."""
    run(lambda n: ask(sim, f"prompt {n}"), range(8), max_workers=8, concurrency=2)

    assert sim.counts().max_in_flight <= 2
    assert sim.counts().requests == 8


@pytest.mark.parametrize("ask", [ask_openai, ask_anthropic])
def test_a_refusal_is_final(sim, ask):
    """A bad request is not repeated, and the error is the SDK's own."""
    sim.script([Fault(status=400)])

    [outcome] = run(lambda prompt: ask(sim, prompt), ["hello"], retry=RETRY)

    assert type(outcome.error).__name__ == "BadRequestError"
    assert sim.counts().requests == 1
