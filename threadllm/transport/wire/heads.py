"""The head of a request in one piece: the bytes that urllib3 would send in several.

Only requests as most are made have one here. What urllib3 would have to encode, to add or to
refuse is left to it.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

from requests.structures import CaseInsensitiveDict
from urllib3.util import SKIP_HEADER

from threadllm.quota import PORTS
from threadllm.transport.header_dicts import kept_in

if TYPE_CHECKING:
    from requests import PreparedRequest

_METHODS = frozenset({"DELETE", "GET", "OPTIONS", "PATCH", "POST", "PUT"})
# A URL that requests has prepared, with nothing left to encode: no user, no IPv6, no dot at the
# end of the host. What follows a # is not sent. Two slashes some versions of requests make one.
_PATH = r"(?:[A-Za-z0-9._~!$&'()*+,;=:@/-]|%[0-9A-F]{2})*"
_QUERY = r"(?:[A-Za-z0-9._~!$&'()*+,;=:@/?-]|%[0-9A-F]{2})+"
_URL = re.compile(
    rf"(https?)://([a-z0-9_-]+(?:\.[a-z0-9_-]+)*)(?::([1-9][0-9]{{0,4}}))?(/(?!/){_PATH}(?:\?{_QUERY})?)(?:#.*)?"
)
_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VALUE = re.compile(r"[\t -~]*")
_ADDED = {"accept-encoding", "user-agent"}  # urllib3 would add them
_FRAMING = {"host", "transfer-encoding"}  # urllib3 would act on them
_LENGTH = "content-length"
_NONE = "", None


class Target(NamedTuple):
    """Where a request goes: the parts of its URL."""

    scheme: str
    host: str
    port: int
    path: str  # and query
    netloc: str  # as the Host header names it


@lru_cache(maxsize=1024)
def target_of(url: str) -> Target | None:
    """The parts of a URL, if nothing in it is left to encode."""
    match = _URL.fullmatch(url)
    if match is None:
        return None
    scheme, host, digits, path = match.groups()
    port = int(digits or PORTS[scheme])
    return Target(scheme, host, port, path, host if port == PORTS[scheme] else f"{host}:{port}")


def head_of(request: PreparedRequest, target: Target) -> bytes | None:
    """The head of a request as urllib3 would send it; None if that is urllib3's to find out."""
    method, headers, body = request.method, request.headers, request.body
    if method not in _METHODS or type(headers) is not CaseInsensitiveDict:
        return None
    fields = kept_in(headers)
    if not (fields.keys() >= _ADDED and _FRAMING.isdisjoint(fields)):
        return None
    plain = body is None or type(body) is bytes
    if not plain or fields.get(_LENGTH, _NONE)[1] != _length_of(body, method):
        return None
    try:
        lines = "".join(map(_line, fields.values()))
    except TypeError:  # a value that cannot be remembered is none that can be sent
        return None
    if lines.count("\n") < len(fields):
        return None
    first = f"{method} {target.path} HTTP/1.1\r\nHost: {target.netloc}\r\n"
    return f"{first}{lines}\r\n".encode("ascii")


def _length_of(body: Any, method: str) -> str | None:
    """What requests puts into Content-Length."""
    if body is not None:
        return str(len(body))
    return None if method == "GET" else "0"


@lru_cache(maxsize=1024)
def _line(header: tuple[object, object]) -> str:
    """A header's line; nothing if it may not be sent, or needs to be encoded."""
    name, value = header
    if type(name) is not str or type(value) is not str or value == SKIP_HEADER:
        return ""
    return f"{name}: {value}\r\n" if _NAME.fullmatch(name) and _VALUE.fullmatch(value) else ""
