"""Requests that are sent more than once: whether they can be, and where they go."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlsplit

from requests.utils import rewind_body

if TYPE_CHECKING:
    from requests import PreparedRequest

_PORTS = {"http": 80, "https": 443}


class Address(NamedTuple):
    """Where a request goes, without anything secret.

    Attributes:
        url: Scheme, host, port and path.
        origin: Scheme, host and port: what quotas belong to.
    """

    url: str
    origin: str


@lru_cache(maxsize=256)
def address_of(url: str) -> Address:
    """The address in a URL, without its user, its query and its fragment."""
    try:
        parts = urlsplit(url)
        port = parts.port or _PORTS.get(parts.scheme, 0)
    except ValueError:  # requests leaves the URLs of other schemes to their adapters
        scheme = url.partition(":")[0]
        return Address(f"{scheme}:", f"{scheme}:")
    netloc = parts.netloc.rpartition("@")[2]
    return Address(
        f"{parts.scheme}://{netloc}{parts.path}", f"{parts.scheme}://{parts.hostname}:{port}"
    )


def can_resend(request: PreparedRequest) -> bool:
    """Whether the body can be sent again: bytes, text, or a file that can seek."""
    body: object = request.body
    if type(body) is bytes:
        return True
    whole = body is None or isinstance(body, (bytes, str, bytearray, memoryview))
    return whole or isinstance(_position(request), int)


def rewind(request: PreparedRequest) -> None:
    """Set a file in the body back to where it was when the request was prepared.

    Raises:
        UnrewindableBodyError: The file can no longer seek.
    """
    if isinstance(_position(request), int):
        rewind_body(request)


def _position(request: PreparedRequest) -> object:
    return getattr(request, "_body_position", None)
