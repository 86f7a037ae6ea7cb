"""`bench.Chat`: one streamed question, whose first token is timed."""

import json
import time

import pytest
import requests

import threadllm
from tests.transport.support import reply
from threadllm import bench
from threadllm.simulator import Latency, Simulator, answer_to


def piece(text, **more):
    return {"choices": [{"index": 0, "delta": {"content": text}, **more}]}


END = {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}


def test_a_model_is_asked_and_its_first_token_timed():
    """The text is whole; the first token comes after its time, and before the last."""
    latency = Latency(time_to_first_token=0.2, tokens_per_second=20)
    with Simulator(latency=latency) as sim:
        chat = bench.Chat(sim.base_url, "m", api_key="sk-planted-bench")
        began = time.monotonic()
        answer = chat("What is a thread?")
        took = time.monotonic() - began
    assert answer.text == answer_to("What is a thread?")
    assert 0.2 <= answer.first_token < took - 0.05


def test_what_is_sent(serve, stream):
    """The prompt as a message or all messages as they are; the key as a bearer alone."""
    server = serve(stream(piece("a"), END), stream(piece("b"), END))
    messages = [{"role": "system", "content": "s"}, {"role": "user", "content": "u"}]
    asked = bench.Chat(server.url + "/v1", "m", api_key="sk-planted-bench", max_tokens=7)
    assert [asked("hello").text, asked(messages).text] == ["a", "b"]
    bodies = [json.loads(request.body) for request in server.requests]
    assert bodies[0] == {
        "model": "m",
        "messages": [{"role": "user", "content": "hello"}],
        "stream": True,
        "stream_options": {"include_usage": True},
        "max_tokens": 7,
    }
    assert bodies[1]["messages"] == messages
    assert {request.target for request in server.requests} == {"/v1/chat/completions"}
    assert server.requests[0].headers["authorization"] == "Bearer sk-planted-bench"
    assert "planted" not in repr(asked)


def test_no_key_and_no_limit_are_not_sent(serve, stream):
    """Ollama and vLLM need neither."""
    server = serve(stream(piece("a"), END))
    bench.Chat(server.url, "m")("hello")
    assert "authorization" not in server.requests[0].headers
    assert "max_tokens" not in json.loads(server.requests[0].body)


@pytest.mark.parametrize(
    ("events", "text"),
    [
        ([piece("a"), piece("b"), "[DONE]"], "ab"),
        ([piece("a"), {"choices": []}, {"usage": {}}, "[DONE]"], "a"),
        ([{"choices": [{"delta": {"reasoning_content": "hm"}}]}, piece("a"), END], "hma"),
        ([{"choices": [{"delta": None}]}, piece("a", finish_reason="stop")], "a"),
        (["[DONE]"], ""),
    ],
)
def test_streams_as_there_are(serve, stream, events, text):
    """With or without [DONE], with usage alone, with what the model thinks aloud."""
    answer = bench.Chat(serve(stream(*events)).url, "m")("hello")
    assert answer.text == text
    assert (answer.first_token is None) is not text


@pytest.mark.parametrize(
    ("events", "said"),
    [
        ([piece("a")], "broke off before its end"),
        ([], "broke off before its end"),
        ([piece("a"), {"error": {"message": "overloaded"}}], "error in the stream: .*overloaded"),
        ([piece("a"), "oops"], "no JSON object in the stream: oops"),
        (["[1]"], "no JSON object in the stream"),
    ],
)
def test_a_stream_that_does_not_end_well_is_no_answer(serve, stream, events, said):
    """It came with status 200, all the same."""
    with pytest.raises(bench.BrokenStreamError, match=said):
        bench.Chat(serve(stream(*events)).url, "m")("hello")


def test_an_endpoint_that_does_not_stream_is_understood(serve):
    """The answer counts; when its first token came nobody knows."""
    whole = {"choices": [{"message": {"content": "a"}}]}
    server = serve(reply(whole, content_type="application/json"), reply({"x": 1}))
    chat = bench.Chat(server.url, "m")
    assert chat("hello") == bench.Answer("a", None)
    with pytest.raises(bench.BrokenStreamError, match="no chat completion"):
        chat("hello")


def test_an_error_s_status_is_raised(serve):
    """As requests raises it, with the answer."""
    with pytest.raises(requests.HTTPError) as raised:
        bench.Chat(serve(reply(status=404)).url, "m")("hello")
    assert raised.value.response.status_code == 404


def test_waits_for_others_are_not_in_the_first_token(serve, stream):
    """What is parked after a 429 is no time of the endpoint's."""
    server = serve(reply(status=429, retry_after=1), stream(piece("a"), END))
    with threadllm.Dispatcher(1) as pool:
        [outcome] = pool.outcomes(bench.Chat(server.url, "m"), ["hello"])
    assert outcome.value.first_token < 0.9
