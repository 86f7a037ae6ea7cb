"""An answer, whoever received it: what the other rooms of this folder judge."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field

ERRORS = range(400, 600)


@dataclass(frozen=True, slots=True)
class Reply:
    """Status, headers with names in lower case, and the JSON body (None where there is none)."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: object = None

    @property
    def error(self) -> Mapping[str, object]:
        """The error object in the body, empty where there is none.

        It stands under `error` with most; Gemini puts that into an array of one; the OpenAI SDK
        hands over what stands under `error` alone.
        """
        body = self.body[0] if isinstance(self.body, list) and self.body else self.body
        if not isinstance(body, Mapping):
            return {}
        error = body.get("error", body if self.status in ERRORS else None)
        return error if isinstance(error, Mapping) else {}


def parse_body(content: bytes) -> object:
    """The JSON in `content`; None where it holds none (an HTML page, a torn body, nothing)."""
    try:
        body: object = json.loads(content)
    except (ValueError, RecursionError):
        return None
    return body
