"""The adapter of a dispatcher: made with its first request, ended when the dispatcher has ended."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from threadllm.transport.wire.adapter import WireAdapter

if TYPE_CHECKING:
    from threadllm.call import Terms


class _Keeping:
    """An adapter that many may close, as they may close any, and one can end."""

    def __init__(self, terms: Terms) -> None:
        self.adapter = WireAdapter(terms.quota.concurrency, terms.sleeper.clock)

    def close(self) -> None:
        """There will be no more requests."""
        self.adapter.end()


def adapter_of(terms: Terms) -> WireAdapter:
    """The adapter of the dispatcher that has these terms."""
    return cast("_Keeping", terms.connections.thing(lambda: _Keeping(terms))).adapter
