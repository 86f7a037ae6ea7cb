"""The line of an item: what can be shown of what became of it."""

import json

import pytest
import requests

from threadllm.jobs import call_line
from threadllm.outcome import Outcome, Usage


def outcome(value=None, error=None):
    return Outcome(0, "a", "item", value, error, 2, 1.5, Usage(3, 4), ())


def line(value, error):
    return {
        "id": "a",
        "value": value,
        "error": error,
        "attempts": 2,
        "elapsed": 1.5,
        "usage": {"input_tokens": 3, "output_tokens": 4},
    }


class NotToldError(Exception):
    def __str__(self):
        raise KeyError("gone")


class EmptyError(Exception):
    """An error that counts as false."""

    def __len__(self):
        return 0


class Holder:
    pass


def circular():
    value = []
    value.append(value)
    return value


@pytest.mark.parametrize("value", ["text", None, 0, [1, {"a": "\ud800"}]])
def test_a_value_stands_in_its_line(value):
    """What JSON holds is written as it is."""
    assert call_line("a", outcome(value)) == line(value, None)


@pytest.mark.parametrize(
    ("value", "kind", "family"),
    [
        (Holder(), f"{__name__}.Holder", "TypeError"),
        (b"bytes", "bytes", "TypeError"),
        ({"when": {1, 2}}, "dict", "TypeError"),
        (float("nan"), "float", "ValueError"),
        ([float("inf")], "list", "ValueError"),
        (circular(), "list", "ValueError"),
        (10**5000, "int", "ValueError"),
    ],
    ids=["object", "bytes", "set", "nan", "inf", "circular", "digits"],
)
def test_a_value_that_json_cannot_hold_is_an_error(value, kind, family):
    """The line says what the function returned, and what it should."""
    with pytest.raises((TypeError, ValueError)) as caught:
        json.dumps(value, allow_nan=False)
    message = (
        f"the function returned a value of type {kind}, which JSON cannot hold ({caught.value}). "
        "Return text, finite numbers, or lists and dicts of them"
    )

    error = {"type": family, "message": message, "status": None}
    assert call_line("a", outcome(value)) == line(None, error)


def test_an_error_is_told_by_type_text_and_status():
    """The status is found on the answer that the error carries; keys are taken out."""
    response = requests.Response()
    response.status_code = 401
    error = requests.HTTPError(
        "Bearer sk-planted-0123456789 got 401 for url: http://h/v1?key=planted", response=response
    )

    assert call_line("a", outcome(error=error)) == line(
        None,
        {
            "type": "requests.exceptions.HTTPError",
            "message": "Bearer [redacted] got 401 for url: http://h/v1?key=[redacted]",
            "status": 401,
        },
    )


@pytest.mark.parametrize(
    ("error", "kind", "message"),
    [
        (KeyError("choices"), "KeyError", "'choices'"),
        (TimeoutError(), "TimeoutError", ""),
        (SystemExit(3), "SystemExit", "3"),
        (EmptyError("x"), f"{__name__}.EmptyError", "x"),
        (
            NotToldError(),
            f"{__name__}.NotToldError",
            "(its text cannot be had: its __str__ raises)",
        ),
    ],
)
def test_any_error_can_be_told(error, kind, message):
    """Built-in names stand alone, others with their module; an error without a text says so."""
    told = {"type": kind, "message": message, "status": None}

    assert call_line("a", outcome(error=error)) == line(None, told)
