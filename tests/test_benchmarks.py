"""What the benchmarks run on: real prompts, and functions that know nothing of this package."""

import ast
import importlib
import json
import sys
from pathlib import Path

import pytest
import requests
import responses
from responses import matchers

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
KEY = "sk-planted-0123456789"
PLAIN = (
    "call_llm",
    "call_llm_or_none",
    "call_llm_in_own_session",
    "call_llm_in_shared_session",
)


@pytest.fixture
def legacy(monkeypatch):
    """The module as a script beside it imports it, its endpoint set only afterwards."""
    monkeypatch.syspath_prepend(BENCHMARKS)
    monkeypatch.delitem(sys.modules, "legacy", raising=False)
    for name in ("OPENAI_BASE_URL", "OPENAI_API_KEY", "OPENAI_MODEL", "SEARCH_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    module = importlib.import_module("legacy")
    monkeypatch.setenv("OPENAI_BASE_URL", "http://llm.test/v1")
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setenv("OPENAI_MODEL", "m")
    monkeypatch.setenv("SEARCH_BASE_URL", "http://search.test")
    yield module
    module.session.close()


@pytest.fixture
def web():
    with responses.RequestsMock() as mock:
        yield mock


def chat(*messages):
    """What a request must be like to be answered."""
    return [
        matchers.json_params_matcher({"model": "m", "messages": list(messages)}),
        matchers.header_matcher({"Authorization": f"Bearer {KEY}"}),
    ]


def answer(text):
    return {"choices": [{"message": {"role": "assistant", "content": text}}]}


def test_there_are_a_thousand_prompts_of_many_lengths():
    """Every id and every prompt is there once, each a text of its own length."""
    with (BENCHMARKS / "prompts.jsonl").open(encoding="utf-8") as file:
        prompts = [json.loads(line) for line in file]

    assert {tuple(prompt) for prompt in prompts} == {("id", "prompt")}
    assert len(prompts) == 1000
    assert len({prompt["id"] for prompt in prompts}) == 1000
    assert len({prompt["prompt"] for prompt in prompts}) == 1000
    assert len({len(prompt["prompt"]) for prompt in prompts}) > 300


def test_the_legacy_functions_know_nothing_of_this_package():
    """They import the standard library and requests, and nothing else."""
    tree = ast.parse((BENCHMARKS / "legacy.py").read_text(encoding="utf-8"))
    imported = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            imported.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            imported.add(node.module)

    assert imported == {"__future__", "os", "requests", "typing"}


@pytest.mark.parametrize("name", PLAIN)
def test_a_prompt_is_sent_as_it_is(legacy, web, name):
    """The last user message is the prompt; what comes back is the model's text."""
    url = "http://llm.test/v1/chat/completions"
    web.post(url, json=answer("4"), match=chat({"role": "user", "content": "2+2?"}))

    assert getattr(legacy, name)("2+2?") == "4"


@pytest.mark.parametrize("name", [name for name in PLAIN if name != "call_llm_or_none"])
def test_an_error_is_raised(legacy, web, name):
    """A bad status is an HTTPError of requests."""
    web.post("http://llm.test/v1/chat/completions", status=500)

    with pytest.raises(requests.HTTPError):
        getattr(legacy, name)("2+2?")


def test_an_error_is_swallowed_where_tutorials_swallow_it(legacy, web, capsys):
    """What went wrong is printed, and None returned."""
    web.post("http://llm.test/v1/chat/completions", status=500)

    assert legacy.call_llm_or_none("2+2?") is None
    assert capsys.readouterr().out == (
        "Error calling the API: 500 Server Error: Internal Server Error "
        "for url: http://llm.test/v1/chat/completions\n"
    )


def test_an_answer_is_made_of_what_was_found(legacy, web):
    """Search at one host, then ask at another: the question stays the last user message."""
    web.get(
        "http://search.test/search",
        json={"results": [{"title": "A", "snippet": "a"}, {"title": "B", "snippet": "b"}]},
        match=[matchers.query_param_matcher({"q": "who?"})],
    )
    context = "Answer from these search results.\n\nA\na\n\nB\nb"
    web.post(
        "http://llm.test/v1/chat/completions",
        json=answer("me"),
        match=chat({"role": "system", "content": context}, {"role": "user", "content": "who?"}),
    )

    assert legacy.answer_with_search("who?") == "me"
