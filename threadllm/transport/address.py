"""Where a request goes, as its URL says it. Each URL is taken apart once."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple
from urllib.parse import urlparse, urlsplit

from threadllm.quota import origin_of


class Address(NamedTuple):
    """Where a request goes, without anything secret.

    Attributes:
        url: Scheme, host, port and path.
        origin: Scheme, host and port: what quotas belong to.
        host: Its name, in lower case.
    """

    url: str
    origin: str
    host: str = ""


@lru_cache(maxsize=256)
def address_of(url: str) -> Address:
    """The address in a URL, without its user, its query and its fragment."""
    try:
        parts = urlsplit(url)
        origin = origin_of(parts)
    except ValueError:  # requests leaves the URLs of other schemes to their adapters
        scheme = url.partition(":")[0]
        return Address(f"{scheme}:", f"{scheme}:")
    netloc = parts.netloc.rpartition("@")[2]
    return Address(
        f"{parts.scheme}://{netloc}{parts.path}",
        origin,
        parts.hostname or "",
    )


@lru_cache(maxsize=1024)
def netloc_of(url: str) -> str:
    """Host and port as a URL spells them, a user included: what requests asks proxies by."""
    return urlparse(url).netloc
