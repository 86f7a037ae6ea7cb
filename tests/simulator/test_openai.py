import base64
import json
import struct

import openai
import pytest
import requests

from tests.simulator.support import CHAT, chat, chat_body, post
from threadllm.simulator import Fault, Simulator, answer_to, digest
from threadllm.simulator.dialects.openai import duration


@pytest.fixture(scope="module")
def sim():
    with Simulator() as sim:
        yield sim


@pytest.fixture
def client(sim):
    with openai.OpenAI(base_url=sim.base_url, api_key="sk-secret", max_retries=0) as client:
        yield client


def test_chat_has_the_shape_of_openai(sim):
    """A chat completion quotes the prompt's digest and counts a token for four characters."""
    assert chat(sim, "hello").json() == {
        "id": f"chatcmpl-{digest('hello')}",
        "object": "chat.completion",
        "created": 1_700_000_000,
        "model": "m",
        "choices": [
            {
                "index": 0,
                "message": {
                    "role": "assistant",
                    "content": f"Answer {digest('hello')}: hello",
                    "refusal": None,
                },
                "logprobs": None,
                "finish_reason": "stop",
            }
        ],
        "usage": {"prompt_tokens": 2, "completion_tokens": 8, "total_tokens": 10},
    }


def test_chat_through_the_sdk(client):
    """The openai SDK reads the answer and the usage of a chat completion."""
    answer = client.chat.completions.create(**chat_body("hello"))
    assert answer.choices[0].message.content == answer_to("hello")
    assert answer.usage.total_tokens == 10


def test_stream_through_the_sdk(client):
    """The openai SDK reads a stream, whose last chunk carries the usage when asked for."""
    stream = client.chat.completions.create(
        **chat_body("hello"), stream=True, stream_options={"include_usage": True}
    )
    chunks = list(stream)
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks[:-1])
    assert text == answer_to("hello")
    assert [chunk.usage for chunk in chunks[:-1]] == [None] * (len(chunks) - 1)
    assert (chunks[-1].choices, chunks[-1].usage.total_tokens) == ([], 10)
    assert chunks[-2].choices[0].finish_reason == "stop"


def test_stream_without_usage(sim):
    """A stream is server-sent events that end in [DONE], without usage unless asked for."""
    response = chat(sim, "hello", stream=True)
    events = response.text.strip().split("\n\n")
    assert response.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert events[-1] == "data: [DONE]"
    assert not any("usage" in json.loads(event[6:]) for event in events[:-1])


def test_max_tokens_cuts_the_answer(sim):
    """An answer longer than the most tokens is cut, and says so."""
    body = chat(sim, "hello", max_tokens=2).json()
    assert body["choices"][0]["message"]["content"] == answer_to("hello")[:8]
    assert body["choices"][0]["finish_reason"] == "length"
    assert body["usage"]["completion_tokens"] == 2


def test_the_last_message_of_the_user_is_answered(sim):
    """In a conversation the last message of the user is the prompt, in parts or not."""
    parts = [{"type": "text", "text": "second"}, {"type": "image_url", "image_url": {}}]
    messages = [
        {"role": "system", "content": "be brief"},
        {"role": "user", "content": "first"},
        {"role": "user", "content": parts},
        {"role": "assistant", "content": None},
    ]
    body = post(sim, CHAT, {"model": "m", "messages": messages}).json()
    assert body["choices"][0]["message"]["content"] == answer_to("second")


def test_a_conversation_without_a_user(sim):
    """Where no message is the user's, the last one is the prompt."""
    body = post(sim, CHAT, {"model": "m", "messages": [{"role": "system", "content": "s"}]}).json()
    assert body["choices"][0]["message"]["content"] == answer_to("s")


def test_completions_through_the_sdk(client):
    """A completion has one choice for each prompt, streamed or not."""
    answer = client.completions.create(model="m", prompt=["a", "b"])
    assert [choice.text for choice in answer.choices] == [answer_to("a"), answer_to("b")]
    stream = client.completions.create(model="m", prompt="a", stream=True)
    assert "".join(chunk.choices[0].text for chunk in stream) == answer_to("a")


def test_embeddings_through_the_sdk(sim, client):
    """Embeddings are the same packed or not, of length 1, one for each text."""
    packed = client.embeddings.create(model="m", input=["a", "b"], dimensions=4)
    plain = post(sim, "/v1/embeddings", {"model": "m", "input": ["a", "b"], "dimensions": 4}).json()
    vectors = [row["embedding"] for row in plain["data"]]
    assert [one.embedding for one in packed.data] == [pytest.approx(one) for one in vectors]
    assert [sum(x * x for x in one) for one in vectors] == [pytest.approx(1)] * 2
    assert plain["usage"] == {"prompt_tokens": 1, "total_tokens": 1}


def test_packed_embeddings(sim):
    """Asked for base64, an embedding is little-endian floats, eight by default."""
    body = {"model": "m", "input": "a", "encoding_format": "base64"}
    raw = base64.b64decode(post(sim, "/v1/embeddings", body).json()["data"][0]["embedding"])
    assert len(struct.unpack("<8f", raw)) == 8


def test_models_through_the_sdk(client):
    """There is one model to be listed; a request may name any."""
    assert [model.id for model in client.models.list()] == ["simulated"]


@pytest.mark.parametrize(
    ("path", "body", "param"),
    [
        (CHAT, {"messages": [{"role": "user", "content": "a"}]}, "model"),
        (CHAT, {"model": "m"}, "messages"),
        (CHAT, {"model": "m", "messages": []}, "messages"),
        (CHAT, {"model": "m", "messages": ["a"]}, "messages"),
        (CHAT, {"model": "m", "messages": [{"content": "a"}]}, "messages"),
        (CHAT, {"model": "m", "messages": [{"role": "user", "content": 1}]}, "messages"),
        (CHAT, chat_body(stream="yes"), "stream"),
        (CHAT, chat_body(max_tokens=0), "max_tokens"),
        (CHAT, chat_body(stream=True, stream_options=1), "stream_options"),
        ("/v1/embeddings", {"model": "m", "input": "a", "dimensions": 0}, "dimensions"),
        ("/v1/completions", {"model": "m"}, "prompt"),
        ("/v1/embeddings", {"model": "m", "input": []}, "input"),
        ("/v1/embeddings", {"model": "m", "input": "a", "dimensions": -1}, "dimensions"),
    ],
)
def test_a_field_that_cannot_be_used(sim, path, body, param):
    """A missing or wrong field is a 400 that names it."""
    response = post(sim, path, body)
    error = response.json()["error"]
    assert (response.status_code, error["type"], error["param"]) == (
        400,
        "invalid_request_error",
        param,
    )


@pytest.mark.parametrize("raw", [b"{", b"\xff", b"[]", b'{"a": NaN}', b"[" * 100_000, b""])
def test_a_body_that_is_not_a_json_object(sim, raw):
    """A body that is no JSON object is a 400."""
    response = requests.post(sim.url + CHAT, data=raw, timeout=5)
    assert (response.status_code, response.json()["error"]["type"]) == (
        400,
        "invalid_request_error",
    )


def test_lone_surrogates_are_text(sim):
    """A lone surrogate, which JSON can carry, comes back in the answer."""
    assert chat(sim, "\ud800").json()["choices"][0]["message"]["content"] == answer_to("\ud800")


def test_an_unknown_path(sim):
    """A path that is not there is a 404 in the provider's words."""
    response = post(sim, "/v1/nothing", {})
    assert (response.status_code, response.json()) == (
        404,
        {
            "error": {
                "message": "Invalid URL (POST /v1/nothing)",
                "type": "invalid_request_error",
                "param": None,
                "code": None,
            }
        },
    )


def test_a_wrong_method(sim):
    """A GET where a POST is wanted is a 405."""
    assert requests.get(sim.url + CHAT, timeout=5).status_code == 405


def test_a_wrong_key_through_the_sdk():
    """A key that is not on the list is a 401 that does not repeat it."""
    with (
        Simulator(api_keys=["sk-right"]) as sim,
        openai.OpenAI(base_url=sim.base_url, api_key="sk-wrong", max_retries=0) as client,
    ):
        with pytest.raises(openai.AuthenticationError) as caught:
            client.models.list()
        assert caught.value.code == "invalid_api_key"
        assert "sk-wrong" not in str(caught.value)
        assert [one.id for one in client.with_options(api_key="sk-right").models.list()] == [
            "simulated"
        ]


@pytest.mark.parametrize(
    ("status", "kind", "code"),
    [
        (402, "insufficient_quota", "insufficient_quota"),
        (429, "requests", "rate_limit_exceeded"),
        (500, "server_error", None),
    ],
)
def test_error_bodies(status, kind, code):
    """An error's type and code follow from its status."""
    with Simulator(script=[Fault(status=status)]) as sim:
        response = chat(sim)
    assert response.status_code == status
    assert response.json() == {
        "error": {
            "message": f"The simulator was told to answer {status}.",
            "type": kind,
            "param": None,
            "code": code,
        }
    }


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (0, "0ms"),
        (0.02, "20ms"),
        (1, "1s"),
        (1.5, "1.5s"),
        (360, "6m0s"),
        (179.56, "2m59.56s"),
        (3723, "1h2m3s"),
    ],
)
def test_durations(seconds, shown):
    """Durations are written as OpenAI writes them."""
    assert duration(seconds) == shown
