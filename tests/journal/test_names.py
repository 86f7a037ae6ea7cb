"""What items are called: the same in every run, and no two alike."""

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as some

from threadllm import OptionError
from threadllm.journal import Name, digest
from threadllm.journal.names import name_of
from threadllm.outcome import Usage

keys = some.recursive(
    some.text() | some.integers() | some.booleans() | some.floats(allow_nan=False),
    lambda inner: some.lists(inner, max_size=3).map(tuple),
    max_leaves=4,
)


def spelled(key):
    """A key with its types: 1, 1.0, "1" and True differ."""
    return [*map(spelled, key)] if isinstance(key, tuple) else (type(key), repr(key))


@given(keys, keys)
def test_keys_name_the_same_item_only_if_they_are_the_same(one, other):
    """The kinds of numbers and of text are told apart."""
    finite = "inf" not in f"{one}{other}"
    if finite:
        assert (name_of(0, one) == name_of(1, other)) is (spelled(one) == spelled(other))


def test_the_users_key_counts_alone():
    """Whatever the item holds."""
    assert name_of({"id": 1, "at": 5}, "k") == name_of({"id": 2}, "k")
    assert name_of(None, ("a", 1)).text == '["a", 1]'
    assert name_of(None, "k").key == "k"


def test_an_id_counts_with_the_content():
    """The answer to another prompt is not handed over under an old id."""
    one = name_of({"id": "a", "prompt": "x"})

    assert (one.key, one.text) == ("a", '"a"')
    assert name_of({"prompt": "x", "id": "a"}) == one
    assert name_of({"id": "a", "prompt": "y"}) != one
    assert name_of({"id": "b", "prompt": "x"}) != one
    assert len({name_of({"id": key}) for key in (1, "1", 1.0, True)}) == 4


@pytest.mark.parametrize("item", ["text", 7, ("a", 1), {"id": None}, {"no": "id"}, Usage(1, 2)])
def test_else_the_content_is_the_name(item):
    """A short text that is the same in each process."""
    name = name_of(item)

    assert name.key == digest(item)
    assert len(name.key) == 32
    assert name == name_of(item)
    assert name != name_of([item])


def test_the_digest_is_the_same_in_each_version():
    """A journal of today is of use tomorrow."""
    assert digest("a text") == "382632c74f3e60e503647f6ae94ba092"


def test_a_name_that_is_one_stays():
    """For those who know better."""
    name = Name("k", "text", "digest")

    assert name_of("item", name) is name


@pytest.mark.parametrize("key", [None, b"k", object, {"a": 1}, [object], float("nan")])
def test_what_names_nothing_is_refused(key):
    """With what would do."""
    with pytest.raises(OptionError) as refused:
        name_of("item", key)

    assert str(refused.value) == (
        f"key: it gave {key!r}; let it give a text or a number, or a tuple of them"
    )


@dataclasses.dataclass
class Prompt:
    text: object


@pytest.mark.parametrize("item", [object(), lambda: 1, Prompt(object())])
def test_an_item_without_content_of_its_own_needs_a_key(item):
    """Its name would be another in each run."""
    with pytest.raises(OptionError) as refused:
        name_of(item)

    assert str(refused.value).startswith("an item has no name for the journal: a value of type ")
    assert str(refused.value).endswith("has no form in JSON. Give key=")


def test_what_is_no_journal_is_refused_and_what_names_one_is_one():
    """A path is enough."""
    from threadllm import Journal
    from threadllm.journal import checked_journal

    journal = Journal("run.db", version="2")
    assert checked_journal(journal) is journal
    assert checked_journal("run.db") == Journal("run.db")
    assert checked_journal(None) is None
