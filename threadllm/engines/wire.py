"""What goes between a dispatcher and its workers: values that travel, and nothing that acts.

No exception, no request and no response is among them: an error may hold a key, and may load in no
other process. What a function is called with and what it returns is packed before: see `travel`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from threadllm.providers import Details
    from threadllm.quota import Pause, Units


class Parcel(NamedTuple):
    """An item on its way to a worker.

    Attributes:
        number: Names it between the two.
        run: Names its run.
        fn: Names its function, which was sent before it or comes along.
        call: What that is called with, packed.
        seconds: Its deadline, from when it is first taken up; None if it has none.
    """

    number: int
    run: int
    fn: int
    call: bytes
    seconds: float | None


class Stop(NamedTuple):
    """No more is wanted of a run.

    Attributes:
        run: Names it.
        grace: Seconds for its calls in flight; None for as long as they take.
    """

    run: int
    grace: float | None


class Order(NamedTuple):
    """What a worker is told, and asked to answer once there is something to say.

    Attributes:
        parcels: New items.
        functions: Those that it has not had yet, packed.
        stops: Runs of which no more is wanted.
        wait: Seconds after which it answers in any case.
        lent: Units of limits that it may use, by the names of quotas.
        pauses: Those that others were told to make, likewise.
        recalls: Items that it gives back undone, if it has not begun them.
        slots: How many it may use from now on, by the names of quotas; what is not told stays.
    """

    parcels: Sequence[Parcel]
    functions: Mapping[int, bytes]
    stops: Sequence[Stop]
    wait: float
    lent: Mapping[str, Sequence[Units]] = {}
    pauses: Sequence[Mapping[str, Sequence[Pause]]] = ()
    recalls: Sequence[int] = ()
    slots: Mapping[str, int] = {}


class Failure(NamedTuple):
    """An error, as far as it can be told, without keys.

    Attributes:
        module: Where its class is.
        name: Its class, as it is called there.
        message: What it says.
        args: What it was made of, if that is all texts and numbers.
        details: Of the answer that it carries.
        traceback: As it would be printed.
    """

    module: str
    name: str
    message: str
    args: tuple[object, ...] | None
    details: Details
    traceback: str


class Envelope(NamedTuple):
    """What became of an item.

    Attributes:
        number: Its parcel's.
        value: What the function returned, packed; None if it failed.
        failure: Why it failed; None if it did not.
        undone: Whether its run was stopped before it came to an end.
        advice: What to do about a refusal that stops the run; None if it is none.
        retries: Tries that were charged to it.
        elapsed: Seconds that its calls ran.
        usage: Tokens in and out.
        requests: Its exchanges, as what `RequestRecord` is made of: that is sooner packed.
    """

    number: int
    value: bytes | None
    failure: Failure | None
    undone: bool = False
    advice: str | None = None
    retries: int = 0
    elapsed: float = 0.0
    usage: tuple[int, int] = (0, 0)
    requests: Sequence[tuple[Any, ...]] = ()


class Report(NamedTuple):
    """What a worker answers.

    Attributes:
        envelopes: Of the items that have ended since it last did.
        figures: By how much its totals have changed since.
        wanted: Units of limits that its calls wait for, by the names of quotas.
        unused: Those that it was lent and gives back, likewise.
        pauses: Those that it was told to make since.
        slots: How many its requests have, and its threads wait for, by the names of quotas.
    """

    envelopes: Sequence[Envelope]
    figures: Mapping[str, float]
    wanted: Mapping[str, Sequence[Units]] = {}
    unused: Mapping[str, Sequence[Units]] = {}
    pauses: Mapping[str, Sequence[Pause]] = {}
    slots: Mapping[str, tuple[int, int]] = {}


class Link(Protocol):
    """The way to a worker."""

    def start(self) -> None:
        """Have it come to work, and wait until it has.

        Raises:
            WorkerLost: It has not.
        """

    def exchange(self, order: Order) -> Report:
        """Tell it something, and wait for its answer.

        Raises:
            WorkerLost: It has died, or cannot be reached.
        """

    def nudge(self) -> None:
        """Have it answer at once. It waits for nothing, and may come too late."""

    def close(self) -> None:
        """Have it end by itself, as all that it had is done, and wait until it has."""

    def kill(self) -> None:
        """End it."""
