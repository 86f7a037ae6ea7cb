"""The quota: what limits one account of a provider, and what has been learnt of it."""

from __future__ import annotations

import math
import threading
from typing import TYPE_CHECKING, NamedTuple

from threadllm.clock import SYSTEM
from threadllm.quota.breaker import Breaker
from threadllm.quota.limit import Limit
from threadllm.quota.line import Line
from threadllm.quota.memory import learnt, learnt_of
from threadllm.quota.origin import Origin
from threadllm.quota.settings import MINUTE, BreakerAction, Settings
from threadllm.quota.sharing import Sharing
from threadllm.quota.slots import Slots
from threadllm.quota.snapshot import KnownLimit, LineSnapshot, Snapshot

if TYPE_CHECKING:
    from collections.abc import Iterable

    from threadllm.clock import Clock
    from threadllm.quota.limit import Limited

_BREAKER = Breaker()


class Units(NamedTuple):
    """Units of one limit of one origin, which are asked for, lent or given back.

    Attributes:
        origin: "scheme://host:port", or "" for calls that name none.
        limit: Which of the stated limits, in their order.
        units: How many.
    """

    origin: str
    limit: int
    units: float


class Pause(NamedTuple):
    """A pause of everyone.

    Attributes:
        origin: As above.
        model: As requests name it, or "".
        seconds: How long from now.
    """

    origin: str
    model: str
    seconds: float


class Quota:
    """What may be sent, and when: shared by as many dispatchers and threads as you like.

    The figures hold for each origin (scheme, host and port) on its own, and so does what is learnt
    of it; only the slots are shared by all. What is not stated is learnt: from what the provider
    says in its headers, and from its 429s. Functions whose requests do not go through the
    transport are charged once a call.

    Args:
        concurrency: Slots: how many requests may be in flight at a time.
        requests_per_minute: Requests that may be sent in a minute, evenly spread.
        tokens_per_minute: Tokens in and out together. They are reserved before a request, by what
            such requests have cost so far, and settled by what its answer says.
        input_tokens_per_minute: Tokens in, where the provider counts them apart.
        output_tokens_per_minute: Tokens out, likewise.
        requests_per_day: Requests in a day; all of them may come at once.
        burst: Requests of a minute that may come at once after a quiet time: what the provider's
            bucket holds. By default what comes in a fifth of a second.
        adaptive: Whether a pace, and a number of requests in flight, is learnt from 429s. Without
            it those only pause everyone.
        breaker: When requests to an origin that fails are held back; None for never. Calls whose
            requests do not pass the transport have none.
        breaker_action: "park" lets them wait, "fail" has them fail with `threadllm.BreakerOpen`.
        retry_budget: Retries that each request allows to its origin, besides 10 a second: what is
            more waits, and with it what comes behind it. None for no such bound.

    Attributes:
        settings: What was stated.
        slots: Those that may be used here.
        sharing: Who else has some.

    Raises:
        OptionError: An argument that cannot be meant.
    """

    def __init__(
        self,
        concurrency: int = 32,
        *,
        requests_per_minute: float | None = None,
        tokens_per_minute: float | None = None,
        input_tokens_per_minute: float | None = None,
        output_tokens_per_minute: float | None = None,
        requests_per_day: float | None = None,
        burst: int | None = None,
        adaptive: bool = True,
        breaker: Breaker | None = _BREAKER,
        breaker_action: BreakerAction = "park",
        retry_budget: float | None = 0.5,
    ) -> None:
        self.settings = Settings(
            concurrency=concurrency,
            requests_per_minute=requests_per_minute,
            tokens_per_minute=tokens_per_minute,
            input_tokens_per_minute=input_tokens_per_minute,
            output_tokens_per_minute=output_tokens_per_minute,
            requests_per_day=requests_per_day,
            burst=burst,
            adaptive=adaptive,
            breaker=breaker,
            breaker_action=breaker_action,
            retry_budget=retry_budget,
        )
        self.concurrency = concurrency
        self.slots = Slots(concurrency)
        self.sharing = Sharing(self.slots, concurrency)
        # Guards the lines, and all that is in them. Reentrant: the collector ends streams, whose
        # slots come back, wherever it strikes.
        self._lock = threading.RLock()
        self._origins: dict[str, Origin] = {}
        self._lines: dict[tuple[str, str], Line] = {}  # read without the lock
        self._clock = SYSTEM
        self._share = 1.0  # of what a provider tells

    def line(self, origin: str, model: str = "") -> Line:
        """The line of a model of an origin.

        Args:
            origin: "scheme://host:port", or "" for calls that name none.
            model: As the request names it, or "".
        """
        line = self._lines.get((origin, model))
        return self._new_line(origin, model) if line is None else line

    def look_again(self) -> None:
        """Have all who wait ask whether they should wait on."""
        self.slots.look_again()
        with self._lock:
            for line in self._lines.values():
                line.entrance.wake_all()

    def lend_out(self, asked: Units) -> tuple[float, float]:
        """Units of a limit that another process asks for, or the seconds until there are some."""
        self.line(asked.origin)
        with self._lock:
            limit = self._origins[asked.origin].limits[asked.limit]
            return limit.lend_out(asked.units, self._clock.monotonic())

    def take_back(self, unused: Units) -> None:
        """Take back what was lent."""
        with self._lock:
            limit = self._origins[unused.origin].limits[unused.limit]
            limit.give_back(unused.units, self._clock.monotonic())

    def pause(self, pauses: Iterable[Pause]) -> None:
        """Have everyone wait, as others were told to."""
        now = self._clock.monotonic()
        for origin, model, seconds in pauses:
            line = self.line(origin, model)
            with self._lock:
                line.gate.shut(now + seconds, now=now, sent=now, asked=True)
                line.entrance.wake_all()

    def timed_by(self, clock: Clock) -> None:
        """Let snapshots be taken by another clock: that of the dispatchers that use it."""
        self._clock = clock

    def snapshot(self) -> Snapshot:
        """How it stands now."""
        with self._lock:
            now = self._clock.monotonic()
            lines = tuple(
                _snapshot(*names, line, now)
                for names, line in self._lines.items()
                if not line.is_free(now)  # there is nothing to be said of it
            )
        in_use = self.slots.in_use + self.sharing.in_use
        return Snapshot(self.concurrency, in_use, lines)

    def _new_line(self, origin: str, model: str) -> Line:
        with self._lock:
            if (origin, model) in self._lines:  # another thread was faster
                return self._lines[origin, model]
            shared = self._origins.get(origin) or self._new_origin(origin)
            line = self._lines[origin, model] = Line(
                " ".join(filter(None, (origin or "calls", model))),
                shared,
                self._lock,
                learnt(origin, model),
                adaptive=self.settings.adaptive,
                paused=self._paused,
                share=self._share,
            )
            return line

    def _limits(self) -> list[Limited]:
        """Those of an origin that the user has stated."""
        return [Limit(*row, "stated") for row in self.settings.stated()]

    def _paused(self) -> None:
        """Hear that everyone is to wait."""

    def _new_origin(self, origin: str) -> Origin:
        shared = Origin(
            self.settings,
            self._limits(),
            learnt_of(origin),
            is_known=bool(origin),
            share=self._share,
        )
        self._origins[origin] = shared
        return shared


def _snapshot(origin: str, model: str, line: Line, now: float) -> LineSnapshot:
    shared, pace = line.origin, line.pace.rate * MINUTE
    limits = (*shared.limits, *line.told.limits.values())
    paces = [one.figure for one in limits if (one.kind, one.period) == ("requests", MINUTE)]
    if pace < math.inf:
        paces.append(pace)
    return LineSnapshot(
        origin=origin,
        model=model,
        slots_in_use=len(shared.in_flight),
        slots=shared.concurrency.allowed,
        parked=line.entrance.parked,
        pace=min(paces, default=None),
        limits=tuple(
            KnownLimit(limit.kind, limit.figure, limit.period, limit.source, limit.left(now))
            for limit in limits
        ),
        paused=max(0.0, line.gate.opens_at - now),
        breaker="closed" if shared.circuit is None else shared.circuit.state,
    )
