"""How functions, what they are called with and what they return go from process to process.

A function of a module goes by its name. One of the script that runs, a lambda or a closure goes as
it is, by cloudpickle, where that is installed. Both sides are our own processes: what they send
each other is trusted, and no file is ever read this way.
"""

from __future__ import annotations

import inspect
import pickle
from types import FunctionType
from typing import TYPE_CHECKING, Any

from threadllm.exceptions import OptionError

try:
    import cloudpickle
except ImportError:
    cloudpickle = None

if TYPE_CHECKING:
    from collections.abc import Callable

_OF_SCRIPT = b"__main__"  # is another module in another process
_PROTOCOL = pickle.HIGHEST_PROTOCOL


def pack(value: object) -> bytes:
    """A value as bytes.

    Raises:
        TypeError: It cannot travel.
    """
    try:
        packed = pickle.dumps(value, _PROTOCOL)
        if _OF_SCRIPT not in packed:
            return packed
        reason = "it is of the script that runs"
    except Exception as error:  # whatever its own way of being pickled raises
        reason = str(error)
    if cloudpickle is None:
        raise TypeError(f"{reason} (threadllm's extra 'scale' sends more)")
    try:
        return bytes(cloudpickle.dumps(value, _PROTOCOL))
    except Exception as error:
        raise TypeError(str(error)) from None


def unpack(packed: bytes) -> Any:
    """What was packed.

    Raises:
        Exception: Something that it needs is not here.
    """
    return pickle.loads(packed)  # noqa: S301 our own process has packed it


def pack_function(fn: Callable[..., object]) -> bytes:
    """A function as bytes.

    Raises:
        OptionError: It cannot travel; the text says what of it.
    """
    try:
        return pack(fn)
    except TypeError as error:
        name = getattr(fn, "__qualname__", None) or repr(fn)
        raise OptionError(
            f"{name} cannot be sent to another process: {_culprit(fn)}{error}. Make what it needs "
            "within it, or have it in a module and give its name"
        ) from None


def _culprit(fn: object) -> str:
    """The variable of a function that keeps it here, if it is one."""
    if not isinstance(fn, FunctionType):
        return ""
    variables = inspect.getclosurevars(fn)
    for name, value in (*variables.nonlocals.items(), *variables.globals.items()):
        if not (inspect.ismodule(value) or _can_travel(value)):
            kind = type(value)
            return f"its variable {name} is a {kind.__module__}.{kind.__qualname__}, and "
    return ""


def _can_travel(value: object) -> bool:
    try:
        pack(value)
    except TypeError:
        return False
    return True
