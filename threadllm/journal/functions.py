"""What a journal knows a function by: its name, and what is bound to it.

What it does, and what it closes over, nobody can tell: see `Journal(version=)`.
"""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from threadllm.journal import codec
from threadllm.journal.names import digest
from threadllm.redaction import type_name

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_LENGTH = 12  # hexadecimal digits of a digest


def job_of(fn: Callable[..., object]) -> str:
    """The name of a function: what a journal is of, and is refused by for any other."""
    *_, named = _layers(fn)
    if not hasattr(named, "__qualname__"):
        named = type(named)
    module = getattr(named, "__module__", None) or "builtins"  # methods of theirs have none
    if module == "__main__":  # a script is what its file is called, however it is run
        module = Path(getattr(sys.modules[module], "__file__", None) or module).stem
    return f"{module}:{named.__qualname__}"


def bound_by(fn: Callable[..., object]) -> str:
    """A short text that stands for what `functools.partial` has bound; empty if it has nothing.

    A value that has no form in JSON, such as a client, counts by its type alone.
    """
    bound = [
        [
            [*map(_canonical, layer.args)],
            sorted((k, _canonical(v)) for k, v in layer.keywords.items()),
        ]
        for layer in _layers(fn)
        if isinstance(layer, partial)
    ]
    return f"partial {digest(bound)[:_LENGTH]}" if bound else ""


def _layers(fn: Any) -> Iterator[Any]:
    """A function, and what it wraps as a partial does, down to the innermost."""
    yield fn
    while callable(getattr(fn, "func", None)):
        fn = fn.func
        yield fn


def _canonical(value: object) -> str:
    try:
        return codec.canonical(value)
    except (TypeError, ValueError):
        return type_name(value)
