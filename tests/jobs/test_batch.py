"""OpenAI Batch lines in and out."""

import io
import json

import pytest

from threadllm.exceptions import OptionError
from threadllm.jobs import BatchRequest, Job, Refused, join, read_requests, result_line

CHAT = "/v1/chat/completions"
BODY = {"model": "m", "messages": [{"role": "user", "content": "2+2?"}]}
LINE = {"custom_id": "r-1", "method": "POST", "url": "/v1/embeddings", "body": BODY}


def read_lines(*lines, model=None):
    stdin = io.BytesIO("\n".join(map(json.dumps, lines)).encode())
    return list(read_requests("-", model=model, stdin=stdin))


@pytest.mark.parametrize(
    ("obj", "name", "request_"),
    [
        (LINE, "r-1", BatchRequest("/v1/embeddings", BODY)),
        ({"id": 5, "prompt": "2+2?", "model": "m"}, 5, BatchRequest(CHAT, BODY)),
        (
            {"prompt": "2+2?", "temperature": 0},
            1,
            BatchRequest(CHAT, {**BODY, "model": "given", "temperature": 0}),
        ),
        (
            {"custom_id": "c", "id": "i", "top_p": 1, **BODY},
            "c",
            BatchRequest(CHAT, {**BODY, "top_p": 1}),
        ),
        (
            {**LINE, "body": {"model": None, "input": "x"}},
            "r-1",
            BatchRequest("/v1/embeddings", {"model": "given", "input": "x"}),
        ),
    ],
    ids=["batch", "prompt", "parameters", "messages", "no model"],
)
def test_a_line_becomes_a_request(obj, name, request_):
    """A Batch line, a prompt or messages; a model is given to those that name none."""
    assert read_lines(obj, model="given") == [Job(name, request_, 1)]


@pytest.mark.parametrize(
    ("obj", "reason"),
    [
        ([LINE], 'is a JSON array, not an object. Write {"id": …, "prompt": …}'),
        ({"id": 1}, 'has no "prompt", no "messages" and no "body". Give it one of them'),
        ({**LINE, "custom_id": []}, "has [] as its 'custom_id'. Name it with a string or a number"),
        ({**LINE, "method": "GET"}, 'has the method \'GET\'. Write "method": "POST"'),
        ({"url": CHAT, "body": BODY}, 'has the method None. Write "method": "POST"'),
        (
            {"method": "POST", "body": BODY},
            'has no url. Write "url": "/v1/chat/completions"',
        ),
        (
            {**LINE, "url": "https://elsewhere.example/v1/chat/completions"},
            (
                "has the url 'https://else...t/completions', which does not begin with /v1/. "
                "Write a path alone, such as /v1/chat/completions"
            ),
        ),
        (
            {**LINE, "url": 1},
            (
                "has the url 1, which does not begin with /v1/. "
                "Write a path alone, such as /v1/chat/completions"
            ),
        ),
        (
            {**LINE, "body": "{}"},
            'has a "body" that is not an object. Write {"model": …, "messages": […]}',
        ),
        (
            {"prompt": "x"},
            'names no model. Add "model" to it, or give a model for all lines',
        ),
        (
            {"prompt": ["x"]},
            'has a "prompt" that is not a string. Put anything else in "messages"',
        ),
        (
            {"messages": []},
            (
                'has "messages" that are not a list of messages. '
                'Write [{"role": "user", "content": …}]'
            ),
        ),
        (
            {"messages": "x"},
            (
                'has "messages" that are not a list of messages. '
                'Write [{"role": "user", "content": …}]'
            ),
        ),
        ({**BODY, "prompt": "x"}, 'has both "messages" and "prompt". Remove one'),
        (
            {**LINE, "body": {**BODY, "stream": True}},
            'asks for a stream, which a result line cannot hold. Remove "stream"',
        ),
    ],
)
def test_a_line_that_is_no_request_is_refused(obj, reason):
    """The refusal says what is wrong with the line and what to write."""
    [refused] = read_lines(obj)

    assert str(refused) == f"line 1: {reason}"


def test_a_file_of_requests_is_read_line_by_line():
    """Each line is a job with its request, or refused; names are told apart in either field."""
    lines = [{"custom_id": "a", "prompt": "2+2?"}, {"id": "b"}, {"id": "a", **BODY}, BODY]

    assert read_lines(*lines, model="m") == [
        Job("a", BatchRequest(CHAT, BODY), 1),
        Refused(2, 'has no "prompt", no "messages" and no "body". Give it one of them', "b"),
        Refused(3, "has the id 'a' of an earlier line. Give it its own", "a"),
        Job(4, BatchRequest(CHAT, BODY), 4),
    ]


def test_a_file_without_fields_holds_no_requests():
    """A text file is refused at once, for what it lacks."""
    with pytest.raises(OptionError) as caught:
        read_requests("in.txt")

    assert str(caught.value) == (
        "cannot take fields from in.txt: a .txt file has no fields. Use .jsonl"
    )


@pytest.mark.parametrize(
    ("base_url", "url"),
    [
        ("http://h/v1", "http://h/v1/chat/completions"),
        ("http://h:1/v1/", "http://h:1/v1/chat/completions"),
        ("http://h", "http://h/v1/chat/completions"),
        ("http://h/", "http://h/v1/chat/completions"),
        ("https://h/v1beta/openai/", "https://h/v1beta/openai/chat/completions"),
        ("https://h/openai/?api-version=1", "https://h/openai/chat/completions?api-version=1"),
        ("https://h/v10", "https://h/v10/chat/completions"),
    ],
)
def test_a_base_url_is_the_root_of_an_api(base_url, url):
    """A base means what it means to the SDKs, and /v1 never stands twice."""
    assert join(base_url, CHAT) == url


def test_a_success_and_an_http_error_have_a_response():
    """What was answered is a response, whatever its status."""
    body = {"error": {"message": "too long"}}

    assert result_line("r-1", line=3, status=400, request_id="abc", body=body) == {
        "id": "batch_req_3",
        "custom_id": "r-1",
        "response": {"status_code": 400, "request_id": "abc", "body": body},
        "error": None,
    }


def test_what_was_never_executed_has_an_error_without_keys():
    """Without an answer there is a code and a text, from which keys are taken out."""
    error = ("connection_error", "no answer for Bearer sk-planted-0123456789")

    assert result_line(3, line=3, error=error) == {
        "id": "batch_req_3",
        "custom_id": 3,
        "response": None,
        "error": {"code": "connection_error", "message": "no answer for Bearer [redacted]"},
    }


def test_a_body_that_json_cannot_hold_is_left_out():
    """A provider that answers NaN does not stop the file of results."""
    found = result_line("r-1", line=3, status=200, body={"score": float("nan")})

    assert found["response"] == {"status_code": 200, "request_id": None, "body": None}
    assert found["error"]["code"] == "invalid_body"
    assert found["error"]["message"].startswith(
        "the provider sent a value of type dict, which JSON cannot hold ("
    )
