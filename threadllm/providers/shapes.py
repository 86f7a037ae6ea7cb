"""Errors of other clients, recognised by their shape and not by import.

openai, anthropic, httpx, aiohttp, urllib and whoever copies them put a status into
`status_code`, `response.status_code` or `status`, and headers into `response.headers`.
"""

from __future__ import annotations

from contextlib import suppress
from itertools import islice
from typing import TYPE_CHECKING

from threadllm.providers.reply import Reply, parse_body

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_MOST_LINKS = 32
_STATUSES = range(100, 600)
# Classes, anywhere among an error's bases, of exchanges that broke on the way: requests, httpx,
# openai and anthropic, urllib3, aiohttp; the standard library's are known by themselves.
_BROKEN = frozenset(
    {
        "APIConnectionError",
        "ChunkedEncodingError",
        "ClientConnectionError",
        "ClientPayloadError",
        "ConnectionError",
        "IncompleteRead",
        "NetworkError",
        "ProtocolError",
        "RemoteProtocolError",
        "SSLEOFError",
        "SSLZeroReturnError",
        "Timeout",
        "TimeoutError",
        "TimeoutException",
        "gaierror",
    }
)
# …but never this, however deep: a certificate does not mend itself.
_HOPELESS = "SSLCertVerificationError"
# What requests finds no JSON in; nobody has paid for it where it is a page.
_NO_JSON, _PAGE = "InvalidJSONError", "<"
_START = 256  # characters of an answer in which its first one is looked for


def _causes(error: BaseException) -> list[object]:
    """What an error says that it comes of.

    urllib and urllib3 put that into `reason`, and urllib3 and requests among the arguments too.
    """
    return [error.__cause__, getattr(error, "reason", None), *error.args]


def _origins(error: BaseException) -> list[object]:
    """All that an error may have come of: what was being handled when it was raised, too."""
    context = None if error.__suppress_context__ else error.__context__
    return [*_causes(error), context]


def _links(
    error: BaseException, further: Callable[[BaseException], list[object]]
) -> Iterator[BaseException]:
    """The error and those behind it, nearest first, each once, and not without end."""
    links = [error]
    for link in islice(links, _MOST_LINKS):  # the list grows as it is read
        yield link
        for origin in further(link):
            if isinstance(origin, BaseException) and all(origin is not known for known in links):
                links.append(origin)


def _names(error: BaseException) -> set[str]:
    return {base.__name__ for base in type(error).__mro__}


def _status(error: BaseException) -> int | None:
    response = getattr(error, "response", None)
    candidates = (
        getattr(error, "status_code", None),
        getattr(response, "status_code", None),
        getattr(error, "status", None),
    )
    return next((int(c) for c in candidates if isinstance(c, int) and c in _STATUSES), None)


def status_of(error: BaseException) -> int | None:
    """The HTTP status that an error carries, or that which it was raised from; None without."""
    return next((s for s in map(_status, _links(error, _causes)) if s is not None), None)


def _headers(error: BaseException) -> dict[str, str]:
    candidates = (
        getattr(error, "litellm_response_headers", None),  # its response is one that it made up
        getattr(getattr(error, "response", None), "headers", None),
        getattr(error, "headers", None),
    )
    for headers in candidates:
        items = getattr(headers, "items", None)
        if callable(items):  # urllib's headers are a message, and no Mapping
            return {str(name).lower(): str(value) for name, value in items()}
    return {}


def _body(error: BaseException) -> object:
    # A streamed body may never have been read, or break as it is read here: each client has its
    # own error for that.
    with suppress(Exception):
        content = getattr(getattr(error, "response", None), "content", None)
        if isinstance(content, bytes):
            return parse_body(content)
    return getattr(error, "body", None)


def reply_of(error: BaseException) -> Reply | None:
    """The answer that an error carries; None if it carries no status."""
    for link in _links(error, _causes):
        status = _status(link)
        if status is not None:
            return Reply(status, _headers(link), _body(link))
    return None


def is_transient(error: BaseException) -> bool:
    """Whether an error without a status means that an exchange broke on the way.

    So it did where a page came in place of JSON: what is on the way, such as a proxy, has sent it.
    """
    if any(_HOPELESS in _names(link) for link in _links(error, _origins)):
        return False
    return any(_names(link) & _BROKEN or _is_of_a_page(link) for link in _links(error, _causes))


def _is_of_a_page(error: BaseException) -> bool:
    text = getattr(error, "doc", None) if _NO_JSON in _names(error) else None
    return isinstance(text, str) and text[:_START].lstrip().startswith(_PAGE)
