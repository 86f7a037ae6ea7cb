"""Whether other libraries' functions are still their own."""

import functools
from types import ModuleType
from unittest import mock

import pytest

from threadllm.transport.originals import Originals

SOURCE = """
def first(): pass
def second(): pass
class Base:
    def inherited(self): pass
class Kind(Base):
    def method(self): pass
    @staticmethod
    def static(): pass
"""


@pytest.fixture
def home():
    """A module with functions of its own."""
    module = ModuleType("home")
    exec(SOURCE, vars(module))
    return module


@pytest.fixture
def originals(home):
    """Functions of a module, and methods of a class in it."""
    return Originals([(home, "first second", home), (home.Kind, "inherited method static", home)])


class Proxy:
    """Says of itself that it is what it wraps, as proxies of instrumentations do."""

    def __init__(self, wrapped):
        self.wrapped = wrapped

    def __eq__(self, other):
        return self.wrapped == other

    __hash__ = None

    @property
    def __class__(self):
        return type(self.wrapped)

    @property
    def __globals__(self):
        return self.wrapped.__globals__


def wrapping(function):
    @functools.wraps(function)
    def wrapper(*args):
        return function(*args)

    return wrapper


def test_what_nobody_touched_is_genuine(originals):
    """It is so however often one asks."""
    assert [originals.genuine, originals.genuine] == [True, True]


def test_of_no_functions_all_are_genuine():
    """An empty table passes nothing by."""
    assert Originals([]).genuine


@pytest.mark.parametrize("replacement", [Proxy, wrapping, mock.MagicMock, staticmethod])
@pytest.mark.parametrize("asked_before", [True, False])
def test_a_replacement_counts_at_once(home, originals, replacement, asked_before):
    """Whether it comes before or after the first look; and the function itself when it is back."""
    if asked_before:
        assert originals.genuine
    with mock.patch.object(home, "second", replacement(home.second)):
        assert [originals.genuine, originals.genuine] == [False, False]
    assert originals.genuine


@pytest.mark.parametrize("name", ["inherited", "method", "static"])
def test_a_method_may_be_replaced_on_the_class(home, originals, name):
    """Also where the class itself has had it from its parent."""
    with mock.patch.object(home.Kind, name, wrapping(home.Kind.method)):
        assert not originals.genuine
    assert originals.genuine


def test_what_its_parent_gets_anew_counts(home, originals):
    """A method is looked up as calling it looks it up."""
    home.Base.inherited = lambda _: None
    assert not originals.genuine


def test_what_is_missing_is_not_genuine(home, originals):
    """It is not an error, for whoever calls the function to see theirs."""
    del home.first
    assert not originals.genuine


def test_a_function_of_another_module_is_not_genuine(home):
    """Where it is written is what counts, not where it stands."""
    assert not Originals([(home, "first", functools)]).genuine
