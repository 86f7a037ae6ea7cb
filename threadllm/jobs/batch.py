"""OpenAI Batch lines into requests, for whoever sends them to a live endpoint.

A line may also be no more than a prompt, or a chat request's body. The room must not know how a
request is sent. The shapes: https://platform.openai.com/docs/guides/batch
"""

from __future__ import annotations

import reprlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, cast
from urllib.parse import urlsplit

from threadllm.exceptions import InputError
from threadllm.jobs.job import Job, Refused
from threadllm.jobs.naming import Naming
from threadllm.jobs.reading import read_named

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path
    from typing import Any, BinaryIO, TypeAlias

    Fields: TypeAlias = dict[str, Any]

CHAT = "/v1/chat/completions"
"""Where a line without a url goes."""

_NAMING = Naming(("custom_id", "id"))


@dataclass(frozen=True, slots=True)
class BatchRequest:
    """One request, ready to be posted.

    Attributes:
        path: Begins with /v1/; see `join`.
        body: What is sent as JSON.
    """

    path: str
    body: Fields


def read_requests(
    path: str | Path, *, model: str | None = None, stdin: BinaryIO | None = None
) -> Iterator[Job | Refused]:
    """The jobs in a file of requests, each with a `BatchRequest` as its item; see `read`.

    A line is a Batch line, a prompt or messages. Its `custom_id`, or else its `id`, names it.

    Args:
        path: The file; `-` is standard input.
        model: The model of a request that names none. One that names its own keeps it.
        stdin: What `-` reads, `sys.stdin.buffer` by default. It is not closed.

    Raises:
        OptionError: At once: the file cannot be read.
    """
    found = read_named(path, _NAMING, whole=True, stdin=stdin)
    return (one if isinstance(one, Refused) else _prepared(one, model) for one in found)


def _prepared(job: Job, model: str | None) -> Job | Refused:
    try:
        return replace(job, item=_request(cast("Fields", job.item), model))
    except InputError as error:
        return Refused(job.line, str(error), job.id)


def _request(obj: Fields, model: str | None) -> BatchRequest:
    shape = next((shape for field, shape in _SHAPES.items() if field in obj), None)
    if shape is None:
        raise InputError('has no "prompt", no "messages" and no "body". Give it one of them')
    path, body = shape(obj)
    if body.get("model") is None:
        if model is None:
            raise InputError('names no model. Add "model" to it, or give a model for all lines')
        body["model"] = model
    if body.get("stream"):
        raise InputError('asks for a stream, which a result line cannot hold. Remove "stream"')
    return BatchRequest(path, body)


def _batch_line(obj: Fields) -> tuple[str, Fields]:
    method, url, body = obj.get("method"), obj.get("url"), obj.get("body")
    if method != "POST":
        raise InputError(f'has the method {reprlib.repr(method)}. Write "method": "POST"')
    if url is None:
        raise InputError(f'has no url. Write "url": "{CHAT}"')
    if not (isinstance(url, str) and url.startswith("/v1/")):  # a host would be sent the key
        raise InputError(
            f"has the url {reprlib.repr(url)}, which does not begin with /v1/. "
            f"Write a path alone, such as {CHAT}"
        )
    if not isinstance(body, dict):
        raise InputError('has a "body" that is not an object. Write {"model": …, "messages": […]}')
    return url, dict(body)


def _messages(obj: Fields) -> tuple[str, Fields]:
    if not (isinstance(obj["messages"], list) and obj["messages"]):
        raise InputError(
            'has "messages" that are not a list of messages. Write [{"role": "user", "content": …}]'
        )
    if "prompt" in obj:
        raise InputError('has both "messages" and "prompt". Remove one')
    return CHAT, _without(obj, *_NAMING.fields)


def _prompt(obj: Fields) -> tuple[str, Fields]:
    if not isinstance(obj["prompt"], str):
        raise InputError('has a "prompt" that is not a string. Put anything else in "messages"')
    message = {"role": "user", "content": obj["prompt"]}
    return CHAT, {"messages": [message], **_without(obj, "prompt", *_NAMING.fields)}


def _without(obj: Fields, *names: str) -> Fields:
    return {name: value for name, value in obj.items() if name not in names}


# The first field that a line has says what it is.
_SHAPES: dict[str, Callable[[Fields], tuple[str, Fields]]] = {
    "body": _batch_line,
    "url": _batch_line,
    "method": _batch_line,
    "messages": _messages,
    "prompt": _prompt,
}


def join(base_url: str, path: str) -> str:
    """The URL of `path`, which begins with /v1/, at a provider.

    A base that has a path is the root of an API, as `OPENAI_BASE_URL` is to the SDKs
    (`https://host/v1`, `https://host/v1beta/openai`): the `/v1` of `path` is that root. Its query
    stays.
    """
    parts = urlsplit(base_url)
    root = parts.path.rstrip("/")
    return parts._replace(path=root + path.removeprefix("/v1") if root else path).geturl()
