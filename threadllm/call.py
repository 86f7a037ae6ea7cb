"""The call in progress: what ties a request to its item, and lends it a slot.

The dispatcher begins and ends a call; the transport opens an exchange in it for each request.
The call is found through a context variable. It knows neither threads nor HTTP libraries.
"""

from __future__ import annotations

import threading
import weakref
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING

from threadllm.exceptions import CallCancelled
from threadllm.outcome import RequestRecord, Usage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from http.cookiejar import CookieJar

    from threadllm.clock import Sleeper
    from threadllm.progress import Tally
    from threadllm.quota import Gate, Quota
    from threadllm.retry import Retry

current: ContextVar[Call | None] = ContextVar("threadllm_call", default=None)

_STOPPED = "the dispatcher was told to stop while this call waited"


@dataclass(frozen=True, slots=True)
class Terms:
    """What every call of one dispatcher goes by.

    Attributes:
        quota: Lends the slots.
        retry: Says what is tried again.
        timeout: Seconds to connect and seconds to wait for bytes, for requests that set none.
        sleeper: Parks calls; woken when the dispatcher is told to stop.
        tally: Counts.
        patched: Whether requests of the user's own sessions go through the transport.
    """

    quota: Quota
    retry: Retry
    timeout: tuple[float, float]
    sleeper: Sleeper
    tally: Tally
    patched: bool

    def now(self) -> float:
        """Monotonic seconds."""
        return self.sleeper.clock.monotonic()


class Exchange:
    """One request in flight, from the moment it may be sent until its body has come.

    Attributes:
        sent: Monotonic seconds when it was sent.
        status: The answer's status, once there is one.
        size: Bytes of the answer's body that have come.
        usage: Tokens that the body named.
        handed_over: Whether the function itself reads the body.
    """

    def __init__(self, call: Call, method: str, url: str, retry: int, *, holds_slot: bool) -> None:
        self.sent = call.terms.now()
        self.status: int | None = None
        self.size = 0
        self.usage = Usage()
        self.holds_slot = holds_slot
        self.handed_over = False
        self._thread = threading.get_ident()
        self._call = call
        self._method, self._url, self._retry = method, url, retry

    @property
    def needs_caller(self) -> bool:
        """Whether its slot may not come back while the caller, within the same call, waits."""
        mine = self._thread == threading.get_ident()
        return self.holds_slot and (self.handed_over or mine)

    def finish(self) -> None:
        """Give the slot back and go on record. Only the first time counts."""
        self._call.finish_exchange(self)

    def break_off(self, error: Exception) -> None:
        """Remember that the body broke while the function was reading it."""
        self._call.fail(self._url, Failure(error, owned=False))

    def record(self) -> RequestRecord:
        """What is kept of it."""
        elapsed = self._call.terms.now() - self.sent
        return RequestRecord(self._method, self._url, self.status, elapsed, self._retry, self.size)


@dataclass(frozen=True, slots=True)
class Failure:
    """A request that failed for good; `owned` if the transport did what retries could do."""

    error: BaseException
    owned: bool


class Call:
    """One execution of the user's function on an item.

    It begins with a slot in hand, which its first request uses up; each further request takes
    its own. Threads that the function starts may share it, so its fields have a lock.

    Attributes:
        terms: What it goes by.
    """

    def __init__(self, terms: Terms) -> None:
        self.terms = terms
        self._lock = threading.Lock()  # guards all that follows
        self._slot_in_hand = False
        self._open: set[Exchange] = set()
        self._records: list[RequestRecord] = []
        self._usage = Usage()
        self._retries = 0
        self._cookies: dict[int, tuple[weakref.ref[object], CookieJar]] = {}  # by session
        self._failures: dict[str, Failure] = {}  # by URL: the last request there failed for good
        self._waited = 0.0
        self._began = self._ended = 0.0

    # For the dispatcher.

    def begin(self) -> None:
        """Wait for the open gate of those that name no origin, and for a slot.

        Raises:
            CallCancelled: The dispatcher was told to stop meanwhile.
        """
        self._slot_in_hand = self._admitted(self.terms.quota.gate(""))
        if self.terms.sleeper.awake:
            self._return_slot_in_hand()
            raise CallCancelled(_STOPPED)
        self._began = self.terms.now()

    def end(self) -> None:
        """Give back all that the call still holds, and count what it took."""
        with self._lock:
            left = list(self._open)
            self._ended = self.terms.now()
        for exchange in left:
            exchange.finish()
        self._return_slot_in_hand()
        self.terms.tally.count("busy", self.elapsed)

    @property
    def began(self) -> float:
        """Monotonic seconds when it had its slot."""
        return self._began

    @property
    def elapsed(self) -> float:
        """Seconds that it ran, its waits for slots, gates and retries not counted."""
        return max(0.0, self._ended - self._began - self._waited)

    @property
    def records(self) -> list[RequestRecord]:
        """Its exchanges, in the order in which they ended."""
        return self._records

    @property
    def usage(self) -> Usage:
        """Tokens that its answers named."""
        return self._usage

    @property
    def retries(self) -> int:
        """Tries after a first one that the transport charged."""
        return self._retries

    @property
    def failure(self) -> Failure | None:
        """A request that failed for good, none to its URL having succeeded later.

        Of several, one that the transport owns, else the last.
        """
        failures = [*self._failures.values()]
        owned = [failure for failure in failures if failure.owned]
        return next(reversed(owned or failures), None)

    # For the transport.

    def open(self, method: str, url: str, origin: str, *, retry: int) -> Exchange:
        """Wait for the origin's gate and for a slot; the request may then be sent.

        Raises:
            CallCancelled: The dispatcher was told to stop meanwhile.
        """
        with self._waiting():
            holds_slot = self._admitted(self.terms.quota.gate(origin))
        exchange = Exchange(self, method, url, retry, holds_slot=holds_slot)
        with self._lock:
            self._open.add(exchange)
        return exchange

    def finish_exchange(self, exchange: Exchange) -> None:
        """Take an exchange off those in flight: see `Exchange.finish`."""
        with self._lock:
            if exchange not in self._open:
                return
            self._open.remove(exchange)
            self._records.append(exchange.record())
            self._usage += exchange.usage
        if exchange.holds_slot:
            self.terms.quota.slots.release()
        tally = self.terms.tally
        tally.count("requests")
        tally.count("input_tokens", exchange.usage.input_tokens)
        tally.count("output_tokens", exchange.usage.output_tokens)

    def park(self, moment: Callable[[], float]) -> None:
        """Wait without a slot until the monotonic time `moment()`, asked again on waking.

        Raises:
            CallCancelled: The dispatcher was told to stop meanwhile.
        """
        with self._waiting():
            self._park(moment)

    def charge_retry(self) -> None:
        """Count a try after the first against the item."""
        with self._lock:
            self._retries += 1
        self.terms.tally.count("retries")

    def fail(self, url: str, failure: Failure) -> None:
        """Remember that a request failed for good, whatever the function makes of it."""
        with self._lock:
            self._failures.pop(url, None)
            self._failures[url] = failure

    def succeed(self, url: str) -> None:
        """Forget an earlier failure at a URL: the function has mended it."""
        with self._lock:
            self._failures.pop(url, None)

    def cookies_of(self, session: object) -> CookieJar | None:
        """The cookie jar that stands in for a session's own, for this call alone."""
        with self._lock:
            lent_to, jar = self._cookies.get(id(session), (None, None))
        return jar if lent_to is not None and lent_to() is session else None

    def lend_cookies(self, session: object, jar: CookieJar) -> None:
        """Let a jar stand in for a session's own. Sessions go by identity: some cannot hash."""
        with self._lock:
            self._cookies[id(session)] = weakref.ref(session), jar

    # Within.

    @contextmanager
    def _waiting(self) -> Iterator[None]:
        since = self.terms.now()
        try:
            yield
        finally:
            with self._lock:
                self._waited += self.terms.now() - since

    def _admitted(self, gate: Gate) -> bool:
        """Wait until the gate is open with a slot at hand; whether that slot is the request's."""
        while True:
            self._park(lambda: gate.opens_at)
            holds_slot = self._take_slot()
            if gate.opens_at <= self.terms.now():
                return holds_slot
            if holds_slot:  # the gate was shut while the slot was waited for
                self.terms.quota.slots.release()

    def _take_slot(self) -> bool:
        with self._lock:
            in_hand, self._slot_in_hand = self._slot_in_hand, False
            ride = any(exchange.needs_caller for exchange in self._open)
        # A call that reads a stream holds a slot: to wait for another would be to wait for
        # itself. Its further requests ride along where no slot is free.
        return in_hand or self.terms.quota.slots.acquire(blocking=not ride)

    def _return_slot_in_hand(self) -> None:
        with self._lock:
            in_hand, self._slot_in_hand = self._slot_in_hand, False
        if in_hand:
            self.terms.quota.slots.release()

    def _park(self, moment: Callable[[], float]) -> None:
        if moment() <= self.terms.now():
            return
        self._return_slot_in_hand()
        with self.terms.tally.holding("parked"):
            reached = self.terms.sleeper.sleep_until(moment)
        if not reached:
            raise CallCancelled(_STOPPED)
