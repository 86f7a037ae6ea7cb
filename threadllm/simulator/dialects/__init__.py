"""The dialects, as one table of endpoints. A new provider is a new row."""

from __future__ import annotations

from typing import TYPE_CHECKING

from threadllm.simulator.dialects import anthropic, ollama, openai, search

if TYPE_CHECKING:
    from collections.abc import Mapping

    from threadllm.simulator.dialects.values import Dialect, Endpoint

ENDPOINTS: Mapping[str, Endpoint] = {
    **openai.ENDPOINTS,
    **anthropic.ENDPOINTS,
    **ollama.ENDPOINTS,
    **search.ENDPOINTS,
}
_PREFIXES = {  # of paths that are no endpoints
    "/v1/messages": anthropic.ANTHROPIC,
    "/api/": ollama.OLLAMA,
    "/search": search.SEARCH,
}


def dialect_of(path: str) -> Dialect:
    """The dialect in which a path, known or not, is answered."""
    if path in ENDPOINTS:
        return ENDPOINTS[path].dialect
    matches = (dialect for prefix, dialect in _PREFIXES.items() if path.startswith(prefix))
    return next(matches, openai.OPENAI)
