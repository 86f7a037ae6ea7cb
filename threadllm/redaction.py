"""What must never be printed: keys in texts that this package writes or logs.

Errors are handed to the caller untouched; whatever is put into a log, a report or a file goes
through here first. The room knows spellings of secrets, and nothing of who holds them.
"""

from __future__ import annotations

import json
import re
from contextlib import suppress
from functools import cache

_HIDDEN = "[redacted]"
_START = 80  # characters of a text that are quoted

# What follows a secret in a sentence or in source is not part of it, unless nothing else is there.
_TRAIL = r".,;:!?)\]}'\\"


def _run(ends: str) -> str:
    """A pattern of a secret without quotes, and what ends it.

    One that is hidden already stays as it is, as a text may come here twice.
    """
    return (
        rf"(?:[^{ends}]*\[redacted\](?=[{_TRAIL}]*(?:[{ends}]|$))"
        rf"|[^{ends}]*[^{ends}{_TRAIL}]|[^{ends}]+)"
    )


_WORD = _run(r"\s\"")
_QUERY_VALUE = _run(r"\s\"<>&")
_NAMES = (
    r"(?:api[-_ ]?key(?: provided)?|authorization|password|secret(?:[-_][a-z]+){0,3}"
    r"|private[-_]?key|(?:access|auth|refresh|subscription)[-_]?token|subscription[-_]?key)"
)
_SCHEMES = r"(?:(?:Bearer|Basic|Token|ApiKey|Digest|Negotiate|AWS4-HMAC-SHA256)\s+)?"
# A value in quotes goes on to the quote that ends it, or to the end of a text that was cut off.
# The last kind is JSON within a JSON string: \"key\": \"value\".
_QUOTE = r"(?:(?P<double>b?\")|(?P<single>b?')|(?P<nested>\\+[\"']))"
_QUOTED = r"(?(double)(?:[^\"\\]|\\.?)+|(?(single)(?:[^'\\]|\\.?)+|(?:(?!(?<!\\)(?P=nested)).)+))"


def _unquoted(separator: str) -> tuple[re.Pattern[str], str]:
    """The row for names before a separator and a value without quotes."""
    pattern = rf"({_NAMES}[\"']?\s*{separator}(?!b?\\*[\"']){_SCHEMES}){_WORD}"
    return re.compile(pattern, re.IGNORECASE), rf"\1{_HIDDEN}"


@cache
def _secrets() -> tuple[tuple[re.Pattern[str], str], ...]:
    """What to look for, and what is left of it, a row each; compiled when first needed.

    Order matters: the quoted header value of InvalidHeader (requests) and ValueError
    (http.client) may hold anything, so the rest of such a text goes as a whole.
    """
    return (
        (
            re.compile(r"(header value(?::\s*|\s+(?=b?[\"'])))(?=\S).*", re.DOTALL | re.IGNORECASE),
            rf"\1{_HIDDEN}",
        ),
        (re.compile(r"(Header part ).*?(?= must be of type|\Z)", re.DOTALL), rf"\1{_HIDDEN}"),
        (
            re.compile(
                rf"(?P<kept>(?:\(\s*b?[\"'][\w-]*{_NAMES}[\"'],|{_NAMES}\\*[\"']?\s*[:=])\s*"
                rf"{_QUOTE}{_SCHEMES}){_QUOTED}",
                re.DOTALL | re.IGNORECASE,
            ),
            rf"\g<kept>{_HIDDEN}",
        ),
        (re.compile(r"(?<=://)[^/?#\s\"<>]+@"), f"{_HIDDEN}@"),
        _unquoted(r":\s*"),
        # A scheme without its header; "Bearer auth" and "basic usage" are words of a sentence.
        (
            re.compile(
                rf"\b(Bearer|Basic)\s+(?!(?-i:[a-z]{{1,14}})(?:[\s{_TRAIL}\"]|$)){_WORD}",
                re.IGNORECASE,
            ),
            rf"\1 {_HIDDEN}",
        ),
        (
            re.compile(rf"(?<=[?&])((?:amp;)?[\w.\-\[\]%]+)={_QUERY_VALUE}"),
            rf"\1={_HIDDEN}",
        ),
        _unquoted(r"=\s*"),
        (
            re.compile(
                r"\b(?:(?:sk|pk|rk|gsk|xai|pplx|nvapi|tvly)[-_][\w\-]{12,}"
                r"|hf_[A-Za-z0-9]{20,}|AIza[\w\-]{12,})"
            ),
            _HIDDEN,
        ),
    )


def redact(text: str) -> str:
    """`text` without keys: header values, credentials and query values of URLs, bearer tokens."""
    for secret, rest in _secrets():
        text = secret.sub(rest, text)
    return text


def text_of(error: BaseException) -> str:
    """The error's text without keys, even where asking for it raises.

    That of JSON which is none says how it begins: most often it is a page, and says why.
    """
    text = "(its text cannot be had: its __str__ raises)"
    with suppress(Exception):
        text = str(error)
    if isinstance(error, json.JSONDecodeError):
        start = redact(error.doc[: 2 * _START])  # a key may be half within
        text = f"{text}; it begins: {start[:_START]!r}"
    return redact(text)


def without_keys(value: object) -> object:
    """A JSON value, such as a provider's error that quotes the key, with its texts redacted."""
    if isinstance(value, str):
        return redact(value)
    if isinstance(value, list):
        return [without_keys(one) for one in value]
    if isinstance(value, dict):
        return {name: without_keys(one) for name, one in value.items()}
    return value


def type_name(value: object) -> str:
    """The name of the type, with its module unless it is built in."""
    kind = type(value)
    prefix = "" if kind.__module__ == "builtins" else f"{kind.__module__}."
    return f"{prefix}{kind.__qualname__}"


def json_without_keys(body: object) -> object:
    """What a provider said, without keys; None where that is no JSON: errors may hold anything."""
    try:
        return json.loads(json.dumps(without_keys(body), allow_nan=False))
    except (TypeError, ValueError, RecursionError):
        return None
