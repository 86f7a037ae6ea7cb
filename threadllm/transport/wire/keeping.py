"""The adapter of a dispatcher: made with its first request, closed when it ends."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from threadllm.transport.wire.adapter import WireAdapter

if TYPE_CHECKING:
    from threadllm.call import Terms


def adapter_of(terms: Terms) -> WireAdapter:
    """The adapter of the dispatcher that has these terms."""
    return cast(
        "WireAdapter",
        terms.connections.thing(lambda: WireAdapter(terms.quota.concurrency)),
    )
