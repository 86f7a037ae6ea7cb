"""OpenAI's embeddings: vectors that follow from their texts, without any meaning.

https://platform.openai.com/docs/api-reference/embeddings
"""

from __future__ import annotations

import base64
import math
import struct
from hashlib import shake_256
from typing import TYPE_CHECKING

from threadllm.simulator.dialects.fields import need, optional, texts
from threadllm.simulator.dialects.values import Ask, Json, RequestError, whole
from threadllm.simulator.text import encoded

if TYPE_CHECKING:
    from threadllm.simulator.dialects.values import Reply

_DIMENSIONS = 8  # where none are asked for
_MOST_DIMENSIONS = 4096


def read(body: Json) -> Ask:
    """What a body asks for."""
    inputs = texts(body, "input")
    if not 1 <= _dimensions(body) <= _MOST_DIMENSIONS:
        raise RequestError(400, "Invalid 'dimensions': expected 1 to 4096.", "dimensions")
    return Ask(need(body, "model", str), inputs[-1], "\n".join(inputs), body=body)


def reply(ask: Ask) -> Reply:
    """A vector for each text, as a list of numbers or packed."""
    vectors = [_vector(text, _dimensions(ask.body)) for text in texts(ask.body, "input")]
    shown = _packed if ask.body.get("encoding_format") == "base64" else list
    data = [
        {"object": "embedding", "index": index, "embedding": shown(vector)}
        for index, vector in enumerate(vectors)
    ]
    usage = {"prompt_tokens": ask.input_tokens, "total_tokens": ask.input_tokens}
    return whole({"object": "list", "data": data, "model": ask.model, "usage": usage}, ask)


def _dimensions(body: Json) -> int:
    asked = optional(body, "dimensions", int)
    return _DIMENSIONS if asked is None else asked


def _vector(text: str, dimensions: int) -> list[float]:
    raw = [byte / 127.5 - 1 for byte in shake_256(encoded(text)).digest(dimensions)]
    length = math.hypot(*raw)
    return [figure / length for figure in raw]


def _packed(vector: list[float]) -> str:
    return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()
