"""Ollama's own dialect, which streams unless it is told not to.

https://github.com/ollama/ollama/blob/main/docs/api.md
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from threadllm.simulator.dialects.fields import conversation, need, optional
from threadllm.simulator.dialects.values import (
    CREATED,
    Answer,
    Ask,
    Dialect,
    Endpoint,
    Json,
    Reply,
    dumped,
    plain_error,
    streamed,
    timestamp,
    whole,
)
from threadllm.simulator.text import pieces

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

OLLAMA = Dialect("ollama", plain_error, full=503)  # its server has a queue, and no rates


def _ask(body: Json, prompt: str, text: str) -> Ask:
    options = optional(body, "options", dict) or {}
    most = optional(options, "num_predict", int)
    return Ask(
        need(body, "model", str),
        prompt,
        text,
        (Answer.to(prompt, most if most is None or most > 0 else None),),  # -1: without end
        stream=optional(body, "stream", bool) is not False,
        body=body,
    )


def _read_chat(body: Json) -> Ask:
    return _ask(body, *conversation(body))


def _read_generate(body: Json) -> Ask:
    prompt = need(body, "prompt", str)
    system = optional(body, "system", str)
    return _ask(body, prompt, f"{system}\n{prompt}" if system else prompt)


def _chat(text: str) -> Json:
    return {"message": {"role": "assistant", "content": text}}


def _generate(text: str) -> Json:
    return {"response": text}


def _replier(said: Callable[[str], Json]) -> Callable[[Ask], Reply]:
    def reply(ask: Ask) -> Reply:
        answer = ask.answers[0]
        start = {"model": ask.model, "created_at": timestamp(CREATED)}
        end = {
            "done": True,
            "done_reason": "length" if answer.cut else "stop",
            "total_duration": 0,
            "load_duration": 0,
            "prompt_eval_count": ask.input_tokens,
            "prompt_eval_duration": 0,
            "eval_count": ask.output_tokens,
            "eval_duration": 0,
        }
        if not ask.stream:
            return whole({**start, **said(answer.text), **end}, ask)
        return streamed(
            "application/x-ndjson",
            b"",
            (
                dumped({**start, **said(piece), "done": False}) + b"\n"
                for piece in pieces(answer.text)
            ),
            dumped({**start, **said(""), **end}) + b"\n",
        )

    return reply


ENDPOINTS: Mapping[str, Endpoint] = {
    "/api/chat": Endpoint("POST", OLLAMA, _read_chat, _replier(_chat)),
    "/api/generate": Endpoint("POST", OLLAMA, _read_generate, _replier(_generate)),
}
