"""JSON that two readers could read in two ways is refused."""

import json

import pytest
from hypothesis import given

from tests.jobs.support import VALUES
from threadllm.exceptions import InputError
from threadllm.jobs.strict_json import MAX_DEPTH, MAX_DIGITS, loads

try:
    json.loads("{'")
except json.JSONDecodeError as error:
    PROPERTY = error.msg  # its words differ between versions of Python

REFUSED = {
    '{"id": NaN}': "has NaN, which is not JSON. Write null, or leave the field out",
    '{"id": -Infinity}': "has -Infinity, which is not JSON. Write null, or leave the field out",
    '{"x": 1e400}': "has the number '1e400', out of range. Write it as a string",
    '{"x": -1e400}': "has the number '-1e400', out of range. Write it as a string",
    '{"x": ' + "9" * 5000 + "}": "has an integer of 5,000 digits. Write it as a string",
    '{"a": 1, "b": 2, "a": 1}': "has the key 'a' twice in one object. Remove one",
    '{"x": {"' + "k" * 99 + '": 1, "' + "k" * 99 + '": 2}}': (
        "has the key 'kkkkkkkkkkkk...kkkkkkkkkkkkk' twice in one object. Remove one"
    ),
    "[" * 100_000 + "]" * 100_000: "is nested more than 200 levels deep. Flatten it",
    '{"a":' * 100_000: "is nested more than 200 levels deep. Flatten it",
    "{'id': 1}": (
        f"is not JSON: {PROPERTY} (character 2). Write one whole JSON value on each line"
    ),
    "{} {}": ("is not JSON: Extra data (character 4). Write one whole JSON value on each line"),
}


@pytest.mark.parametrize(("text", "reason"), REFUSED.items(), ids=range(len(REFUSED)))
def test_what_json_does_not_say_is_refused(text, reason):
    """Each refusal says what is wrong and what to write instead."""
    with pytest.raises(InputError) as caught:
        loads(text)

    assert str(caught.value) == reason


@given(VALUES)
def test_what_json_says_is_read(value):
    """Any JSON value is read as the standard library reads it."""
    text = json.dumps(value)

    assert loads(text) == json.loads(text)


def test_the_limits_belong_to_what_is_allowed():
    """Nesting and digits up to the limit are read."""
    deep = "[" * MAX_DEPTH + "]" * MAX_DEPTH

    assert loads(deep) == json.loads(deep)
    assert loads("9" * MAX_DIGITS) == 10**MAX_DIGITS - 1


def test_brackets_in_strings_and_side_by_side_do_not_nest():
    """Only nesting counts as depth: not brackets in strings, nor many short arrays."""
    flat = [["[" * 300 + '"\\'], *[[]] * 300, {'{"': "\\"}]

    assert loads(json.dumps(flat)) == flat
