"""What calls go by: the same for all calls of one dispatcher."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from threadllm.call.kept import Kept

if TYPE_CHECKING:
    from collections.abc import Callable

    from threadllm.clock import Sleeper
    from threadllm.progress import Tally
    from threadllm.quota import Quota
    from threadllm.retry import Retry


@dataclass(frozen=True, slots=True)
class Terms:
    """What every call of one dispatcher goes by.

    Attributes:
        quota: Lends the slots.
        retry: Says what is tried again.
        timeout: Seconds to connect and seconds to wait for bytes, for requests that set none.
        sleeper: Parks calls; woken when the dispatcher is told to stop.
        tally: Counts.
        patched: Whether requests go through the transport by whatever session they are made.
        trusted: Whether what a function returns counts although a request failed for good.
        connections: What the transport keeps, until the dispatcher has ended.
        now: Gives monotonic seconds.
    """

    quota: Quota
    retry: Retry
    timeout: tuple[float, float]
    sleeper: Sleeper
    tally: Tally
    patched: bool
    trusted: bool = False
    connections: Kept = field(default_factory=Kept, compare=False)
    now: Callable[[], float] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "now", self.sleeper.clock.monotonic)

    @property
    def stopped(self) -> bool:
        """Whether the dispatcher was told to stop: nothing new is begun or waited for."""
        return self.sleeper.awake

    def stop(self) -> None:
        """End every wait of a call, now and from now on."""
        self.sleeper.wake()
        self.quota.slots.look_again()
