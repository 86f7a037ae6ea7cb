"""A journal in use: what is told is there once it has been heard of, and is found in other runs."""

import logging
import sqlite3
from pathlib import Path

import pytest
import requests

from tests.journal.conftest import JOB, found, tell
from threadllm import EarlierFailure, Journal, JournalError, OptionError


def test_what_is_told_is_found_in_this_run_and_the_next(opened):
    """With all but its requests."""
    journal = opened()
    assert tell(journal, "k", {"a": (1, 2)}) is None
    again = found(journal, "k")
    journal.close()
    later = found(opened(), "k")

    for one in (again, later):
        assert (one.value, one.error, one.attempts, one.elapsed) == ({"a": (1, 2)}, None, 2, 1.5)
        assert (one.index, one.key, one.item, one.requests) == (7, "k", "item", ())
        assert (one.usage.input_tokens, one.usage.output_tokens) == (3, 4)
        assert one.from_journal


@pytest.mark.parametrize(
    ("retry_failed", "passing", "final"), [(None, 0, 1), (True, 0, 0), (False, 1, 1)]
)
def test_items_that_failed_are_run_again_as_is_said(opened, retry_failed, passing, final):
    """In the same run none is."""
    first = opened()
    tell(first, "passing", error=TimeoutError("late"))
    tell(first, "final", error=ValueError("bad"), permanent=True)
    assert (found(first, "passing") is None, found(first, "final") is None) == (False, False)
    first.close()
    later = opened(retry_failed=retry_failed)

    assert (found(later, "passing") is not None, found(later, "final") is not None) == (
        bool(passing),
        bool(final),
    )


def test_an_error_comes_back_without_what_it_held(opened):
    """Its type's name, its text without keys, and what the provider said."""
    response = requests.Response()
    response.status_code = 400
    response.headers["x-request-id"] = "req-1"
    response._content = b'{"error": {"message": "no, sk-planted-0123456789abcdef"}}'
    error = requests.HTTPError("400 for ?key=sk-planted-0123456789", response=response)
    journal = opened()
    tell(journal, "k", error=error, permanent=True)
    came = found(journal, "k").error

    assert isinstance(came, EarlierFailure)
    assert (came.kind, came.status, came.request_id) == (
        "requests.exceptions.HTTPError",
        400,
        "req-1",
    )
    assert str(came) == "requests.exceptions.HTTPError: 400 for ?key=[redacted]"
    assert came.body == {"error": {"message": "no, [redacted]"}}


def test_an_error_whose_attributes_raise_is_kept(opened):
    """By what it says."""

    class OddError(Exception):
        @property
        def response(self):
            raise LookupError

    journal = opened()
    tell(journal, "k", error=OddError("odd"))
    assert (found(journal, "k").error.message, found(journal, "k").error.status) == ("odd", None)


def test_what_another_version_bought_is_bought_again(opened):
    """And stays, for those who go back."""
    first = opened(version="1")
    tell(first, "k", "one")
    first.close()
    second = opened(version="2")
    assert found(second, "k") is None
    tell(second, "k", "two")
    second.close()

    assert found(opened(version="1"), "k").value == "one"


def test_a_value_that_json_cannot_hold_is_told_and_not_kept(opened, caplog):
    """Its row says why, and it is run again."""
    journal = opened()
    with caplog.at_level(logging.WARNING, "threadllm.journal"):
        assert tell(journal, "k", print) is None

    assert found(journal, "k") is None
    [message] = caplog.messages
    assert 'the value of "k" cannot be kept, and its item will be run again' in message


def test_values_of_the_users_own_go_through_theirs(opened, path):
    """There and back; without the way back the error says what is missing."""
    first = opened(
        encode=lambda value: [value.real, value.imag], decode=lambda pair: complex(*pair)
    )
    tell(first, "k", 1 + 2j)
    assert found(first, "k").value == 1 + 2j
    first.close()

    later = opened()
    tell(later, "plain", "text")
    with pytest.raises(JournalError) as problem:
        found(later, "k")
    assert str(problem.value) == (
        f'journal {path}: the value of "k" cannot be had: it was made by encode=: give decode= too.'
    )
    later.close()
    with_decode = opened(encode=str, decode=lambda value: pytest.fail("not made by encode"))
    assert found(with_decode, "plain").value == "text"


def test_a_file_that_cannot_be_read_on_is_told(opened, path):
    """In words that name it."""
    journal = opened()
    journal._store._reading.execute("ATTACH ':memory:' AS other")
    journal._store._reading.close()
    with pytest.raises(JournalError, match="Is the file damaged"):
        found(journal, "k")
    journal._store._reading = sqlite3.connect(path)


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        ({"path": 7}, "journal=7: give the path of a file"),
        ({"version": 2}, "version=2: give it a text"),
        ({"retry_failed": "all"}, "retry_failed='all': give True, False or None"),
        ({"encode": str}, "encode and decode: give both, as each undoes the other"),
        ({"decode": str}, "encode and decode: give both, as each undoes the other"),
    ],
)
def test_settings_that_cannot_be_meant_are_refused(settings, why):
    """At once."""
    with pytest.raises(OptionError) as refused:
        Journal(**({"path": "run.db"} | settings))

    assert str(refused.value) == why


def test_it_is_what_it_says_that_it_is_of(opened):
    """If it says so, and not the function's name."""
    opened(job="mine").close()
    with pytest.raises(OptionError, match="it is of mine, not of llm:ask"):
        opened()
    opened(job="mine")


def test_the_path_may_be_any_that_python_takes(tmp_path):
    """A text or a path, with what URLs would take for something else."""
    for path in (Path(tmp_path / "a?b#c%20.db"), str(tmp_path / "ä b.db")):
        journal = Journal(path).open(JOB)
        tell(journal, "k", "v")
        journal.close()
        assert Path(path).is_file()


@pytest.mark.parametrize(
    ("body", "kept"),
    [
        ({"error": [1, "a", None]}, {"error": [1, "a", None]}),
        (object(), None),
        ({("a", 1): 2}, None),
        ({"a": {1, 2}}, None),
        (float("nan"), None),
        ((1, 2), [1, 2]),
    ],
    ids=repr,
)
def test_what_an_error_holds_is_kept_if_json_can_hold_it(opened, body, kept):
    """Other clients put whatever they like in there."""
    error = ValueError("no")
    error.status_code, error.body = 400, body
    journal = opened()

    assert tell(journal, "k", error=error) is None
    assert (found(journal, "k").error.status, found(journal, "k").error.body) == (400, kept)
