"""What calls go by: the same for all calls of one dispatcher."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from threadllm.call.kept import Kept
from threadllm.quota import NO_QUOTAS

if TYPE_CHECKING:
    from collections.abc import Callable

    from threadllm.clock import Sleeper
    from threadllm.progress import Tally
    from threadllm.quota import Quota, Quotas
    from threadllm.retry import Retry


@dataclass(frozen=True, slots=True)
class Terms:
    """What every call of one dispatcher goes by.

    Attributes:
        quota: Lends the slots to calls, and to requests to origins that have no other.
        retry: Says what is tried again.
        timeout: Seconds to connect and seconds to wait for bytes, for requests that set none.
        sleeper: Parks calls; woken when the dispatcher is told to stop.
        tally: Counts.
        patched: Whether requests go through the transport by whatever session they are made.
        trusted: Whether what a function returns counts although a request failed for good.
        stops: Whether a run is stopped where the provider refuses for good.
        quotas: Those that some origins have of their own.
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
    stops: bool = True
    quotas: Quotas = NO_QUOTAS
    connections: Kept = field(default_factory=Kept, compare=False)
    now: Callable[[], float] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "now", self.sleeper.clock.monotonic)

    @property
    def stopped(self) -> bool:
        """Whether the dispatcher was told to stop: nothing new is begun or waited for."""
        return self.sleeper.awake

    def quota_of(self, origin: str, url: str) -> Quota:
        """The quota that a request goes by."""
        return self.quotas.of(origin, url) or self.quota

    def note(self) -> str:
        """What holds requests back, in a few words; empty if nothing does."""
        notes = [quota.snapshot().note() for quota in (self.quota, *self.quotas.all)]
        return " ".join(dict.fromkeys(filter(None, notes)))

    def stop(self) -> None:
        """End every wait of a call, now and from now on."""
        self.sleeper.wake()
        self.look_again()

    def look_again(self) -> None:
        """Have every call that waits ask whether it should wait on."""
        self.sleeper.look_again()
        self.quota.look_again()
        for quota in self.quotas.all:
            quota.look_again()
