"""Values as JSON, and back as what they were.

What JSON lacks is written as `{"__threadllm__": [kind, content]}`. A class is named, and found
again among those that are loaded: nothing is imported or called because a file says so, and none is
made but enums, dataclasses, named tuples and pydantic models. No pickle.
"""

from __future__ import annotations

import base64
import dataclasses
import json
import math
import sys
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from functools import reduce
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any, NamedTuple
from uuid import UUID

if TYPE_CHECKING:
    from collections.abc import Callable

_TAG = "__threadllm__"
_AS_THEY_ARE = {str, int, bool, type(None)}
_JSON = json.JSONEncoder(allow_nan=False)
_SORTED_JSON = json.JSONEncoder(allow_nan=False, sort_keys=True)


def dumps(value: object) -> str:
    """A value as one line of ASCII.

    Raises:
        TypeError: Something in it has no form that would give it back.
        ValueError: It holds itself, or an integer of thousands of digits.
    """
    try:
        tree = value if type(value) in _AS_THEY_ARE else _tree(value)
        return _JSON.encode(tree)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def canonical(value: object) -> str:
    """The same text for the same value, in whatever order its dicts were made.

    Raises:
        TypeError, ValueError: As for `dumps`.
    """
    try:
        return _SORTED_JSON.encode(_tree(value))
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def loads(text: str) -> Any:
    """The value of a text that `dumps` made.

    Raises:
        LookupError: A class is not loaded, or not one that was written.
        ValueError: It is no such text, or a class does not take what it gave.
    """
    return json.loads(text, object_hook=_untagged)


def plain(text: str) -> Any:
    """The value of such a text as JSON has it, kinds left out: for other programs."""
    return json.loads(text, object_hook=_content)


def _tree(value: Any) -> Any:
    kind = type(value)
    if kind in _AS_THEY_ARE:
        return value
    if kind in _BASES:  # as most are: it need not be looked for
        return _BASES[kind](value)
    row = next((row for row in _KINDS if row.fits(value)), None)
    if row is not None:
        return {_TAG: [row.tag, row.to(value)]}
    base = next((base for base in _BASES if isinstance(value, base)), None)
    if base is None:
        name = f"{kind.__module__}.{kind.__qualname__}"
        raise TypeError(f"a value of type {name} has no form in JSON")
    return _BASES[base](value)


def _dict(value: dict[Any, Any]) -> Any:
    if _TAG not in value and all(isinstance(key, str) for key in value):
        return {str(key): _tree(one) for key, one in value.items()}
    pairs = [[_tree(key), _tree(one)] for key, one in value.items()]
    return {_TAG: ["dict", pairs]}


def _float(value: float) -> Any:
    return float(value) if math.isfinite(value) else {_TAG: ["float", repr(float(value))]}


def _list(value: Any) -> list[Any]:
    return [*map(_tree, value)]


# What subclasses become, too. A bool is an int that came before.
_BASES: dict[type, Callable[[Any], Any]] = {
    str: str.__str__,
    int: int,
    float: _float,
    list: _list,
    dict: _dict,
}


def _sorted(value: Any) -> list[Any]:
    return sorted(map(_tree, value), key=_SORTED_JSON.encode)


def _name(value: Any) -> str:
    """The name of an object's class.

    Raises:
        TypeError: It could not be found again.
    """
    kind = type(value)
    name = f"{kind.__module__}:{kind.__qualname__}"
    try:
        found = _class(name)
    except LookupError:
        found = None
    if found is not kind:
        raise TypeError(f"a value of the class {name}, which cannot be found by its name")
    return name


def _class(name: str) -> Any:
    module, _, path = name.partition(":")
    try:
        return reduce(getattr, path.split("."), sys.modules[module])
    except (KeyError, AttributeError):
        raise LookupError(f"the class {name} is not loaded: import it first") from None


def _class_of(kind: Callable[[Any], bool], name: object) -> Any:
    found = _class(name) if isinstance(name, str) else None
    if not (isinstance(found, type) and kind(found)):
        raise LookupError(f"{name} is not the class that was written")
    return found


def _is_named_tuple(kind: Any) -> bool:
    return issubclass(kind, tuple) and hasattr(kind, "_fields")


def _is_model(kind: Any) -> bool:
    return any(
        (base.__module__, base.__name__) == ("pydantic.main", "BaseModel") for base in kind.__mro__
    ) and hasattr(kind, "model_validate")


def _is_dataclass(kind: Any) -> bool:
    return dataclasses.is_dataclass(kind) and not _is_model(kind)


def _is_enum(kind: Any) -> bool:
    return issubclass(kind, Enum)


def _fields(value: Any) -> list[Any]:
    """A dataclass as its fields have it now, those that `__init__` does not take included."""
    held = {
        field.name: _tree(getattr(value, field.name))
        for field in dataclasses.fields(value)
        if hasattr(value, field.name)
    }
    return [_name(value), held]


def _with_fields(content: list[Any]) -> Any:
    made = object.__new__(_class_of(_is_dataclass, content[0]))
    for name, one in content[1].items():
        object.__setattr__(made, name, one)  # a frozen one takes it no other way
    return made


def _model(value: Any) -> list[Any]:
    return [_name(value), _tree(value.model_dump(mode="json", by_alias=True, round_trip=True))]


class _Kind(NamedTuple):
    """What JSON lacks: its tag, which values are of it, and the way there and back."""

    tag: str
    fits: Callable[[Any], bool]
    to: Callable[[Any], Any]
    back: Callable[[Any], Any]


def _exactly(kind: type) -> Callable[[Any], bool]:
    return lambda value: type(value) is kind


def _by_class(is_kind: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda value: is_kind(type(value))


_KINDS = (
    _Kind("tuple", _exactly(tuple), _list, tuple),
    _Kind("set", _exactly(set), _sorted, set),
    _Kind("frozenset", _exactly(frozenset), _sorted, frozenset),
    _Kind(
        "bytes",
        _exactly(bytes),
        lambda value: base64.b64encode(value).decode("ascii"),
        base64.b64decode,
    ),
    _Kind("datetime", _exactly(datetime), datetime.isoformat, datetime.fromisoformat),
    _Kind("date", _exactly(date), date.isoformat, date.fromisoformat),
    _Kind("time", _exactly(time), time.isoformat, time.fromisoformat),
    _Kind(
        "timedelta",
        _exactly(timedelta),
        lambda value: [value.days, value.seconds, value.microseconds],
        lambda content: timedelta(*content),
    ),
    _Kind("decimal", _exactly(Decimal), str, Decimal),
    _Kind("uuid", _exactly(UUID), str, UUID),
    _Kind("path", lambda value: isinstance(value, PurePath), str, Path),
    _Kind(
        "enum",
        _by_class(_is_enum),
        lambda value: [_name(value), _tree(value.value)],
        lambda content: _class_of(_is_enum, content[0])(content[1]),
    ),
    _Kind(
        "named tuple",
        _by_class(_is_named_tuple),
        lambda value: [_name(value), _list(value)],
        lambda content: tuple.__new__(_class_of(_is_named_tuple, content[0]), content[1]),
    ),
    _Kind(
        "model",
        _by_class(_is_model),
        _model,
        lambda content: _class_of(_is_model, content[0]).model_validate(content[1]),
    ),
    _Kind("dataclass", _by_class(_is_dataclass), _fields, _with_fields),
)
_BACK: dict[str, Callable[[Any], Any]] = {
    **{kind.tag: kind.back for kind in _KINDS},
    "float": float,
    "dict": dict,
}


def _untagged(held: dict[str, Any]) -> Any:
    if held.keys() != {_TAG}:
        return held
    tag, content = held[_TAG]
    return _BACK[tag](content)


def _content(held: dict[str, Any]) -> Any:
    if held.keys() != {_TAG}:
        return held
    tag, content = held[_TAG]
    return content[1] if tag in _NAMED else content


_NAMED = {"enum", "named tuple", "model", "dataclass"}
