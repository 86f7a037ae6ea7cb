import dataclasses
import gc
import pickle
import traceback
import weakref

import pytest

from threadllm.outcome import Outcome, RequestRecord, Usage

RECORD = RequestRecord("POST", "http://h:80/v1", 200, 0.5, 0, 42)
VALUE = Outcome(
    index=1,
    key="a",
    item={"prompt": "x"},
    value="y",
    error=None,
    attempts=2,
    elapsed=1.5,
    usage=Usage(3, 4),
    requests=(RECORD,),
)
FIELDS = (
    (RECORD, "status", 500),
    (VALUE, "value", "z"),
    (VALUE.usage, "input_tokens", 0),
)


class Marker:
    pass


def failed(error, item=None):
    return dataclasses.replace(VALUE, item=item, value=None, error=error)


def find():
    raise LookupError("planted")


def raised():
    try:
        find()
    except LookupError as error:
        return error


def test_usages_add_up():
    """Tokens in and tokens out are added apart, and have a sum."""
    total = sum([Usage(1, 2), Usage(), Usage(30, 40)], Usage())

    assert total == Usage(input_tokens=31, output_tokens=42)
    assert total.total_tokens == 73


@pytest.mark.parametrize(("value", "name", "other"), FIELDS)
def test_values_are_frozen_and_slotted(value, name, other):
    """No field can be set, and none can be added."""
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(value, name, other)

    assert not hasattr(value, "__dict__")


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_an_outcome_travels(protocol):
    """What is unpickled equals what was pickled."""
    assert pickle.loads(pickle.dumps(VALUE, protocol)) == VALUE


def test_an_outcome_with_an_error_travels():
    """An error that can be pickled goes along."""
    twin = pickle.loads(pickle.dumps(failed(ValueError("x"))))

    assert (type(twin.error), twin.error.args) == (ValueError, ("x",))


def test_a_value_is_unwrapped():
    """An outcome without an error is ok and gives its value, be it None."""
    none = dataclasses.replace(VALUE, value=None)

    assert (VALUE.ok, VALUE.unwrap()) == (True, "y")
    assert (none.ok, none.unwrap()) == (True, None)


def test_an_error_is_raised_as_it_was():
    """The same object is raised, and its traceback ends at the line where it first was."""
    error = raised()
    outcome = failed(error)

    with pytest.raises(LookupError) as caught:
        outcome.unwrap()

    assert outcome.ok is False
    assert caught.value is error
    last = traceback.extract_tb(caught.value.__traceback__)[-1]
    assert (last.name, last.line) == ("find", 'raise LookupError("planted")')


def test_a_raised_error_does_not_keep_its_outcome():
    """Once handled, error and item go at once: the traceback makes no ring with the outcome."""
    item = Marker()
    gone = weakref.ref(item)
    outcome = failed(raised(), item)
    del item
    gc.disable()
    try:
        with pytest.raises(LookupError):
            outcome.unwrap()
        del outcome
        assert gone() is None
    finally:
        gc.enable()


KEY = "sk-planted-0123456789"


def test_an_error_without_keys_travels_as_it_is():
    """With its type, its arguments and its attributes."""
    error = ValueError("why", 3)
    error.hint = "how"

    copy = pickle.loads(pickle.dumps(failed(error))).error

    assert (type(copy), copy.args, vars(copy)) == (ValueError, ("why", 3), {"hint": "how"})


def test_an_error_that_names_a_key_travels_without():
    """Of its type, with what is left of its text."""
    outcome = failed(ValueError(f"api_key={KEY} is no good"))

    data = pickle.dumps(outcome)

    assert KEY.encode() not in data
    assert repr(pickle.loads(data).error) == "ValueError('api_key=[redacted] is no good')"
    assert KEY not in repr(outcome)


def test_an_error_that_cannot_be_made_of_a_text_travels_as_one():
    """Its type and its text are named."""

    class PeculiarError(Exception):
        def __init__(self, *, request):
            super().__init__("it broke")
            self.request = request

    copy = pickle.loads(pickle.dumps(failed(PeculiarError(request=KEY)))).error

    assert type(copy) is RuntimeError
    assert str(copy).endswith("PeculiarError: it broke")
