"""What must never be printed: keys in texts that this package writes or logs.

Errors are handed to the caller untouched; whatever is put into a log, a report or a file goes
through `redact` first. The room knows spellings of secrets, and nothing of who holds them.
"""

from __future__ import annotations

import re

_HIDDEN = "[redacted]"

# Each row: what to look for, and what is left of it. Order matters: the quoted header value of
# requests' InvalidHeader may hold anything, so the rest of such a text goes as a whole.
_SECRETS: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"(header value:\s*).*", re.DOTALL), rf"\1{_HIDDEN}"),
    (re.compile(r"(?<=://)[^/\s@]+@"), f"{_HIDDEN}@"),
    (re.compile(r"(?<=[?&])([\w.\-\[\]%]+)=[^&\s\"'<>)]+"), rf"\1={_HIDDEN}"),
    (re.compile(r"\b(Bearer|Basic)\s+[^\s\"',;)]+", re.IGNORECASE), rf"\1 {_HIDDEN}"),
    (
        re.compile(
            r"((?:api[-_]?key|authorization|secret|password|access[-_]?token)"
            r"[\"']?\s*[:=]\s*[\"']?)(?!\s*(?:Bearer|Basic)\b)[^\s\"',;&)}]+",
            re.IGNORECASE,
        ),
        rf"\1{_HIDDEN}",
    ),
    (re.compile(r"\b(?:sk|pk|rk|gsk|xai|hf|AIza)[-_]?[A-Za-z0-9_\-]{12,}"), _HIDDEN),
)


def redact(text: str) -> str:
    """`text` without keys: header values, credentials and query values of URLs, bearer tokens."""
    for secret, rest in _SECRETS:
        text = secret.sub(rest, text)
    return text
