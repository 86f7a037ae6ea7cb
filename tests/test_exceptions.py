import inspect
import re

import pytest

from threadllm import exceptions
from threadllm.exceptions import CallCancelled, InputError, OptionError, ThreadLLMError

LINE = re.compile(r"^ {4}((?:│   |    )*)(?:[├└]── )?(\w+)(?: {2,}(\S.*))?$")


def drawn():
    """The tree in the docstring: each class's name, and that of the class above it."""
    tree, above = {}, []
    for line in inspect.getdoc(exceptions).split("\n\n")[1].splitlines():
        bars, name, _ = LINE.match(line).groups()
        depth = len(bars) // 4 + (1 if "── " in line else 0)
        above[depth:] = [name]
        tree[name] = above[depth - 1] if depth else "Exception"
    return tree


def test_the_tree_in_the_docstring_is_the_tree_in_the_code():
    """Every class is drawn, below the class that it derives from."""
    classes = {
        name: cls.__bases__[0].__name__
        for name, cls in vars(exceptions).items()
        if inspect.isclass(cls) and cls.__module__ == exceptions.__name__
    }

    assert drawn() == classes


@pytest.mark.parametrize("kind", [InputError, OptionError])
def test_what_cannot_be_used_is_a_value_error(kind):
    """Callers who catch ValueError, as of any other function, catch these."""
    with pytest.raises(ValueError, match=r"^why$"):
        raise kind("why")


@pytest.mark.parametrize("kind", [CallCancelled, InputError, OptionError])
def test_one_root_catches_all(kind):
    """All errors of the package's own derive from one."""
    with pytest.raises(ThreadLLMError, match=r"^why$"):
        raise kind("why")


def test_a_cancelled_call_is_no_value_error():
    """Nothing was wrong with what was given."""
    assert not issubclass(CallCancelled, ValueError)
