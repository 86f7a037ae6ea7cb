"""Whether what a short way passes by is still its library's own.

Whoever instruments, mocks or mends requests, urllib3 or http.client puts a function of their own
there, and expects it to be called. So a short way names the functions that it takes the place of,
and the classes that they would use, and is taken only while all of them are genuine.
"""

from __future__ import annotations

from itertools import chain
from operator import attrgetter, is_, itemgetter
from types import FunctionType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from types import ModuleType


class Originals:
    """Some functions, classes and modules of other libraries.

    Args:
        table: Rows of a class or module, names of functions and classes there with blanks between,
            and the module in which they are written, or which itself is meant.

    Attributes:
        steps: Each class or module with a name there.
    """

    def __init__(self, table: Iterable[tuple[type | ModuleType, str, ModuleType]]) -> None:
        rows = [(owner, name, home) for owner, names, home in table for name in names.split()]
        self.steps = [(owner, name) for owner, name, _ in rows]
        places: dict[tuple[Any, bool], list[tuple[str, ModuleType]]] = {}
        for owner, name, home in rows:
            own = name in vars(owner) and vars(owner)[name] is getattr(owner, name, None)
            places.setdefault((owner, own), []).append((name, home))
        self._look_ups: list[tuple[Callable[[Any], tuple[object, ...]], object]] = []
        self._homes: list[ModuleType] = []
        for (owner, own), names in places.items():
            names.append(names[0])  # what looks one thing up gives it bare, and several as a tuple
            # What an owner has itself is in its dict, where it is found in a fraction of the time.
            get, place = (itemgetter, vars(owner)) if own else (attrgetter, owner)
            self._look_ups.append((get(*(name for name, _ in names)), place))
            self._homes += [home for _, home in names]
        self._judged: tuple[list[object], bool] = [], False  # replaced as a whole

    @property
    def genuine(self) -> bool:
        """Whether all of them are there, as their own module wrote them.

        Whatever else stands there, a wrapper that passes itself off as the function included, is
        somebody's who wants to be called.
        """
        try:
            found = [*chain.from_iterable([get(place) for get, place in self._look_ups])]
        except (AttributeError, KeyError):
            return False
        seen, genuine = self._judged
        # By identity: a wrapper may say that it equals what it wraps.
        if not (seen and all(map(is_, found, seen))):
            genuine = all(map(is_original, found, self._homes))
            self._judged = found, genuine
        return genuine


def is_original(found: object, home: ModuleType) -> bool:
    """Whether a function or class was written in a module, or is that module itself."""
    if issubclass(type(found), type):  # `isinstance` would ask a mock of a class what it is
        return found.__module__ == home.__name__
    return found is home or (type(found) is FunctionType and found.__globals__ is vars(home))
