"""What a worker is sent: what it is made of, and items with their functions."""

from __future__ import annotations

import math
import threading
from collections import OrderedDict
from itertools import count
from typing import TYPE_CHECKING, Any, NamedTuple

from threadllm.clock import SYSTEM
from threadllm.engines.lending import quotas_of
from threadllm.engines.travel import pack, pack_function
from threadllm.engines.wire import Parcel
from threadllm.engines.worker import Spec
from threadllm.exceptions import OptionError
from threadllm.quota import part

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from threadllm.dispatcher.hiring import Post
    from threadllm.dispatcher.task import Task

_ELSEWHERE = (  # options of a dispatcher that are its workers'
    "thread_name_prefix",
    "initializer",
    "initargs",
    "estimate",
    "on_stop",
    "retry",
    "request_timeout",
    "patch_requests",
    "trust_returns",
    "grace",
)
_KNOWN = 64  # functions; workers remember more


class Packed(NamedTuple):
    """A function, as it is sent."""

    number: int
    fn: Callable[..., Any]  # kept, lest its identity become another's
    packed: bytes


class Packer:
    """Packs for the workers of one dispatcher.

    Args:
        post: What they are hired for.
        init: What each calls first.
        number: How many there are.
        leases: Whether they are lent what quotas allow; else each has its part.

    Raises:
        OptionError: An option that cannot be sent.
    """

    def __init__(self, post: Post, init: str | None, number: int, *, leases: bool) -> None:
        options: Mapping[str, Any] = post.options
        if options.get("clock", SYSTEM) is not SYSTEM:
            raise OptionError("clock: workers of an engine have the time of their machine")
        self._options = {name: options[name] for name in _ELSEWHERE if name in options}
        self._init = init
        self._max_workers = post.max_workers
        self._number = number
        self._leases = leases
        self._quotas = quotas_of(post.terms)
        self._lock = threading.Lock()  # guards what follows
        self._functions: OrderedDict[int, Packed] = OrderedDict()  # by their identity
        self._count = count()

    def threads_of(self, index: int) -> int:
        """The threads of a worker: their sum is the dispatcher's."""
        return part(self._max_workers, self._number, index)

    def spec(self, index: int) -> Spec:
        """What a worker is made of.

        Raises:
            OptionError: Something in the options cannot be sent.
        """
        quotas = {name: quota.settings for name, quota in self._quotas.items()}
        if not self._leases:
            quotas = {name: one.part(self._number, index) for name, one in quotas.items()}
        try:
            options = pack(self._options)
        except TypeError as error:
            raise OptionError(f"an option cannot be sent to another process: {error}") from None
        return Spec(self._init, self.threads_of(index), options, quotas, self._number, self._leases)

    def check(self, fn: Callable[..., Any]) -> None:
        """See that a function can be sent.

        Raises:
            OptionError: It cannot.
        """
        self._packed(fn)

    def parcel(self, task: Task[Any], number: int, run: int, now: float) -> tuple[Parcel, bytes]:
        """A task as what is sent, and its function, packed.

        Raises:
            TypeError: What it is called with cannot travel.
            OptionError: Its function cannot.
        """
        job, submission = task.job, task.submission
        fn = self._packed(job.fn)
        try:
            call = pack((job.args, dict(job.kwargs), job.unpack))
        except TypeError as error:
            raise TypeError(f"the item cannot be sent to another process: {error}") from None
        left = min(submission.seconds, submission.latest - now)
        seconds = None if left == math.inf else max(0.0, left)
        return Parcel(number, run, fn.number, call, seconds), fn.packed

    def _packed(self, fn: Callable[..., Any]) -> Packed:
        with self._lock:
            packed = self._functions.get(id(fn))
            if packed is None:
                packed = self._functions[id(fn)] = Packed(next(self._count), fn, pack_function(fn))
                if len(self._functions) > _KNOWN:
                    self._functions.popitem(last=False)
            self._functions.move_to_end(id(fn))
            return packed


def functions_for(
    knows: OrderedDict[int, None], parcels: Iterable[tuple[Parcel, bytes]]
) -> dict[int, bytes]:
    """The functions of parcels that a worker does not know, by their numbers."""
    functions: dict[int, bytes] = {}
    for parcel, packed in parcels:
        if parcel.fn not in knows:
            functions[parcel.fn] = packed
        knows[parcel.fn] = None
        knows.move_to_end(parcel.fn)
    while len(knows) > _KNOWN:
        knows.popitem(last=False)
    return functions
