"""Values as JSON and back: what comes back is what was given, its type included."""

import dataclasses
import json
import sys
from collections import OrderedDict
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from enum import Enum, IntEnum
from pathlib import Path, PurePosixPath
from types import ModuleType
from typing import NamedTuple
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as some
from pydantic import BaseModel

from threadllm.journal import codec

TAG = "__threadllm__"


class Colour(Enum):
    RED = ("r", 1)
    BLUE = "b"


class Level(IntEnum):
    LOW = 1


class Point(NamedTuple):
    x: int
    y: float = 0.0


@dataclasses.dataclass(frozen=True, slots=True)
class Answer:
    text: str
    parts: tuple[Point, ...] = ()
    made: str = dataclasses.field(init=False, default="here")


@dataclasses.dataclass
class Lazy:
    given: int
    later: int = dataclasses.field(init=False)


class Inner(BaseModel):
    at: datetime


class Model(BaseModel):
    name: str
    inner: list[Inner] = []
    tags: set[int] = set()


class Text(str):
    __slots__ = ()


leaves = (
    some.none()
    | some.booleans()
    | some.integers(-(10**30), 10**30)
    | some.floats(allow_nan=False)
    | some.text()
    | some.binary(max_size=20)
    | some.dates()
    | some.datetimes(timezones=some.none() | some.just(timezone.utc))
    | some.times()
    | some.timedeltas()
    | some.uuids()
    | some.decimals(allow_nan=False)
    | some.sampled_from([*Colour, *Level, Point(1, 2.5), Answer("a", (Point(3),)), Path("a/b")])
)
keys = some.text(max_size=5) | some.just(TAG) | some.integers() | some.tuples(some.integers())
values = some.recursive(
    leaves,
    lambda inner: (
        some.lists(inner, max_size=4)
        | some.lists(inner, max_size=4).map(tuple)
        | some.dictionaries(keys, inner, max_size=4)
        | some.frozensets(some.integers() | some.text(), max_size=4)
        | some.sets(some.integers(), max_size=4)
    ),
    max_leaves=12,
)


def kinds(value):
    """A value with the types of all that is in it."""
    if isinstance(value, dict):
        return dict, [(kinds(key), kinds(one)) for key, one in value.items()]
    if isinstance(value, (list, tuple)):
        return type(value), [*map(kinds, value)]
    return type(value), value


@given(values)
def test_what_comes_back_is_what_was_given(value):
    """Whatever it is made of, however deep, a dict with our own mark in it included."""
    text = codec.dumps(value)

    assert kinds(codec.loads(text)) == kinds(value)
    assert text.isascii()
    assert "\n" not in text


@given(values)
def test_the_same_value_has_the_same_canonical_text(value):
    """In whatever order its dicts were made; another value has another."""

    def turned(value):
        if isinstance(value, dict) and all(isinstance(key, str) for key in value):
            return {key: turned(value[key]) for key in reversed([*value])}
        return [*map(turned, value)] if isinstance(value, list) else value

    plain = TAG not in codec.dumps(value)
    assert not plain or codec.canonical(turned(value)) == codec.canonical(value)
    assert codec.canonical([value]) != codec.canonical([[value]])


@pytest.mark.parametrize("number", ["nan", "inf", "-inf"])
def test_numbers_that_json_lacks_come_back(number):
    """In text that every JSON reader takes."""
    text = codec.dumps({"n": float(number)})

    assert str(codec.loads(text)["n"]) == number
    assert json.loads(text) == {"n": {TAG: ["float", number]}}


def test_a_model_comes_back():
    """By its own validation, with what it holds of others."""
    model = Model(name="m", inner=[Inner(at=datetime(2026, 1, 2, tzinfo=timezone.utc))], tags={1})

    assert codec.loads(codec.dumps([model])) == [model]


def test_a_dataclass_comes_back_without_what_it_lacked():
    """Its `__init__` is not called: a field that it does not take comes back too, if it was set."""
    lazy = codec.loads(codec.dumps(Lazy(1)))

    assert (lazy.given, hasattr(lazy, "later")) == (1, False)


@pytest.mark.parametrize(
    ("value", "back"),
    [
        (Text("t"), "t"),
        (OrderedDict(a=1), {"a": 1}),
        (type("Number", (int,), {})(3), 3),
        (type("Share", (float,), {})(0.5), 0.5),
        (type("Many", (list,), {})([1]), [1]),
        ({Text("k"): 1}, {"k": 1}),
        (PurePosixPath("a"), Path("a")),
    ],
)
def test_others_come_back_as_what_they_are_derived_from(value, back):
    """Which is most of what there is to a text, a number, a list or a dict."""
    found = codec.loads(codec.dumps(value))

    assert (found, type(found)) == (back, type(back))


def test_lone_surrogates_come_back():
    """Escaped, as UTF-8 has no room for them."""
    assert codec.loads(codec.dumps("\ud800")) == "\ud800"


def _cycle():
    cycle = []
    cycle.append(cycle)
    return cycle


@pytest.mark.parametrize(
    ("value", "why"),
    [
        (object(), "a value of type builtins.object has no form in JSON"),
        (print, "a value of type builtins.builtin_function_or_method has no form in JSON"),
        ({"deep": [1j]}, "a value of type builtins.complex has no form in JSON"),
        (_cycle(), "it is nested too deeply"),
    ],
)
@pytest.mark.parametrize("way", [codec.dumps, codec.canonical])
def test_what_cannot_come_back_is_not_written(value, why, way):
    """And the error says what it is."""
    with pytest.raises((TypeError, ValueError)) as problem:
        way(value)

    assert str(problem.value) == why


def test_an_integer_of_thousands_of_digits_is_not_written():
    """Python itself would not read it again."""
    with pytest.raises(ValueError, match="Exceeds the limit"):
        codec.dumps(10**5000)


def test_a_class_that_could_not_be_found_again_is_not_written():
    """One within a function, or one that another has taken the name of."""

    @dataclasses.dataclass
    class Local:
        a: int

    for value in (Local(1), dataclasses.make_dataclass("Answer", ["a"])(1)):
        with pytest.raises(TypeError, match="which cannot be found by its name"):
            codec.dumps(value)


def test_a_class_that_is_not_loaded_is_named(monkeypatch):
    """Nothing is imported because a file says so."""
    module = ModuleType("elsewhere")
    monkeypatch.setitem(sys.modules, "elsewhere", module)
    module.Kind = dataclasses.make_dataclass("Kind", ["a"], namespace={"__module__": "elsewhere"})
    module.Kind.__module__ = "elsewhere"
    text = codec.dumps(module.Kind(1))
    del sys.modules["elsewhere"]

    with pytest.raises(LookupError, match="the class elsewhere:Kind is not loaded: import it"):
        codec.loads(text)


@pytest.mark.parametrize("tag", ["enum", "named tuple", "model", "dataclass"])
@pytest.mark.parametrize("name", ["subprocess:Popen", "os:system", "builtins:tuple", 7])
def test_nothing_but_values_is_made_of_a_text(tag, name):
    """A file that names another class, or a function, is refused."""
    with pytest.raises(LookupError, match="is not the class that was written"):
        codec.loads(json.dumps({TAG: [tag, [name, {}]]}))


def test_other_programs_see_plain_json():
    """Without the marks, classes and names of kinds."""
    value = {"a": (1, date(2026, 1, 2)), "b": Point(1, 2.0), "c": Colour.BLUE, "d": Answer("t")}

    assert codec.plain(codec.dumps(value)) == {
        "a": [1, "2026-01-02"],
        "b": [1, 2.0],
        "c": "b",
        "d": {"text": "t", "parts": [], "made": "here"},
    }


def test_times_come_back_exactly():
    """To the microsecond, and with their offsets."""
    east = timezone(timedelta(hours=5, minutes=45))
    value = [
        datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=east),
        time(1, 2, 3, 4),
        timedelta(days=-1, microseconds=7),
        Decimal("1.10"),
        UUID(int=7),
    ]

    assert codec.loads(codec.dumps(value)) == value
