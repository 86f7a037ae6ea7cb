import json
import tracemalloc
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from threadllm.outcome import Usage
from threadllm.providers import StreamUsage, usage_of

OPENAI = {
    "prompt_tokens": 19,
    "completion_tokens": 10,
    "total_tokens": 29,
    "prompt_tokens_details": {"cached_tokens": 5},
    "completion_tokens_details": {"reasoning_tokens": 4},
}
RESPONSES = {
    "input_tokens": 36,
    "input_tokens_details": {"cached_tokens": 7},
    "output_tokens": 87,
    "total_tokens": 123,
}
ANTHROPIC = {
    "input_tokens": 10,
    "cache_creation_input_tokens": 200,
    "cache_read_input_tokens": 3000,
    "output_tokens": 5,
}
OLLAMA = {"model": "m", "done": True, "prompt_eval_count": 26, "eval_count": 259}

BODIES = {
    "OpenAI": ({"choices": [], "usage": OPENAI}, Usage(19, 10)),
    "OpenAI, embeddings": ({"usage": {"prompt_tokens": 8, "total_tokens": 8}}, Usage(8, 0)),
    "OpenAI, responses": ({"output": [], "usage": RESPONSES}, Usage(36, 87)),
    "Anthropic": ({"type": "message", "usage": ANTHROPIC}, Usage(3210, 5)),
    "Anthropic, null caches": (
        {"usage": {"input_tokens": 1, "cache_read_input_tokens": None, "output_tokens": 2}},
        Usage(1, 2),
    ),
    "Ollama": (OLLAMA, Usage(26, 259)),
    "Ollama, prompt cached": ({"eval_count": 9}, Usage(0, 9)),
    "huge": ({"usage": {"prompt_tokens": 10**400, "completion_tokens": 10**9}}, Usage(0, 10**9)),
    "booleans": ({"usage": {"prompt_tokens": True, "completion_tokens": True}}, Usage()),
    "negatives": ({"usage": {"prompt_tokens": -1, "completion_tokens": 3}}, Usage(0, 3)),
    "fractions, text": ({"usage": {"prompt_tokens": 1.5, "completion_tokens": "3"}}, Usage()),
    "null": ({"usage": None}, Usage()),
    "a list": ({"usage": [1]}, Usage()),
    "unknown fields": ({"usage": {"credits": 3}}, Usage()),
    "an array": ([{"usage": OPENAI}], Usage()),
    "within what was said": ({"choices": [{"message": {"usage": OPENAI}}]}, Usage()),
    "in a text": ({"choices": [json.dumps({"usage": OPENAI})]}, Usage()),
}


def encoded(body):
    return json.dumps(body).encode()


@pytest.mark.parametrize(("body", "usage"), BODIES.values(), ids=BODIES)
def test_a_whole_body_names_its_usage(body, usage):
    """Every dialect is read; what is no count of tokens counts nothing."""
    assert usage_of(encoded(body)) == usage


@pytest.mark.parametrize("content", [b"", b"<html>", b'{"usage": ', b"\xff", b'{"choices": []}'])
def test_a_body_without_usage_names_none(content):
    """Other bodies, torn ones and those that are no JSON give zero."""
    assert usage_of(content) == Usage()


# Streams


def events(*bodies, end="\n\n", name=None):
    """Server-sent events."""
    head = b"" if name is None else f"event: {name}\n".encode()
    return b"".join(head + b"data: " + encoded(body) + end.encode() for body in bodies)


STREAMS = {
    "OpenAI": (
        events({"choices": [], "usage": None}, {"choices": [], "usage": OPENAI})
        + b"data: [DONE]\n\n",
        Usage(19, 10),
    ),
    "OpenAI, CRLF and comments": (
        b": busy\r\n\r\n" + events({"usage": OPENAI}, end="\r\n\r\n"),
        Usage(19, 10),
    ),
    "OpenAI, so far in each": (
        events(*({"usage": {"prompt_tokens": 19, "completion_tokens": n}} for n in range(1, 11))),
        Usage(19, 10),
    ),
    "no space after the colon": (b"data:" + encoded({"usage": OPENAI}) + b"\n\n", Usage(19, 10)),
    "OpenAI, responses": (
        events(
            {"type": "response.created", "response": {"usage": None}},
            {"type": "response.completed", "response": {"usage": RESPONSES}},
            name="x",
        ),
        Usage(36, 87),
    ),
    "Anthropic": (
        events({"type": "message_start", "message": {"usage": ANTHROPIC}}, name="message_start")
        + events({"type": "content_block_delta", "delta": {"text": '"usage"'}})
        + events({"type": "message_delta", "delta": {}, "usage": {"output_tokens": 15}}),
        Usage(3210, 15),
    ),
    "Ollama": (
        b"".join(encoded(line) + b"\n" for line in ({"message": {}, "done": False}, OLLAMA)),
        Usage(26, 259),
    ),
    "no line end": (encoded({"usage": OPENAI}), Usage(19, 10)),
    "no usage": (events({"choices": []}), Usage()),
    "nothing": (b"", Usage()),
}


def read(chunks):
    stream = StreamUsage()
    for chunk in chunks:
        stream.feed(chunk)
    stream.close()
    return stream.usage


@pytest.mark.parametrize(("content", "usage"), STREAMS.values(), ids=STREAMS)
def test_a_stream_names_its_usage(content, usage):
    """Events and JSON lines are read as they pass; of repeated figures the largest counts."""
    assert read([content]) == usage


@given(st.sampled_from([*STREAMS.values()]), st.lists(st.integers(0, 1000)))
def test_a_stream_may_be_cut_anywhere(stream, cuts):
    """However it is cut into chunks, empty ones among them, the usage is the same."""
    content, usage = stream
    ends = [0, *sorted(min(cut, len(content)) for cut in cuts), len(content)]

    assert read(content[a:b] for a, b in pairwise(ends)) == usage


@given(st.lists(st.binary()))
def test_no_bytes_stop_the_reader(chunks):
    """Whatever passes, reading it does not raise."""
    assert read(chunks) == Usage()


def test_usage_is_there_as_soon_as_its_line_has_come():
    """A reader that stops early has what has passed; a line without an end counts at the close."""
    stream = StreamUsage()
    stream.feed(events({"usage": {"prompt_tokens": 1, "completion_tokens": 1}}))
    seen = [stream.usage]
    stream.feed(b"data: " + encoded({"usage": OPENAI}))
    seen.append(stream.usage)
    stream.close()
    stream.close()

    assert [*seen, stream.usage] == [Usage(1, 1), Usage(1, 1), Usage(19, 10)]


def test_a_line_without_end_does_not_grow_memory():
    """A line over a mebibyte is let go of, and lines after it are read."""
    stream = StreamUsage()
    chunk = bytes(1 << 16)
    stream.feed(chunk)
    tracemalloc.start()
    try:
        for _ in range(256):
            stream.feed(chunk)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    stream.feed(b"\n" + events({"usage": OPENAI}))

    assert peak < 4 << 20
    assert stream.usage == Usage(19, 10)


def test_a_line_of_a_mebibyte_is_read():
    """The limit is not below what an answer of many tokens fills."""
    body = encoded({"choices": ["x" * 1_000_000], "usage": OPENAI})

    assert read([body[:600_000], body[600_000:]]) == Usage(19, 10)


ELSEWHERE = [
    {"choices": [{"message": {"content": 'he said "usage": {"prompt_tokens": 9}'}}]},
    {"nested": {"usage": {"prompt_tokens": 9}}},
    {"nested": {"usage": {"prompt_tokens": 9}}, "object": "chat.completion"},
    [{"usage": {"prompt_tokens": 9}}],
]
WITHIN = [
    {"id": "a", "usage": {"prompt_tokens": 3, "completion_tokens": 4}},
    {"usage": {"prompt_tokens": 3, "completion_tokens": 4}, "tier": None, "x": "a b", "n": -1.5e3},
    {"usage": {"prompt_tokens": 3, "completion_tokens": 4}, "text": 'says "}"'},
    {"usage": {"prompt_tokens": 3, "completion_tokens": 4}, "more": {"a": [1]}},
    {"message": {"usage": {"input_tokens": 3, "output_tokens": 4}}, "id": "b"},
]


@pytest.mark.parametrize("indent", [None, 2])
@pytest.mark.parametrize("body", WITHIN)
def test_usage_is_found_wherever_it_may_stand(body, indent):
    """Last or not, and however the body is laid out."""
    assert usage_of(json.dumps(body, indent=indent).encode()) == Usage(3, 4)


@pytest.mark.parametrize("indent", [None, 2])
@pytest.mark.parametrize("body", ELSEWHERE)
def test_usage_in_other_places_is_somebody_elses(body, indent):
    """In a text, deeper down, or in a list."""
    assert usage_of(json.dumps(body, indent=indent).encode()) == Usage()


@pytest.mark.parametrize("end", [b'"usage": [1]}', b'"usage": {"prompt_tokens": }}', b'"usage"'])
def test_a_torn_end_names_no_usage(end):
    """What is no JSON counts nothing."""
    assert usage_of(b'{"id": 1, ' + end) == Usage()
