"""What became of an item: values that travel, and nothing that acts.

The room must not know how a request is made or who waits for it.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Generic, TypeVar, cast

from threadllm.redaction import redact, text_of, type_name

T = TypeVar("T")
R = TypeVar("R")

_HOLDERS = {"request", "response"}  # attributes of HTTP clients' errors, keys and all


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens that the provider said it counted. Usages add up with `+`."""

    input_tokens: int = 0
    output_tokens: int = 0

    @property
    def total_tokens(self) -> int:
        """Tokens in and out together."""
        return self.input_tokens + self.output_tokens

    def __add__(self, other: Usage) -> Usage:
        if not (self.input_tokens or self.output_tokens):  # so most sums begin, and it costs less
            return other
        return Usage(
            self.input_tokens + other.input_tokens, self.output_tokens + other.output_tokens
        )


@dataclass(frozen=True, slots=True)
class RequestRecord:
    """One HTTP exchange, without its headers, its body and its query: safe to log.

    Attributes:
        method: The HTTP method.
        url: Scheme, host, port and path; no user, no query, no fragment.
        status: The status of the answer; None where none came.
        elapsed: Seconds the request was in flight, its body included.
        retry: 0 for a first try, then 1, 2, …, 429s included.
        bytes: Size of the answer's body in bytes, after decompression.
    """

    method: str
    url: str
    status: int | None
    elapsed: float
    retry: int
    bytes: int


@dataclass(frozen=True, slots=True, repr=False)
class Outcome(Generic[T, R]):
    """What became of one item.

    Its `repr` and its pickle name the error without keys, and without the request and the
    response that it holds. The item and the value are the caller's own, and shown as they are.

    Attributes:
        index: The item's place in the input, from 0.
        key: The name that the caller's `key=` gave it; without one, its index.
        item: The item itself.
        value: What the function returned; None if the item failed.
        error: Why the item failed; None if it did not.
        attempts: 1, and 1 more for each retry that was charged to the item. 429s are not.
        elapsed: Seconds that its calls ran; time parked or queued is not counted.
        usage: Tokens, summed over every answer that passed the transport.
        requests: Each exchange that passed the transport, in the order in which they ended; none
            of an outcome from a journal.
        from_journal: Whether an earlier call came to it, and a journal has remembered that.
    """

    index: int
    key: object
    item: T
    value: R | None
    error: BaseException | None
    attempts: int
    elapsed: float
    usage: Usage
    requests: tuple[RequestRecord, ...]
    from_journal: bool = False

    def __repr__(self) -> str:
        told = [f"{name}={getattr(self, name)!r}" for name in self.__slots__ if name != "error"]
        error = None if self.error is None else f"{type_name(self.error)}({text_of(self.error)!r})"
        return f"Outcome({', '.join(told)}, error={error})"

    def __reduce__(self) -> Any:
        told = {name: getattr(self, name) for name in self.__slots__}
        return _made, (told | {"error": _without_keys(self.error)},)

    @property
    def ok(self) -> bool:
        """Whether the item has a value."""
        return self.error is None

    def unwrap(self) -> R:
        """The value.

        Raises:
            BaseException: The item's error, with the traceback it was raised with.
        """
        try:
            if self.error is not None:
                raise self.error
            return cast("R", self.value)
        finally:
            del self  # the error's traceback holds this frame, which would hold the error


def _made(told: dict[str, Any]) -> Outcome[Any, Any]:
    return Outcome(**told)


def _without_keys(error: BaseException | None) -> BaseException | None:
    """The error as it may be kept: one of its type that holds nothing but a text.

    One that holds no request, and no key in its arguments, stays as it is.
    """
    if error is None or not (vars(error).keys() & _HOLDERS or _names_keys(error.args)):
        return error
    text = text_of(error)
    with suppress(Exception):  # what other arguments it wants is not known
        return type(error)(text)
    return RuntimeError(f"{type_name(error)}: {text}")


def _names_keys(args: tuple[object, ...]) -> bool:
    texts = [arg for arg in args if isinstance(arg, str)]
    return [*map(redact, texts)] != texts
