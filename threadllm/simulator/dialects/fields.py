"""Reading requests: what must be there, in what shape.

Every function raises `RequestError` with status 400 and the field that is to blame.
"""

from __future__ import annotations

import json
from typing import NoReturn, TypeVar

from threadllm.simulator.dialects.values import Json, RequestError

T = TypeVar("T")


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON")


_DECODER = json.JSONDecoder(parse_constant=_refuse)


def parsed(body: bytes) -> Json:
    """A body that is a JSON object."""
    try:
        value = _DECODER.decode(body.decode())
    except (ValueError, RecursionError) as error:
        raise RequestError(
            400, f"We could not parse the JSON body of your request: {error}"
        ) from None
    if not isinstance(value, dict):
        raise RequestError(400, "The JSON body of your request is not an object.")
    return value


def need(body: Json, name: str, kind: type[T]) -> T:
    """A field that must be there."""
    if (value := optional(body, name, kind)) is None:
        raise RequestError(400, f"Missing required parameter: '{name}'.", name)
    return value


def optional(body: Json, name: str, kind: type[T]) -> T | None:
    """A field that may be missing or null."""
    value = body.get(name)
    if value is None or isinstance(value, kind):
        return value
    raise RequestError(400, f"Invalid type for '{name}': expected {kind.__name__}.", name)


def most_tokens(body: Json, *names: str) -> int | None:
    """The most tokens wanted, under the first of these names that is there."""
    for name in names:
        if (most := optional(body, name, int)) is not None:
            if most < 1:
                raise RequestError(400, f"Invalid '{name}': expected at least 1.", name)
            return most
    return None


def text_of(content: object) -> str:
    """The text of a message's content: a text, a list of parts, or nothing."""
    if isinstance(content, str):
        return content
    if content is None:
        return ""
    if isinstance(content, list) and all(isinstance(part, dict) for part in content):
        return "".join(str(part.get("text") or "") for part in content)
    raise RequestError(400, "Invalid type for 'content': expected a string or a list.", "messages")


def conversation(body: Json) -> tuple[str, str]:
    """The last message of the user, and all messages."""
    messages = need(body, "messages", list)
    if not messages:
        raise RequestError(400, "Invalid 'messages': empty array.", "messages")
    if not all(isinstance(one, dict) and isinstance(one.get("role"), str) for one in messages):
        raise RequestError(400, "Invalid 'messages': each needs a 'role'.", "messages")
    texts = [text_of(one.get("content")) for one in messages]
    users = [text for one, text in zip(messages, texts, strict=True) if one["role"] == "user"]
    return (users or texts)[-1], "\n".join(texts)


def texts(body: Json, name: str) -> list[str]:
    """A field that is a text or a list of texts."""
    value = need(body, name, object)
    value = [value] if isinstance(value, str) else value
    if isinstance(value, list) and value and all(isinstance(one, str) for one in value):
        return value
    raise RequestError(400, f"Invalid type for '{name}': expected a string or strings.", name)
