"""What a call holds and remembers: its exchanges, what they took, what failed, whose cookies.

It counts and keeps, and waits for nothing.
"""

from __future__ import annotations

import threading
import weakref
from dataclasses import dataclass
from typing import TYPE_CHECKING

from threadllm.outcome import RequestRecord, Usage

if TYPE_CHECKING:
    from http.cookiejar import CookieJar

    from threadllm.call.terms import Terms


@dataclass(frozen=True, slots=True)
class Failure:
    """A request that failed for good; `owned` if the transport did what retries could do."""

    error: BaseException
    owned: bool


class Exchange:
    """One request in flight, from the moment it may be sent until its body has come.

    Attributes:
        sent: Monotonic seconds when it was sent.
        status: The answer's status, once there is one.
        size: Bytes of the answer's body that have come.
        usage: Tokens that the body named.
        handed_over: Whether the function itself reads the body.
    """

    def __init__(
        self, ledger: Ledger, method: str, url: str, retry: int, *, holds_slot: bool
    ) -> None:
        self.sent = ledger.terms.now()
        self.status: int | None = None
        self.size = 0
        self.usage = Usage()
        self.holds_slot = holds_slot
        self.handed_over = False
        self._thread = threading.get_ident()
        self._ledger = ledger
        self._method, self._url, self._retry = method, url, retry

    @property
    def needs_caller(self) -> bool:
        """Whether its slot may not come back while the caller, within the same call, waits."""
        mine = self._thread == threading.get_ident()
        return self.holds_slot and (self.handed_over or mine)

    def finish(self) -> None:
        """Give the slot back and go on record. Only the first time counts."""
        self._ledger.finish_exchange(self)

    def break_off(self, error: Exception) -> None:
        """Remember that the body broke while the function was reading it."""
        self._ledger.fail(self._url, Failure(error, owned=False))

    def record(self) -> RequestRecord:
        """What is kept of it."""
        elapsed = self._ledger.terms.now() - self.sent
        return RequestRecord(self._method, self._url, self.status, elapsed, self._retry, self.size)


class Ledger:
    """The memory of one call. Threads that the function starts may share it.

    Attributes:
        terms: What the call goes by.
    """

    def __init__(self, terms: Terms) -> None:
        self.terms = terms
        self._lock = threading.Lock()  # guards all that follows; what is one value is read without
        self._open: set[Exchange] = set()
        self._records: list[RequestRecord] = []
        self._usage = Usage()
        self._retries = 0
        self._cookies: dict[int, tuple[weakref.ref[object], CookieJar]] = {}  # by session
        self._failures: dict[str, Failure] = {}  # by URL: the last request there failed for good

    @property
    def records(self) -> tuple[RequestRecord, ...]:
        """Its exchanges, in the order in which they ended."""
        with self._lock:
            return tuple(self._records)

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
        with self._lock:
            failures = [*self._failures.values()]
        owned = [failure for failure in failures if failure.owned]
        return next(reversed(owned or failures), None)

    @property
    def in_flight(self) -> list[Exchange]:
        """Its exchanges that have not ended."""
        with self._lock:
            return [*self._open]

    def add_exchange(self, exchange: Exchange) -> Exchange:
        """Take in an exchange that begins."""
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
