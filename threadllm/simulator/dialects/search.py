"""A search host, which functions ask before they generate. It speaks no provider's dialect."""

from __future__ import annotations

from typing import TYPE_CHECKING

from threadllm.simulator.dialects.fields import need
from threadllm.simulator.dialects.values import (
    Ask,
    Dialect,
    Endpoint,
    Json,
    Reply,
    plain_error,
    retry_after,
    whole,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

_RESULTS = 3


SEARCH = Dialect("search", plain_error, wait=retry_after)


def _read(query: Json) -> Ask:
    words = need(query, "q", str)
    return Ask("", words, words)


def _reply(ask: Ask) -> Reply:
    results = [
        {"title": f"Result {place} for {ask.digest}", "snippet": ask.prompt}
        for place in range(1, _RESULTS + 1)
    ]
    return whole({"results": results}, ask)


ENDPOINTS: Mapping[str, Endpoint] = {"/search": Endpoint("GET", SEARCH, _read, _reply, paid=False)}
