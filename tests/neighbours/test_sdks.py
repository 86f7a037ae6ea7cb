"""SDKs that do not use requests: the dispatcher repeats their calls, through its delay queue.

Each is told to try once, so that attempts are counted once. Those of the extra `sdks` run with
`--sdks` only.
"""

import anthropic
import httpx
import openai
import pytest

import threadllm
from tests.transport.support import chat_body, run, virtually
from threadllm.simulator import Fault, answer_to

RETRY = threadllm.Retry(wait_initial=0.01)


def ask_openai(sim, prompt):
    with openai.OpenAI(base_url=sim.base_url, api_key="k", max_retries=0) as client:
        answer = client.chat.completions.create(**chat_body(prompt))
    return answer.choices[0].message.content


def ask_anthropic(sim, prompt):
    with anthropic.Anthropic(base_url=sim.url, api_key="k", max_retries=0) as client:
        answer = client.messages.create(**chat_body(prompt, max_tokens=99))
    return answer.content[0].text


def ask_ollama(sim, prompt):
    import ollama

    with ollama.Client(host=sim.url) as client:
        return client.chat(**chat_body(prompt)).message.content


def ask_mistral(sim, prompt):
    from mistralai.client import Mistral

    with Mistral(server_url=sim.url, api_key="k") as client:
        return client.chat.complete(**chat_body(prompt)).choices[0].message.content


def ask_langchain(sim, prompt):
    from langchain_openai import ChatOpenAI

    return (
        ChatOpenAI(model="m", base_url=sim.base_url, api_key="k", max_retries=0).invoke(prompt).text
    )


ASKS = {
    "openai": ask_openai,
    "anthropic": ask_anthropic,
    "ollama": ask_ollama,
    "mistralai": ask_mistral,
    "langchain_openai": ask_langchain,
}


@pytest.fixture(autouse=True)
def _at_home(monkeypatch):
    """Nobody fetches prices or sends traces while tests run."""
    monkeypatch.setenv("LITELLM_LOCAL_MODEL_COST_MAP", "True")
    monkeypatch.setenv("LANGSMITH_TRACING", "false")


@pytest.fixture
def ask_litellm(monkeypatch):
    """Asks through litellm, whose connections are closed in the end: itself it closes none."""
    import litellm

    def ask(sim, prompt):
        options = {"api_base": sim.base_url, "api_key": "k", "max_retries": 0}
        answer = litellm.completion(**chat_body(prompt, **options) | {"model": "openai/m"})
        return answer.choices[0].message.content

    with httpx.Client() as client:
        monkeypatch.setattr(litellm, "client_session", client)
        yield ask
        litellm.in_memory_llm_clients_cache.flush_cache()


@pytest.fixture(
    params=[
        "openai",
        "anthropic",
        *(
            pytest.param(name, marks=pytest.mark.sdks)
            for name in ("ollama", "mistralai", "langchain_openai", "litellm")
        ),
    ]
)
def library(request):
    """The package of an SDK."""
    return request.param


@pytest.fixture
def ask(library, request):
    """Asks through the SDK."""
    return ASKS.get(library) or request.getfixturevalue("ask_litellm")


def test_a_429_and_a_503_are_waited_out(sim, ask):
    """The item has its value in the end; only the 503 and the reset are charged to it."""
    prompts = [f"prompt {n}" for n in range(6)]
    faults = [Fault(status=429, retry_after=0.05), Fault(status=503), Fault(kind="reset")]
    sim.script({prompts[0]: faults, prompts[3]: faults[:1]})

    outcomes = run(lambda prompt: ask(sim, prompt), prompts, max_workers=3, retry=RETRY)

    assert [outcome.error for outcome in outcomes] == [None] * 6
    assert [outcome.attempts for outcome in outcomes] == [3, 1, 1, 1, 1, 1]
    assert [outcome.value for outcome in outcomes] == [answer_to(prompt) for prompt in prompts]
    assert (sim.counts().requests, sim.counts().answered_twice) == (10, 0)


def test_the_wait_that_a_429_asks_for_is_kept(sim, library, ask):
    """It is in the SDK's error; Ollama's says nothing of it, and the usual wait is taken."""
    sim.script([Fault(status=429, retry_after=7)])

    [outcome], seconds = virtually(lambda prompt: ask(sim, prompt), ["hello"])

    assert (outcome.error, outcome.attempts, sim.counts().requests) == (None, 1, 2)
    assert seconds == (0.5 if library == "ollama" else 7)


def test_tries_are_the_policys(sim, ask):
    """Where nothing helps there are as many requests as the policy has attempts, and no more."""
    sim.script([Fault(status=503)] * 9)

    [outcome] = run(
        lambda prompt: ask(sim, prompt),
        ["hello"],
        retry=threadllm.Retry(attempts=3, wait_initial=0),
    )

    assert outcome.attempts == sim.counts().requests == 3
    assert not outcome.ok


def test_a_call_is_bounded_as_a_whole(sim, ask):
    """No more of them are in flight than there are slots."""
    run(lambda n: ask(sim, f"prompt {n}"), range(8), max_workers=8, concurrency=2)

    assert sim.counts().max_in_flight <= 2
    assert sim.counts().requests == 8


@pytest.mark.parametrize("status", [400, 401])
def test_a_refusal_is_final(sim, library, ask, status):
    """A bad request or key is not repeated, and the error is the SDK's own."""
    sim.script([Fault(status=status)])

    [outcome] = run(lambda prompt: ask(sim, prompt), ["hello"], retry=RETRY)

    origins = {kind.__module__.partition(".")[0] for kind in type(outcome.error).__mro__}
    assert library.removeprefix("langchain_") in origins
    assert (outcome.attempts, sim.counts().requests) == (1, 1)
