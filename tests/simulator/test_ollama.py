import json

import pytest

from tests.simulator.support import chat_body, post
from threadllm.simulator import Limits, Simulator, answer_to


@pytest.fixture(scope="module")
def sim():
    with Simulator() as sim:
        yield sim


def test_chat_streams_by_default(sim):
    """Ollama's chat is a JSON object a line, unless it is told not to stream."""
    response = post(sim, "/api/chat", chat_body("hello"))
    lines = [json.loads(line) for line in response.text.split("\n")[:-1]]
    assert response.headers["content-type"] == "application/x-ndjson"
    assert "".join(line["message"]["content"] for line in lines) == answer_to("hello")
    assert [line["done"] for line in lines] == [False] * 8 + [True]
    assert (lines[-1]["prompt_eval_count"], lines[-1]["eval_count"]) == (2, 8)


def test_chat_in_one_piece(sim):
    """Without streaming the answer and its counts come in one object."""
    assert post(sim, "/api/chat", chat_body("hello", stream=False)).json() == {
        "model": "m",
        "created_at": "2023-11-14T22:13:20Z",
        "message": {"role": "assistant", "content": answer_to("hello")},
        "done": True,
        "done_reason": "stop",
        "total_duration": 0,
        "load_duration": 0,
        "prompt_eval_count": 2,
        "prompt_eval_duration": 0,
        "eval_count": 8,
        "eval_duration": 0,
    }


@pytest.mark.parametrize(
    ("most", "text", "reason"),
    [(2, answer_to("hello")[:8], "length"), (-1, answer_to("hello"), "stop")],
)
def test_generate(sim, most, text, reason):
    """Generation is cut at num_predict, of which a negative one is no limit."""
    options = {"num_predict": most}
    body = {"model": "m", "prompt": "hello", "system": "s", "stream": False, "options": options}
    answer = post(sim, "/api/generate", body).json()
    assert (answer["response"], answer["done_reason"]) == (text, reason)


def test_generate_without_a_prompt(sim):
    """A missing prompt is a 400 in Ollama's words."""
    response = post(sim, "/api/generate", {"model": "m"})
    assert (response.status_code, response.json()) == (
        400,
        {"error": "Missing required parameter: 'prompt'."},
    )


def test_a_full_queue_is_a_503():
    """Over the limit Ollama answers 503 and says nothing of when to come back."""
    with Simulator(limits=Limits(requests_per_minute=1)) as sim:
        post(sim, "/api/chat", chat_body())
        response = post(sim, "/api/chat", chat_body())
    assert (response.status_code, "error" in response.json()) == (503, True)
    assert not [name for name in response.headers if "retry" in name or "ratelimit" in name]
    assert "x-request-id" not in response.headers
