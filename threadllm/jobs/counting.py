"""How many items a file will give, for a bar to know its end: as many as it has lines, at most."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

T = TypeVar("T")

_BLOCK = 1 << 20


class Counted(Generic[T]):
    """Items that come one by one, with a length that is told beforehand."""

    def __init__(self, items: Iterable[T], length: int) -> None:
        self._items = items
        self._length = length

    def __iter__(self) -> Iterator[T]:
        return iter(self._items)

    def __len__(self) -> int:
        return self._length


def counted(items: Iterable[T], path: str | Path) -> Iterable[T]:
    """The items that are read from a file, with its number of lines where it can be read twice.

    Raises:
        OSError: The system could not read it.
    """
    if str(path) == "-" or not Path(path).is_file():  # standard input, a pipe, a device
        return items
    ends, last = 0, b"\n"
    with Path(path).open("rb") as file:
        while block := file.read(_BLOCK):
            ends += block.count(b"\n")
            last = block[-1:]
    headers = Path(path).suffix.lower() == ".csv"
    return Counted(items, max(0, ends + (last != b"\n") - headers))
