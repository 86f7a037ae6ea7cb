import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from threadllm.providers import NOTHING, asked_by


@pytest.mark.parametrize(
    ("body", "model", "most"),
    [
        ({"model": "gpt-4o-mini", "messages": [], "max_tokens": 100}, "gpt-4o-mini", 100),
        ({"max_completion_tokens": 7, "model": "o3"}, "o3", 7),
        ({"model": "gpt-5", "input": "x", "max_output_tokens": 30}, "gpt-5", 30),
        ({"model": "llama3", "options": {"num_predict": 12}}, "llama3", 12),
        ({"messages": []}, "", None),
        ({"model": None, "max_tokens": None}, "", None),
        ({"model": "", "max_tokens": -1}, "", None),
        ({"model": "x" * 201, "max_tokens": 10**9}, "", None),
        ({"model": "m", "max_tokens": 0}, "m", 0),
        ({"generationConfig": {"maxOutputTokens": 5}}, "", None),
    ],
)
def test_the_model_and_the_longest_answer_are_read(body, model, most):
    """By the names that providers give them; what makes no sense is as if not said."""
    for text in (
        json.dumps(body),
        json.dumps(body, separators=(",", ":")),
        json.dumps(body, indent=1),
    ):
        asked = asked_by(text)

        assert (asked.model, asked.most, asked.size) == (model, most, len(text))
        assert asked_by(text.encode()) == asked


@pytest.mark.parametrize("body", [None, b"", "", iter([b"a"]), ["a"], {"model": "m"}, 5])
def test_of_what_is_no_text_nothing_is_known(body):
    """Streams are not read for it."""
    assert asked_by(body) is NOTHING
    assert (NOTHING.model, NOTHING.size, NOTHING.most) == ("", 0, None)


def test_what_a_prompt_says_is_not_taken_for_it():
    """JSON within a text of JSON has a backslash before each quote."""
    within = json.dumps({"model": "planted", "max_tokens": 1})
    asked = asked_by(json.dumps({"prompt": within, "model": "m"}))

    assert (asked.model, asked.most) == ("m", None)


@pytest.mark.parametrize(
    ("body", "size"),
    [
        ("ü", 2),
        ("\ud800", 1),  # half of a character, which no encoding knows
        (b"\xff\xfe", 2),
        (b'{"model": "\xff"}', 14),
    ],
)
def test_no_body_is_too_odd(body, size):
    """Its size is that of its bytes."""
    assert asked_by(body).size == size


@given(
    st.text(),
    st.none()
    | st.text(min_size=1, max_size=50, alphabet=st.characters(min_codepoint=32, max_codepoint=126)),
)
def test_whatever_is_asked_the_model_is_found(prompt, model):
    """However the prompt reads, and wherever the model stands."""
    messages = [{"role": "user", "content": prompt}]
    body = {"messages": messages} if model is None else {"messages": messages, "model": model}
    plain = model is not None and json.dumps(model) == f'"{model}"'

    assert asked_by(json.dumps(body)).model == (model if plain else "")
