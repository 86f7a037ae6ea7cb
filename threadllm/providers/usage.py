"""Tokens that providers say they counted, in whole bodies and in streams."""

from __future__ import annotations

import json
import re

from threadllm.outcome import Usage
from threadllm.providers.reply import parse_body

# Each row: fields that add up to the tokens in, field of the tokens out.
# OpenAI's chat and completions; OpenAI's responses and Anthropic; Ollama's own API.
_FIELDS: tuple[tuple[tuple[str, ...], str], ...] = (
    (("prompt_tokens",), "completion_tokens"),
    (
        ("input_tokens", "cache_creation_input_tokens", "cache_read_input_tokens"),
        "output_tokens",
    ),
    (("prompt_eval_count",), "eval_count"),
)
# A body without one of these names no usage: it need not be parsed.
_USAGE, _OLLAMAS = b'"usage"', b'eval_count"'
# Where usage stands: at the top, in Anthropic's message_start, in OpenAI's response.completed.
_PLACES = ("message", "response")
_LONGEST_LINE = 1 << 20
_MOST = 10**9  # tokens
_NONE = Usage()
_DECODER = json.JSONDecoder()
_BEGIN = re.compile(rb'"usage"\s*:\s*\{')
_PLAIN = r'(?:"[^"\\]*"|null|true|false|[-+.0-9eE]+)'
_REST = re.compile(rf'(?:\s*,\s*"[^"\\]*"\s*:\s*{_PLAIN})*\s*\}}\s*')


def _count(value: object) -> int:
    """The figure, if it can be one: no answer has billions of tokens."""
    if not isinstance(value, int) or isinstance(value, bool):
        return 0
    return value if 0 < value <= _MOST else 0


def _read(fields: dict[str, object]) -> Usage:
    for inputs, output in _FIELDS:
        if inputs[0] in fields or output in fields:
            tokens_in = sum([_count(fields.get(name)) for name in inputs])
            return Usage(tokens_in, _count(fields.get(output)))
    return _NONE


def usage_in(body: object) -> Usage:
    """The usage that a parsed body names; zero where it names none."""
    if not isinstance(body, dict):
        return _NONE
    for place in (body, *map(body.get, _PLACES)):
        if isinstance(place, dict):
            fields = place.get("usage", place)
            found = _read(fields) if isinstance(fields, dict) else _NONE
            if found.total_tokens:
                return found
    return _NONE


def usage_of(content: bytes) -> Usage:
    """The usage that a whole body names; it is parsed only if it can name one."""
    place = content.rfind(_USAGE)
    if place < 0:
        return usage_in(parse_body(content)) if _OLLAMAS in content else _NONE
    found = _last_member(content[place:])
    return usage_in(parse_body(content)) if found is None else _read(found)


def _last_member(end: bytes) -> dict[str, object] | None:
    """The usage at the end of a body, where it is a member of the outermost object.

    It is, if nothing but plain members follow, and then the one brace that closes all. So the
    rest of the body, most of which is text, need not be parsed.

    Returns:
        None where it stands elsewhere.
    """
    begin = _BEGIN.match(end)
    if begin is None:
        return None
    try:
        text = end.decode()
        usage: dict[str, object]
        usage, after = _DECODER.raw_decode(text, begin.end() - 1)
    except ValueError:
        return None
    return usage if _REST.fullmatch(text, after) else None


class StreamUsage:
    """Reads usage out of a stream as it passes: server-sent events or a JSON object a line.

    It keeps one line at a time. Later figures of a stream include the earlier ones, so of each
    the largest counts. Not for several threads at once.
    """

    def __init__(self) -> None:
        self.usage = Usage()
        self._rest = b""

    def feed(self, chunk: bytes) -> None:
        """Take in the next bytes of the body, cut anywhere."""
        *lines, rest = (self._rest + chunk).split(b"\n")
        for line in lines:
            self._read_line(line)
        self._rest = rest if len(rest) <= _LONGEST_LINE else b""

    def close(self) -> None:
        """Take in a last line that has no end."""
        self._read_line(self._rest)
        self._rest = b""

    def _read_line(self, line: bytes) -> None:
        if not (_USAGE in line or _OLLAMAS in line):  # as most: it is but another token
            return
        found = usage_of(line.removeprefix(b"data:"))
        self.usage = Usage(
            max(self.usage.input_tokens, found.input_tokens),
            max(self.usage.output_tokens, found.output_tokens),
        )
