"""One request in flight: what is known of it, what it travels on, and how it is broken off."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from threadllm.exceptions import CallExpired
from threadllm.outcome import RequestRecord, Usage

if TYPE_CHECKING:
    from threadllm.call.deadline import Limit
    from threadllm.call.terms import Terms
    from threadllm.quota import Line, Permit, Slots


@dataclass(frozen=True, slots=True)
class Failure:
    """A request that failed for good; `owned` if the transport did what retries could do."""

    error: BaseException
    owned: bool


class Holder(Protocol):
    """Who holds exchanges, and is told what becomes of them: a call."""

    terms: Terms
    limit: Limit

    @property
    def expired(self) -> bool:
        """Whether its deadline has ended it."""

    @property
    def has_ended(self) -> bool:
        """Whether it is over."""

    def finish_exchange(self, exchange: Exchange) -> None:
        """Take an exchange off those in flight, the first time."""

    def fail(self, url: str, failure: Failure) -> None:
        """Remember that a request failed for good."""


class Exchange:
    """One request in flight, from the moment it may be sent until its body has come.

    Attributes:
        sent: Monotonic seconds when it was sent.
        line: Where it waited for its turn, and what is told what becomes of it.
        permit: That it might be sent.
        status: The answer's status, once there is one.
        answered: Monotonic seconds when the answer's headers had come, if its body came later.
        size: Bytes of the answer's body that have come.
        usage: Tokens that the body named.
        handed_over: Whether the function itself reads the body.
        is_cut: Whether its connection was shut down under it, so that what has come may lack its
            end though nothing says so.
    """

    status: int | None = None
    answered: float | None = None
    size = 0
    usage = Usage()
    handed_over = False
    is_cut = False
    # Guarded by _travelling:
    _connection: Any = None
    _sock: Any = None  # remembered: http.client hands it on where an answer is the last

    def __init__(
        self,
        holder: Holder,
        method: str,
        url: str,
        retry: int,
        line: Line,
        permit: Permit,
        slots: Slots | None,
    ) -> None:
        self.sent = permit.at
        self.line = line
        self.permit = permit
        self._slots = slots
        self._thread = threading.get_ident()
        self._holder = holder
        self._method, self._url, self._retry = method, url, retry
        # Guards what it travels on, which is others' once given back. Reentrant, and not the
        # call's: the collector may strike under either, and ends streams.
        self._travelling = threading.RLock()

    @property
    def needs_caller(self) -> bool:
        """Whether its slot may not come back while the caller, within the same call, waits."""
        mine = self._thread == threading.get_ident()
        return self._slots is not None and (self.handed_over or mine)

    @property
    def overdue(self) -> str:
        """What there is to say once the deadline has passed."""
        return f"{self._method} {self._url}: {self._holder.limit}"

    @property
    def expired(self) -> bool:
        """Whether the deadline has ended its call."""
        return self._holder.expired

    @property
    def is_left_over(self) -> bool:
        """Whether its call is over, so that nobody ends it who forgets to read it."""
        return self._holder.has_ended

    def travels(self, connection: Any) -> None:
        """Learn what it travels on: told before something is sent, and again once connected.

        Args:
            connection: A connection whose `sock` may still be None; None once the connection is
                free for others, which must be told before they can have it.

        Raises:
            CallExpired: The deadline has passed. Nothing is to be sent.
        """
        with self._travelling:
            if connection is not self._connection:
                self._connection, self._sock = connection, None
            if connection is not None and connection.sock is not None:
                self._sock = connection.sock
        if connection is not None and self.expired:
            raise CallExpired(self.overdue)

    def note_headers(self) -> None:
        """Remember that the answer's headers have come, and its body not yet."""
        self.answered = self._holder.terms.now()

    def cut(self) -> bool:
        """Shut the socket down, if there is one: whoever reads or writes there is told of an end.

        It is not closed: its number might be another's a moment later.

        Returns:
            Whether a connection is known; if it has no socket yet, that will not be used.
        """
        with self._travelling:
            connection = self._connection
            if connection is None:
                return False
            sock = _bare(connection.sock or self._sock)
            if sock is not None:
                self.is_cut = True
                with suppress(OSError):  # it is closed already, or the peer was faster
                    # As a plain one, though it may be TLS's: that would go on without encryption.
                    socket.socket.shutdown(sock, socket.SHUT_RDWR)
            return True

    def finish(self) -> None:
        """Give the slot back and go on record. Only the first time counts."""
        with self._travelling:
            self._connection = self._sock = None
        self._holder.finish_exchange(self)

    def break_off(self, error: Exception, *, owned: bool = False) -> None:
        """Remember that the body broke while the function was reading it."""
        self._holder.fail(self._url, Failure(error, owned=owned))

    def give_back(self) -> None:
        """Give back the permit, and the slot if it has one."""
        try:
            self.line.leave(self.permit, self.usage, self._holder.terms.now())
        finally:
            if self._slots is not None:
                self._slots.release()

    def record(self) -> RequestRecord:
        """What is kept of it."""
        elapsed = self._holder.terms.now() - self.sent
        return RequestRecord(self._method, self._url, self.status, elapsed, self._retry, self.size)


def _bare(sock: Any) -> socket.socket | None:
    """The socket itself, where others wrap it: TLS within TLS, pyOpenSSL, a stand-in."""
    while not (sock is None or isinstance(sock, socket.socket)):
        sock = getattr(sock, "socket", None) or getattr(sock, "sock", None)
    return sock
