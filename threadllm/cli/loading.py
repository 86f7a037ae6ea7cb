"""From `MODULE_OR_FILE:FUNCTION` to the function, imported as a script or module would be."""

from __future__ import annotations

import importlib
import inspect
import sys
from importlib.machinery import ModuleSpec, SourceFileLoader
from importlib.util import module_from_spec
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from threadllm.exceptions import OptionError
from threadllm.redaction import text_of, type_name

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType


def load(target: str) -> Callable[..., Any]:
    """The function that a target names.

    A file is imported with its folder on the path, as if it were run; a module with the current
    folder on the path, as `python -m` does.

    Raises:
        OptionError: There is no such file, module or function, its import fails or ends the
            program, or it is async.
    """
    place, colon, name = target.rpartition(":")
    if not (colon and place and name):
        raise OptionError(f"{target}: write MODULE:FUNCTION or FILE.py:FUNCTION")
    if place.endswith(".py") and not Path(place).is_file():
        raise OptionError(f"{place}: there is no such file")
    try:
        module = _from_file(Path(place)) if place.endswith(".py") else _from_path(place)
    except Exception as error:
        problem = f"{type_name(error)}: {text_of(error)}"
        raise OptionError(f"{place}: its import fails with {problem}") from error
    except SystemExit as end:
        raise OptionError(
            f"{place}: its import ends the program (SystemExit: {text_of(end)}). "
            'Put what it does as a script under: if __name__ == "__main__":'
        ) from end
    return _checked(module, name, target)


def accepts(function: Callable[..., Any], keyword: str) -> bool:
    """Whether a function takes a keyword; true where its signature cannot be read."""
    try:
        parameters = inspect.signature(function).parameters
    except (ValueError, TypeError):
        return True
    return keyword in parameters or any(
        parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values()
    )


def _from_path(name: str) -> ModuleType:
    sys.path.insert(0, str(Path.cwd()))
    return importlib.import_module(name)


def _from_file(path: Path) -> ModuleType:
    path = path.resolve()
    sys.path.insert(0, str(path.parent))
    # A name of its own where the file's is taken: a script may be called like a module it uses.
    taken = path.stem in sys.modules or path.stem in sys.stdlib_module_names
    name = f"{path.stem}_called_by_threadllm" if taken else path.stem
    loader = SourceFileLoader(name, str(path))
    spec = ModuleSpec(name, loader, origin=str(path))
    spec.has_location = True  # without it there would be no __file__
    module = module_from_spec(spec)
    sys.modules[name] = module
    loader.exec_module(module)
    return module


def _checked(module: ModuleType, name: str, target: str) -> Callable[..., Any]:
    try:
        function: Callable[..., Any] = attrgetter(name)(module)
    except AttributeError:
        there = sorted(n for n, f in inspect.getmembers(module, inspect.isfunction))
        raise OptionError(
            f"{target}: no such function; there are: {', '.join(there) or 'none'}"
        ) from None
    if not callable(function):
        raise OptionError(f"{target}: is of type {type_name(function)}, not a function")
    if _is_async(function) or _is_async(type(function).__call__):
        raise OptionError(f"{target}: is async; threadllm runs synchronous functions")
    return function


def _is_async(function: Callable[..., Any]) -> bool:
    return inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function)
