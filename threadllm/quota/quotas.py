"""Quotas by origin or by the beginning of a URL: whose slots and limits a request goes by."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from threadllm.exceptions import OptionError
from threadllm.quota.quota import Quota

if TYPE_CHECKING:
    from urllib.parse import SplitResult

PORTS = {"http": 80, "https": 443}  # where a URL names none


def origin_of(parts: SplitResult) -> str:
    """Scheme, host and port of a URL that was taken apart: what quotas go by.

    Raises:
        ValueError: Its port is none.
    """
    port = parts.port or PORTS.get(parts.scheme, 0)
    return f"{parts.scheme}://{parts.hostname}:{port}"


class Quotas:
    """The quotas that a user gave to some origins.

    Args:
        by_prefix: By "https://api.example.com", or by that with the beginning of a path, of which
            the longest that fits counts.

    Raises:
        OptionError: A prefix that is no URL, or what is no quota.
    """

    def __init__(self, by_prefix: Mapping[str, Quota]) -> None:
        if not isinstance(by_prefix, Mapping):
            raise OptionError(f"quotas={by_prefix!r}: give quotas by URL, as in a dict")
        rows = [(*_parts(prefix), quota) for prefix, quota in by_prefix.items()]
        for prefix, quota in by_prefix.items():
            if not isinstance(quota, Quota):
                raise OptionError(f"quotas: {prefix!r} has {quota!r}: give it a Quota()")
        self.by_prefix = {**by_prefix}
        self.all = tuple(by_prefix.values())
        self._rows = sorted(rows, key=lambda row: -len(row[1]))

    def of(self, origin: str, url: str) -> Quota | None:
        """The quota of a request; None if none was given for it.

        Args:
            origin: "scheme://host:port".
            url: Scheme, host, port and path.
        """
        if not self._rows:
            return None
        path = urlsplit(url).path
        for of_origin, beginning, quota in self._rows:
            if of_origin == origin and (path == beginning or path.startswith(f"{beginning}/")):
                return quota
        return None


NO_QUOTAS = Quotas({})


def _parts(prefix: str) -> tuple[str, str]:
    """Origin and path of a prefix."""
    try:
        parts = urlsplit(prefix)
        whole = parts.hostname and not (parts.query or parts.fragment)
        if whole and (parts.port or parts.scheme in PORTS):
            return origin_of(parts), parts.path.rstrip("/")
    except (AttributeError, ValueError):
        pass
    raise OptionError(f"quotas: {prefix!r}: write it like 'https://api.example.com' or with a path")
