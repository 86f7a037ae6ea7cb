"""JSON as RFC 8259 has it, where the standard library is more generous.

A line that two programs could read in two ways is refused rather than guessed at. The room must
not know what the value is for.
"""

from __future__ import annotations

import json
import math
import re
import reprlib

from threadllm.exceptions import InputError

MAX_DEPTH = 200
"""The deepest nesting of arrays and objects. Far below where any interpreter's stack ends."""

MAX_DIGITS = 640
"""The longest integer: the lowest limit CPython can be set to, so that every setting agrees."""

_STRING = re.compile(r'"[^"]*"')
_BRACKET = re.compile(r"[\[{\]}]")


def loads(text: str) -> object:
    """The one JSON value that `text` holds.

    Raises:
        InputError: It is not JSON, or not JSON that every reader reads alike: NaN, Infinity, a
            number out of range, a key given twice, nesting without end.
    """
    _check_depth(text)
    try:
        return _DECODER.decode(text)
    except json.JSONDecodeError as error:
        raise InputError(
            f"is not JSON: {error.msg} (character {error.pos + 1}). "
            "Write one whole JSON value on each line"
        ) from None


def _check_depth(text: str) -> None:
    """Refuse nesting before a parser recurses into it.

    Raises:
        InputError: It is nested too deeply.
    """
    if text.count("[") + text.count("{") <= MAX_DEPTH:
        return  # nearly every line ends here: what follows costs a pass in Python
    bare = _STRING.sub("", text.replace("\\\\", "").replace('\\"', ""))
    depth = 0
    for bracket in _BRACKET.findall(bare):
        depth += 1 if bracket in "[{" else -1
        if depth > MAX_DEPTH:
            raise InputError(f"is nested more than {MAX_DEPTH} levels deep. Flatten it")


def _object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    result = dict(pairs)
    if len(result) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise InputError(f"has the key {reprlib.repr(twice)} twice in one object. Remove one")
    return result


def _float(literal: str) -> float:
    number = float(literal)
    if math.isinf(number):
        raise InputError(
            f"has the number {reprlib.repr(literal)}, out of range. Write it as a string"
        )
    return number


def _integer(literal: str) -> int:
    if len(literal) > MAX_DIGITS:
        raise InputError(f"has an integer of {len(literal):,} digits. Write it as a string")
    return int(literal)


def _constant(name: str) -> object:
    raise InputError(f"has {name}, which is not JSON. Write null, or leave the field out")


_DECODER = json.JSONDecoder(
    object_pairs_hook=_object, parse_float=_float, parse_int=_integer, parse_constant=_constant
)
