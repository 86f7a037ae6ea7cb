"""Anthropic's dialect.

https://docs.anthropic.com/en/api/messages, /errors and /rate-limits
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from threadllm.simulator.dialects.fields import (
    conversation,
    most_tokens,
    need,
    optional,
    text_of,
)
from threadllm.simulator.dialects.values import (
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
    timestamp,
    whole,
)
from threadllm.simulator.text import pieces

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from threadllm.simulator.buckets import Level

_ERRORS = {
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    504: "timeout_error",
    529: "overloaded_error",
}
_SHOWN = ("requests", "tokens", "input-tokens", "output-tokens")


def _error(problem: RequestError) -> Json:
    usual = "api_error" if problem.server_side else "invalid_request_error"
    kind = _ERRORS.get(problem.status, usual)
    return {"type": "error", "error": {"type": kind, "message": problem.message}}


def _levels(levels: Mapping[str, Level], now: float) -> dict[str, str]:
    headers = {}
    for name in _SHOWN:
        if (level := levels.get(name)) is None:
            continue
        headers[f"anthropic-ratelimit-{name}-limit"] = str(level.limit)
        headers[f"anthropic-ratelimit-{name}-remaining"] = str(level.remaining)
        headers[f"anthropic-ratelimit-{name}-reset"] = timestamp(math.ceil(now + level.reset))
    return headers


ANTHROPIC = Dialect("anthropic", _error, levels=_levels, wait=retry_after, request_id="request-id")


def _read(body: Json) -> Ask:
    prompt, text = conversation(body)
    if system := text_of(body.get("system")):
        text = f"{system}\n{text}"
    model = need(body, "model", str)
    need(body, "max_tokens", int)
    answer = Answer.to(prompt, most_tokens(body, "max_tokens"))
    stream = optional(body, "stream", bool) or False
    return Ask(model, prompt, text, (answer,), stream=stream, body=body)


def _message(ask: Ask, content: list[Json], finish: str | None, output_tokens: int) -> Json:
    return {
        "id": f"msg_{ask.digest}",
        "type": "message",
        "role": "assistant",
        "model": ask.model,
        "content": content,
        "stop_reason": finish,
        "stop_sequence": None,
        "usage": {"input_tokens": ask.input_tokens, "output_tokens": output_tokens},
    }


def _event(kind: str, **fields: object) -> bytes:
    return f"event: {kind}\ndata: ".encode() + dumped({"type": kind, **fields}) + b"\n\n"


def _deltas(text: str) -> Iterable[bytes]:
    for piece in pieces(text):
        yield _event("content_block_delta", index=0, delta={"type": "text_delta", "text": piece})


def _reply(ask: Ask) -> Reply:
    answer = ask.answers[0]
    finish = "max_tokens" if answer.cut else "end_turn"
    if not ask.stream:
        content: list[Json] = [{"type": "text", "text": answer.text}]
        return whole(_message(ask, content, finish, ask.output_tokens), ask)
    return streamed(
        SSE,
        _event("message_start", message=_message(ask, [], None, 0))
        + _event("content_block_start", index=0, content_block={"type": "text", "text": ""})
        + _event("ping"),
        _deltas(answer.text),
        _event("content_block_stop", index=0)
        + _event(
            "message_delta",
            delta={"stop_reason": finish, "stop_sequence": None},
            usage={"output_tokens": ask.output_tokens},
        )
        + _event("message_stop"),
    )


ENDPOINTS: Mapping[str, Endpoint] = {"/v1/messages": Endpoint("POST", ANTHROPIC, _read, _reply)}
