"""The words that the dialects share: what is asked, what is replied, what is refused.

A dialect is a row of functions, an endpoint a row that names its dialect.
The room must not know of sockets.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field
from datetime import datetime, timezone
from http import HTTPStatus
from typing import TYPE_CHECKING, TypeAlias

from threadllm.simulator.text import TOKEN, answer_to, digest, tokens

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from threadllm.simulator.buckets import Level

Json: TypeAlias = "dict[str, object]"
CREATED = 1_700_000_000  # seconds since 1970: the same prompt gets the same bytes
JSON = "application/json"
SSE = "text/event-stream; charset=utf-8"


def dumped(value: object) -> bytes:
    """`value` as JSON."""
    return json.dumps(value).encode()


def timestamp(seconds: float) -> str:
    """Seconds since 1970 as a date and a time of day, in UTC."""
    return f"{datetime.fromtimestamp(seconds, timezone.utc):%Y-%m-%dT%H:%M:%SZ}"


@dataclass(frozen=True, slots=True)
class Answer:
    """A generated text, and whether it was cut because it reached the most tokens allowed."""

    text: str
    cut: bool

    @classmethod
    def to(cls, prompt: str, most: int | None) -> Answer:
        """The answer to `prompt` of at most so many tokens; None for no limit."""
        text = answer_to(prompt)
        if most is None or tokens(text) <= most:
            return cls(text, cut=False)
        return cls(text[: most * TOKEN], cut=True)


@dataclass(frozen=True, slots=True)
class Ask:
    """What a request asks for.

    Attributes:
        model: The model it names; any name will do.
        prompt: The text in question, which the answer quotes: the last message of the user.
        text: All the text it carries, which names it in the counts and costs input tokens.
        answers: What will be answered.
        stream: Whether it is to come a token at a time.
        body: The request as it came.
        digest: The name of `text`.
    """

    model: str
    prompt: str
    text: str
    answers: tuple[Answer, ...] = ()
    stream: bool = False
    body: Json = field(default_factory=dict)
    digest: str = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "digest", digest(self.text))

    @property
    def input_tokens(self) -> int:
        """Tokens that the request carries."""
        return tokens(self.text)

    @property
    def output_tokens(self) -> int:
        """Tokens that will be answered."""
        return sum(tokens(answer.text) for answer in self.answers)


@dataclass(frozen=True, slots=True)
class Reply:
    """What is sent back: the head, then a piece for each token where it is streamed, the tail."""

    tail: bytes
    status: int = 200
    content_type: str = JSON
    head: bytes = b""
    pieces: tuple[bytes, ...] = ()
    tokens: int = 0

    @property
    def body(self) -> bytes:
        """All of it."""
        return b"".join((self.head, *self.pieces, self.tail))


class RequestError(Exception):
    """Why a request gets no answer.

    Attributes:
        status: The HTTP status.
        message: What is wrong, for a person.
        param: The field of the request that is to blame, if one is.
        about: The limit that was reached, if one was.
    """

    def __init__(
        self, status: int, message: str, param: str | None = None, about: str = "requests"
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.param = param
        self.about = about

    @property
    def server_side(self) -> bool:
        """Whether the server is to blame, not the request."""
        return self.status >= HTTPStatus.INTERNAL_SERVER_ERROR


def plain_error(problem: RequestError) -> Json:
    """The body that tells a problem, of hosts that say no more than what is wrong."""
    return {"error": problem.message}


def retry_after(seconds: float) -> dict[str, str]:
    """The header that tells how long to wait, in whole seconds."""
    return {"retry-after": str(math.ceil(seconds))}


@dataclass(frozen=True, slots=True)
class Dialect:
    """How a provider speaks.

    Attributes:
        name: Its name; limits are kept for each on its own.
        error: The body that tells a problem.
        full: The status of a request over the limits.
        levels: The headers that tell how full the limits are, given the Unix time in seconds.
        wait: The headers that tell how many seconds to wait.
        request_id: The header that carries the request's id, if one does.
    """

    name: str
    error: Callable[[RequestError], Json]
    full: int = 429
    levels: Callable[[Mapping[str, Level], float], dict[str, str]] = lambda _levels, _now: {}
    wait: Callable[[float], dict[str, str]] = lambda _seconds: {}
    request_id: str | None = None


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A path: its method, its dialect, how a request is read and replied to.

    Attributes:
        read: What a body (of a GET, the query) asks for; raises RequestError.
        reply: The whole reply.
        paid: Whether an answer costs money.
    """

    method: str
    dialect: Dialect
    read: Callable[[Json], Ask]
    reply: Callable[[Ask], Reply]
    paid: bool = True


def whole(value: object, ask: Ask) -> Reply:
    """A reply in one piece."""
    return Reply(dumped(value), tokens=ask.output_tokens)


def streamed(content_type: str, head: bytes, pieces: Iterable[bytes], tail: bytes) -> Reply:
    """A reply a token at a time."""
    return Reply(tail, content_type=content_type, head=head, pieces=tuple(pieces))
