"""OpenAI's dialect, which most providers speak.

https://platform.openai.com/docs/api-reference
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from threadllm.simulator.dialects import embeddings
from threadllm.simulator.dialects.fields import (
    conversation,
    most_tokens,
    need,
    optional,
    texts,
)
from threadllm.simulator.dialects.values import (
    CREATED,
    SSE,
    Answer,
    Ask,
    Dialect,
    Endpoint,
    Json,
    Reply,
    RequestError,
    dumped,
    retry_after,
    streamed,
    whole,
)
from threadllm.simulator.text import pieces

if TYPE_CHECKING:
    from collections.abc import Mapping

    from threadllm.simulator.buckets import Level

_SECOND = 1000  # milliseconds
_MINUTE = 60 * _SECOND
_CODES = {401: "invalid_api_key", 402: "insufficient_quota", 429: "rate_limit_exceeded"}
# What the headers call a limit; a later one takes the place of an earlier.
_SHOWN = {"requests": "requests", "requests-per-day": "requests", "tokens": "tokens"}
# What an error's type calls it.
_TYPES = {**_SHOWN, "input-tokens": "tokens", "output-tokens": "tokens"}


def _error(problem: RequestError) -> Json:
    usual = "server_error" if problem.server_side else "invalid_request_error"
    kinds = {402: "insufficient_quota", 429: _TYPES.get(problem.about, problem.about)}
    return {
        "error": {
            "message": problem.message,
            "type": kinds.get(problem.status, usual),
            "param": problem.param,
            "code": _CODES.get(problem.status),
        }
    }


def duration(seconds: float) -> str:
    """Seconds as OpenAI writes them: 20ms, 1s, 6m0s, 2m59.56s, 1h2m3s."""
    milliseconds = math.ceil(seconds * _SECOND - 1e-6)
    if milliseconds < _SECOND:
        return f"{milliseconds}ms"
    minutes, milliseconds = divmod(milliseconds, _MINUTE)
    hours, minutes = divmod(minutes, 60)
    shown = f"{hours}h{minutes}m" if hours else f"{minutes}m" if minutes else ""
    return f"{shown}{milliseconds / _SECOND:g}s"


def _levels(levels: Mapping[str, Level], _now: float) -> dict[str, str]:
    headers = {}
    for about, name in _SHOWN.items():
        if (level := levels.get(about)) is None:
            continue
        headers[f"x-ratelimit-limit-{name}"] = str(level.limit)
        headers[f"x-ratelimit-remaining-{name}"] = str(level.remaining)
        headers[f"x-ratelimit-reset-{name}"] = duration(level.reset)
    return headers


def _wait(seconds: float) -> dict[str, str]:
    milliseconds = math.ceil(seconds * _SECOND)
    return {**retry_after(seconds), "retry-after-ms": str(milliseconds)}


OPENAI = Dialect("openai", _error, levels=_levels, wait=_wait, request_id="x-request-id")


def _usage(ask: Ask) -> Json:
    return {
        "prompt_tokens": ask.input_tokens,
        "completion_tokens": ask.output_tokens,
        "total_tokens": ask.input_tokens + ask.output_tokens,
    }


def _finish(answer: Answer) -> str:
    return "length" if answer.cut else "stop"


def _event(value: object) -> bytes:
    return b"data: " + dumped(value) + b"\n\n"


def _streams(body: Json) -> bool:
    optional(body, "stream_options", dict)
    return optional(body, "stream", bool) or False


def _read_chat(body: Json) -> Ask:
    prompt, text = conversation(body)
    most = most_tokens(body, "max_completion_tokens", "max_tokens")
    return Ask(
        need(body, "model", str),
        prompt,
        text,
        (Answer.to(prompt, most),),
        stream=_streams(body),
        body=body,
    )


def _read_completion(body: Json) -> Ask:
    prompts = texts(body, "prompt")
    most = most_tokens(body, "max_tokens")
    return Ask(
        need(body, "model", str),
        prompts[-1],
        "\n".join(prompts),
        tuple(Answer.to(prompt, most) for prompt in prompts),
        stream=_streams(body),
        body=body,
    )


def _frame(ask: Ask, kind: str, choices: list[Json], **more: object) -> Json:
    return {
        "id": f"{'chatcmpl' if kind.startswith('chat') else 'cmpl'}-{ask.digest}",
        "object": kind,
        "created": CREATED,
        "model": ask.model,
        "choices": choices,
        **more,
    }


def _stream(ask: Ask, kind: str, opening: list[Json], steps: list[Json], end: list[Json]) -> Reply:
    wanted = bool((optional(ask.body, "stream_options", dict) or {}).get("include_usage"))
    blank: Json = {"usage": None} if wanted else {}
    last = [_event(_frame(ask, kind, [], usage=_usage(ask)))] if wanted else []
    return streamed(
        SSE,
        b"".join(_event(_frame(ask, kind, [choice], **blank)) for choice in opening),
        (_event(_frame(ask, kind, [choice], **blank)) for choice in steps),
        b"".join(
            [
                *(_event(_frame(ask, kind, [choice], **blank)) for choice in end),
                *last,
                b"data: [DONE]\n\n",
            ]
        ),
    )


def _delta(delta: Json, finish: str | None = None) -> Json:
    return {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}


def _reply_chat(ask: Ask) -> Reply:
    answer = ask.answers[0]
    if ask.stream:
        return _stream(
            ask,
            "chat.completion.chunk",
            [_delta({"role": "assistant", "content": ""})],
            [_delta({"content": piece}) for piece in pieces(answer.text)],
            [_delta({}, _finish(answer))],
        )
    message = {"role": "assistant", "content": answer.text, "refusal": None}
    choice: Json = {
        "index": 0,
        "message": message,
        "logprobs": None,
        "finish_reason": _finish(answer),
    }
    return whole(_frame(ask, "chat.completion", [choice], usage=_usage(ask)), ask)


def _choice(index: int, text: str, finish: str | None = None) -> Json:
    return {"index": index, "text": text, "logprobs": None, "finish_reason": finish}


def _reply_completion(ask: Ask) -> Reply:
    answers = list(enumerate(ask.answers))
    if ask.stream:
        return _stream(
            ask,
            "text_completion",
            [],
            [_choice(index, piece) for index, one in answers for piece in pieces(one.text)],
            [_choice(index, "", _finish(one)) for index, one in answers],
        )
    choices = [_choice(index, one.text, _finish(one)) for index, one in answers]
    return whole(_frame(ask, "text_completion", choices, usage=_usage(ask)), ask)


def _reply_models(ask: Ask) -> Reply:
    row = {"id": "simulated", "object": "model", "created": CREATED, "owned_by": "threadllm"}
    return whole({"object": "list", "data": [row]}, ask)


ENDPOINTS: Mapping[str, Endpoint] = {
    "/v1/chat/completions": Endpoint("POST", OPENAI, _read_chat, _reply_chat),
    "/v1/completions": Endpoint("POST", OPENAI, _read_completion, _reply_completion),
    "/v1/embeddings": Endpoint("POST", OPENAI, embeddings.read, embeddings.reply),
    "/v1/models": Endpoint("GET", OPENAI, lambda _: Ask("", "", ""), _reply_models, paid=False),
}
