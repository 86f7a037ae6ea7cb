"""What a function is called in a journal, and what is bound to it."""

import sys
from functools import partial

import pytest

import threadllm
from threadllm.journal import bound_by, job_of


def ask(prompt):
    return prompt


class Client:
    def ask(self, prompt):
        return prompt

    def __call__(self, prompt):
        return prompt


@pytest.mark.parametrize(
    ("fn", "name"),
    [
        (str, "builtins:str"),
        (str.upper, "builtins:str.upper"),
        (Client().ask, "tests.journal.test_functions:Client.ask"),
        (Client(), "tests.journal.test_functions:Client"),
        (partial(partial(print, 1), 2), "builtins:print"),
        (threadllm.concurrent(ask), "tests.journal.test_functions:ask"),
    ],
)
def test_a_job_is_called_as_its_function(fn, name):
    """However that is wrapped."""
    assert job_of(fn) == name


def test_a_scripts_function_is_called_by_its_file(monkeypatch):
    """However the script is run."""

    def ask(prompt):
        return prompt

    ask.__module__, ask.__qualname__ = "__main__", "ask"
    monkeypatch.setattr(sys.modules["__main__"], "__file__", "/somewhere/llm.py")
    assert job_of(ask) == "llm:ask"
    monkeypatch.delattr(sys.modules["__main__"], "__file__")
    assert job_of(ask) == "__main__:ask"


def test_what_is_bound_has_a_text_of_its_own():
    """Values and names count, and in whose layer they are; the innermost function does not."""
    bindings = [
        partial(ask, 1),
        partial(ask, "1"),
        partial(ask, 1, 2),
        partial(ask, model="a"),
        partial(ask, model="b"),
        partial(ask, other="a"),
        partial(threadllm.concurrent(partial(ask, 1)), 2),
    ]
    texts = [bound_by(one) for one in bindings]

    assert len({*texts}) == len(bindings)
    assert texts == [bound_by(one) for one in bindings]
    assert all(text.startswith("partial ") and len(text) == 20 for text in texts)
    assert bound_by(partial(ask, a=1, b=2)) == bound_by(partial(print, b=2, a=1))
    assert [bound_by(one) for one in (ask, Client(), threadllm.concurrent(ask))] == [""] * 3


def test_what_json_cannot_hold_counts_by_its_type():
    """A client is another object in each run."""
    one, other = partial(ask, Client()), partial(ask, Client())

    assert bound_by(one) == bound_by(other) != bound_by(partial(ask, object()))
