"""What a call holds and remembers: its exchanges, what they took, what failed, whose cookies.

It counts and keeps, and waits for nothing.
"""

from __future__ import annotations

import threading
import weakref
from typing import TYPE_CHECKING

from threadllm.call.deadline import NO_LIMIT
from threadllm.outcome import RequestRecord, Usage

if TYPE_CHECKING:
    from collections.abc import Iterator
    from http.cookiejar import CookieJar

    from typing_extensions import Self

    from threadllm.call.deadline import Limit
    from threadllm.call.exchange import Exchange, Failure
    from threadllm.call.run import Run
    from threadllm.call.terms import Terms
    from threadllm.quota import Need


class Ledger:
    """The memory of one call. Threads that the function starts may share it.

    Attributes:
        terms: What the call goes by.
        limit: The deadline of its item, as long as the call is running.
        need: Tokens that each of its requests will take, where somebody has said so.
        run: What it is part of, and may be stopped with.
        submitter: The call that has submitted it, and may wait for it.
        heeded: Whether somebody was told that it must end.
        lock: Guards what the call holds; what its exchanges travel on has locks of its own. It is
            reentrant, as the collector may end a stream wherever it strikes.
    """

    need: Need | None = None
    heeded = False  # no lock: once true it stays
    # Guarded by lock, as all that follows; what is one value is read without.
    _expired = False
    _ended: float | None = None  # monotonic seconds
    _usage = Usage()
    _retries = 0

    def __init__(
        self,
        terms: Terms,
        limit: Limit = NO_LIMIT,
        run: Run | None = None,
        submitter: Self | None = None,
    ) -> None:
        self.terms = terms
        self.limit = limit
        self.run = run
        self.submitter = submitter
        self.lock = threading.RLock()
        self._open: set[Exchange] = set()
        self._records: list[RequestRecord] = []
        self._cookies: dict[int, tuple[weakref.ref[object], CookieJar]] = {}  # by session
        self._failures: dict[str, Failure] = {}  # by URL: the last request there failed for good

    @property
    def records(self) -> tuple[RequestRecord, ...]:
        """Its exchanges, in the order in which they ended."""
        with self.lock:
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
        if not self._failures:
            return None
        with self.lock:
            failures = [*self._failures.values()]
        owned = [failure for failure in failures if failure.owned]
        return next(reversed(owned or failures), None)

    @property
    def in_flight(self) -> list[Exchange]:
        """Its exchanges that have not ended."""
        with self.lock:
            return [*self._open]

    @property
    def lineage(self) -> Iterator[Self]:
        """It, the call that has submitted it, and so on."""
        one: Self | None = self
        while one is not None:
            yield one
            one = one.submitter

    @property
    def has_ended(self) -> bool:
        """Whether it is over, though the function may have left something running."""
        return self._ended is not None

    @property
    def expired(self) -> bool:
        """Whether its deadline has ended it: it has been told, or was told while it ran."""
        return self._expired

    @property
    def late(self) -> bool:
        """Whether its deadline has passed, be it that nobody has told it yet."""
        limit = self.limit
        return self._expired or (limit is not NO_LIMIT and self.terms.now() >= limit.moment)

    def must_end(self) -> bool:
        """Whether its deadline has passed. Whoever is told so is to end with that, and soon."""
        self.heeded = self.heeded or self.late
        return self.heeded

    def bound(self, limit: Limit) -> None:
        """Let it have no longer than that, if it is running."""
        with self.lock:
            if self._ended is None and limit.moment < self.limit.moment:
                self.limit = limit

    def mark_expired(self) -> None:
        """Let it have been ended by its deadline: from now on no exchange is taken in."""
        with self.lock:
            self._expired = True

    def add_exchange(self, exchange: Exchange) -> bool:
        """Take in an exchange that begins; whether that was in time."""
        with self.lock:
            in_time = not self.late
            if in_time:
                self._open.add(exchange)
        return in_time

    def finish_exchange(self, exchange: Exchange) -> None:
        """Take an exchange off those in flight: see `Exchange.finish`."""
        with self.lock:
            if exchange not in self._open:
                return
            self._open.remove(exchange)
            self._records.append(exchange.record())
            self._usage += exchange.usage
        exchange.give_back()
        self.terms.tally.count_request(exchange.usage)

    def charge_retry(self) -> None:
        """Count a try after the first against the item."""
        with self.lock:
            self._retries += 1
        self.terms.tally.count("retries")

    def fail(self, url: str, failure: Failure) -> None:
        """Remember that a request failed for good, whatever the function makes of it."""
        with self.lock:
            self._failures.pop(url, None)
            self._failures[url] = failure

    def succeed(self, url: str) -> None:
        """Forget an earlier failure at a URL: the function has mended it."""
        if self._failures:
            with self.lock:
                self._failures.pop(url, None)

    def cookies_of(self, session: object) -> CookieJar | None:
        """The cookie jar that stands in for a session's own, for this call alone."""
        with self.lock:
            lent_to, jar = self._cookies.get(id(session), (None, None))
        return jar if lent_to is not None and lent_to() is session else None

    def lend_cookies(self, session: object, jar: CookieJar) -> None:
        """Let a jar stand in for a session's own. Sessions go by identity: some cannot hash."""
        with self.lock:
            self._cookies[id(session)] = weakref.ref(session), jar
