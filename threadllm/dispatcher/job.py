"""What an item is to its worker: a function, and what it is called with."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar, get_args

from threadllm.dispatcher.options import Unpack
from threadllm.exceptions import OptionError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

R = TypeVar("R")
_NO_KEYWORDS: Mapping[str, Any] = {}


@dataclass(slots=True)
class Job(Generic[R]):
    """A call to be made, perhaps in another process.

    Attributes:
        fn: The function.
        args: What it is called with.
        kwargs: The same, by name.
        unpack: Whether the only argument is to be taken apart. An item that does not fit, such as
            a text with "kwargs", fails by itself, when called.
    """

    fn: Callable[..., R]
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    unpack: Unpack | None = None

    def __call__(self) -> R:
        """Make it."""
        if self.unpack is None:
            return self.fn(*self.args, **self.kwargs)
        return self.fn(*self.args[0]) if self.unpack == "args" else self.fn(**self.args[0])


def binder(fn: Callable[..., R], unpack: Unpack | None) -> Callable[[Any], Job[R]]:
    """How an item becomes a call of the function.

    Raises:
        OptionError: An unpacking that there is not.
    """
    if not (unpack is None or unpack in get_args(Unpack)):
        raise OptionError(f"unpack={unpack!r}: choose 'args' or 'kwargs', or leave it out")
    return lambda item: Job(fn, (item,), _NO_KEYWORDS, unpack)
