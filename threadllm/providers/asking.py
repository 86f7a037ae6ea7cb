"""What a request asks for, as far as quotas go by it: the model, and tokens for the answer."""

from __future__ import annotations

import re
from typing import NamedTuple

# A quote within a text of JSON has a backslash before it, so that these are keys.
_MODEL = re.compile(rb'"model"\s*:\s*"([^"\\]{1,200})"')
_MOST = re.compile(
    rb'"(?:max_tokens|max_completion_tokens|max_output_tokens|num_predict)"\s*:\s*(\d{1,9})\b'
)


class Asked(NamedTuple):
    """The body of a request.

    Attributes:
        model: Its model; empty where it names none.
        size: Its bytes; 0 where it is not known.
        body: The bytes themselves, where they are known.
    """

    model: str = ""
    size: int = 0
    body: bytes = b""

    @property
    def most(self) -> int | None:
        """Tokens that it allows for the answer; None if it says nothing."""
        found = _MOST.search(self.body)
        return int(found[1]) if found else None


def asked_by(body: object) -> Asked:
    """What a body asks for, be it bytes or a text; nothing is known of a stream."""
    if isinstance(body, str):
        body = body.encode(errors="replace")
    if not isinstance(body, bytes) or not body:
        return NOTHING
    found = _MODEL.search(body)
    return Asked(found[1].decode(errors="replace") if found else "", len(body), body)


NOTHING = Asked()
