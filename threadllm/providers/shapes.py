"""Errors of other clients, recognised by their shape and not by import.

openai, anthropic, httpx, aiohttp, urllib and whoever copies them put a status into
`status_code`, `response.status_code` or `status`, and headers into `response.headers`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress

from threadllm.providers.reply import Reply, parse_body

_DEPTH = 8
_STATUSES = range(100, 600)
# Classes, anywhere among an error's bases, of exchanges that broke on the way: requests, httpx,
# openai and anthropic, urllib3, aiohttp; the standard library's are known by themselves.
_BROKEN = frozenset(
    {
        "APIConnectionError",
        "ChunkedEncodingError",
        "ClientConnectionError",
        "ConnectionError",
        "IncompleteRead",
        "NetworkError",
        "ProtocolError",
        "RemoteProtocolError",
        "Timeout",
        "TimeoutError",
        "TimeoutException",
    }
)
# …but never these: a certificate does not mend itself.
_HOPELESS = frozenset({"SSLError", "SSLCertVerificationError", "ClientConnectorCertificateError"})


def _chain(error: BaseException) -> Iterator[BaseException]:
    """The error and those it was raised from, the explicit ones, as far as they go."""
    link: BaseException | None = error
    for _ in range(_DEPTH):
        if link is None:
            return
        yield link
        link = link.__cause__


def _status(error: BaseException) -> int | None:
    response = getattr(error, "response", None)
    candidates = (
        getattr(error, "status_code", None),
        getattr(response, "status_code", None),
        getattr(error, "status", None),
    )
    return next((c for c in candidates if type(c) is int and c in _STATUSES), None)


def status_of(error: BaseException) -> int | None:
    """The HTTP status that an error carries, or that which it was raised from; None without."""
    return next((s for s in map(_status, _chain(error)) if s is not None), None)


def _headers(error: BaseException) -> dict[str, str]:
    for holder in (getattr(error, "response", None), error):
        headers = getattr(holder, "headers", None)
        if isinstance(headers, Mapping):
            return {str(name).lower(): str(value) for name, value in headers.items()}
    return {}


def _body(error: BaseException) -> object:
    # A response whose body was never read says so with a RuntimeError of its own (httpx).
    with suppress(RuntimeError):
        content = getattr(getattr(error, "response", None), "content", None)
        if isinstance(content, bytes):
            return parse_body(content)
    return getattr(error, "body", None)


def reply_of(error: BaseException) -> Reply | None:
    """The answer that an error carries; None if it carries no status."""
    for link in _chain(error):
        status = _status(link)
        if status is not None:
            return Reply(status, _headers(link), _body(link))
    return None


def is_transient(error: BaseException) -> bool:
    """Whether an error without a status means that an exchange broke on the way."""
    for link in _chain(error):
        names = {base.__name__ for base in type(link).__mro__}
        if names & _HOPELESS:
            return False
        if names & _BROKEN:
            return True
    return False
