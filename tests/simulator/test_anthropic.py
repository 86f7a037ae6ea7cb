import anthropic
import pytest

from tests.simulator.support import post
from threadllm.simulator import Fault, Limits, Simulator, answer_to, digest

PATH = "/v1/messages"


def body(prompt="hello", **more):
    return {
        "model": "m",
        "max_tokens": 100,
        "messages": [{"role": "user", "content": prompt}],
        **more,
    }


@pytest.fixture(scope="module")
def sim():
    with Simulator() as sim:
        yield sim


@pytest.fixture
def client(sim):
    with anthropic.Anthropic(base_url=sim.url, api_key="sk-secret", max_retries=0) as client:
        yield client


def test_message_has_the_shape_of_anthropic(sim):
    """A message carries its text in a block, and its usage without a total."""
    response = post(sim, PATH, body("hello"))
    assert response.headers["request-id"].startswith("req_")
    assert response.json() == {
        "id": f"msg_{digest('hello')}",
        "type": "message",
        "role": "assistant",
        "model": "m",
        "content": [{"type": "text", "text": answer_to("hello")}],
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "usage": {"input_tokens": 2, "output_tokens": 8},
    }


def test_message_through_the_sdk(client):
    """The anthropic SDK reads a message; the system prompt counts as input."""
    message = client.messages.create(**body("hello", system="brief"))
    assert message.content[0].text == answer_to("hello")
    assert (message.usage.input_tokens, message.usage.output_tokens) == (3, 8)


def test_stream_through_the_sdk(client):
    """The anthropic SDK puts a streamed message together, its usage included."""
    with client.messages.stream(**body("hello", max_tokens=2)) as stream:
        assert "".join(stream.text_stream) == answer_to("hello")[:8]
        message = stream.get_final_message()
    assert message.stop_reason == "max_tokens"
    assert (message.usage.input_tokens, message.usage.output_tokens) == (2, 2)


def test_stream_events(sim):
    """A stream has Anthropic's events in Anthropic's order."""
    response = post(sim, PATH, body("hello", max_tokens=2, stream=True))
    lines = response.text.split("\n")
    assert [line[7:] for line in lines if line.startswith("event: ")] == [
        "message_start",
        "content_block_start",
        "ping",
        "content_block_delta",
        "content_block_delta",
        "content_block_stop",
        "message_delta",
        "message_stop",
    ]


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, "invalid_request_error"),
        (429, "rate_limit_error"),
        (500, "api_error"),
        (529, "overloaded_error"),
    ],
)
def test_error_bodies(status, kind):
    """An error's type follows from its status."""
    with Simulator(script=[Fault(status=status)]) as sim:
        response = post(sim, PATH, body())
    message = f"The simulator was told to answer {status}."
    assert (response.status_code, response.json()) == (
        status,
        {"type": "error", "error": {"type": kind, "message": message}},
    )


def test_max_tokens_is_required(sim):
    """A message without max_tokens is a 400."""
    response = post(sim, PATH, body(max_tokens=None))
    assert (response.status_code, response.json()["error"]["type"]) == (
        400,
        "invalid_request_error",
    )


def test_an_unknown_path(sim):
    """A path below Anthropic's is a 404 in Anthropic's words."""
    response = post(sim, "/v1/messages/nothing", {})
    assert (response.status_code, response.json()["error"]["type"]) == (404, "not_found_error")


def test_over_the_limit_through_the_sdk():
    """Over the limit the SDK raises a rate limit error with Anthropic's headers."""
    with (
        Simulator(limits=Limits(requests_per_minute=1)) as sim,
        anthropic.Anthropic(base_url=sim.url, api_key="sk-x", max_retries=0) as client,
    ):
        client.messages.create(**body())
        with pytest.raises(anthropic.RateLimitError) as caught:
            client.messages.create(**body())
    headers = caught.value.response.headers
    assert headers["retry-after"] == "60"
    assert headers["anthropic-ratelimit-requests-limit"] == "1"
    assert headers["anthropic-ratelimit-requests-remaining"] == "0"
    assert headers["anthropic-ratelimit-requests-reset"].endswith("Z")
