"""One streamed question to an OpenAI-compatible endpoint, and when its first token came."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NamedTuple

from threadllm.clock import SYSTEM
from threadllm.exceptions import ThreadLLMError
from threadllm.jobs import join
from threadllm.redaction import redact
from threadllm.transport import bearer, session

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_PATH = "/v1/chat/completions"
_END = b"[DONE]"
_EVENT = b"data:"
_EXCERPT = 200  # characters of an answer that an error quotes
_TEXTS = ("content", "reasoning_content", "reasoning")  # what models think counts as tokens, too


class Answer(NamedTuple):
    """What a model said.

    Attributes:
        text: All of it, what it thought aloud included.
        first_token: Seconds from sending the request until the first of it was there; None where
            the endpoint does not stream.
    """

    text: str
    first_token: float | None


class BrokenStreamError(ThreadLLMError):
    """An answer that came with status 200 and then told of an error, or did not come to its end."""


class Chat:
    """Asks a model of an endpoint one question a call, streamed. Safe to use from many threads.

    Args:
        base_url: Of the endpoint, with its /v1.
        model: Its name there.
        api_key: Goes along as a bearer; it is not shown in `repr`.
        max_tokens: That an answer may have; None for the endpoint's own limit.
    """

    def __init__(
        self,
        base_url: str,
        model: str,
        *,
        api_key: str | None = None,
        max_tokens: int | None = None,
    ) -> None:
        self.base_url = base_url
        self.model = model
        self.max_tokens = max_tokens
        self._auth = bearer(api_key) if api_key else None

    def __repr__(self) -> str:
        return f"Chat({redact(self.base_url)!r}, {self.model!r}, max_tokens={self.max_tokens})"

    def __call__(self, prompt: str | Sequence[dict[str, Any]]) -> Answer:
        """Ask one question.

        Args:
            prompt: What the user says, or all messages as the endpoint takes them.

        Raises:
            requests.RequestException: No answer came, or one with an error's status.
            BrokenStreamError: The answer broke off, or told of an error on its way.
        """
        messages = [{"role": "user", "content": prompt}] if isinstance(prompt, str) else prompt
        body: dict[str, Any] = {
            "model": self.model,
            "messages": messages,
            "stream": True,
            "stream_options": {"include_usage": True},
        }
        if self.max_tokens is not None:
            body["max_tokens"] = self.max_tokens
        url = join(self.base_url, _PATH)
        with session().post(url, json=body, auth=self._auth, stream=True) as response:
            response.raise_for_status()
            headers_came = SYSTEM.monotonic()
            if "event-stream" not in response.headers.get("Content-Type", ""):
                return Answer(_whole(response.json()), None)
            first, pieces = None, []
            for piece in _pieces(response.iter_lines()):
                if first is None:
                    first = response.elapsed.total_seconds() + SYSTEM.monotonic() - headers_came
                pieces.append(piece)
            return Answer("".join(pieces), first)


def _pieces(lines: Iterator[bytes]) -> Iterator[str]:
    """The text in a stream of events, as it comes.

    Raises:
        BrokenStreamError: An event tells of an error or cannot be read, or none tells of the end.
    """
    ended = False
    for line in lines:
        if not line.startswith(_EVENT):
            continue  # an empty one, a comment that keeps the connection alive, another field
        content = line.removeprefix(_EVENT).strip()
        if content == _END:
            return
        event = _parsed(content)
        if event.get("error"):
            raise BrokenStreamError(f"an error in the stream: {_excerpt(event['error'])}")
        for choice in event.get("choices") or ():
            delta = choice.get("delta") or {}
            yield from (text for name in _TEXTS if (text := delta.get(name)))
            ended = ended or bool(choice.get("finish_reason"))
    if not ended:
        raise BrokenStreamError("the stream broke off before its end")


def _parsed(content: bytes) -> dict[str, Any]:
    try:
        event = json.loads(content)
    except ValueError:
        event = None
    if not isinstance(event, dict):
        raise BrokenStreamError(
            f"no JSON object in the stream: {_excerpt(content.decode(errors='replace'))}"
        )
    return event


def _whole(answer: Any) -> str:
    """The text of an answer that is not streamed.

    Raises:
        BrokenStreamError: It has none.
    """
    try:
        message = answer["choices"][0]["message"]
        return "".join(message.get(name) or "" for name in _TEXTS)
    except (KeyError, IndexError, TypeError, AttributeError):
        raise BrokenStreamError(f"no chat completion: {_excerpt(answer)}") from None


def _excerpt(said: object) -> str:
    return redact(str(said))[:_EXCERPT]
