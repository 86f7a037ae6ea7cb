"""urllib3's connections, which tell their exchange that they serve it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from urllib3.connection import HTTPConnection, HTTPSConnection

from threadllm.transport.inflight import in_flight
from threadllm.transport.wire.idle import CountedConnection
from threadllm.transport.wire.kernel import (
    AT_ONCE,
    has_ended,
    keeps_timeouts,
    send_all,
    set_timeouts,
    state_of,
)
from threadllm.transport.wire.tape import Tape
from threadllm.transport.wire.tls import SharingConnection

if TYPE_CHECKING:
    from collections.abc import Callable

    from threadllm.call import Exchange
    from threadllm.transport.wire.kernel import State
    from threadllm.transport.wire.timeouts import Timeouts

T = TypeVar("T", bound=type)


def named_as(original: type) -> Callable[[T], T]:
    """Name a class as another is named, which error texts show."""

    def name(cls: T) -> T:
        cls.__name__, cls.__qualname__ = original.__name__, original.__qualname__
        cls.__module__ = original.__module__
        return cls

    return name


@named_as(HTTPConnection)
class Connection(CountedConnection):
    """A connection of a dispatcher.

    Attributes:
        refusal: What connecting has ended in, for urllib3 to meet.
    """

    refusal: Exception | None = None
    _plain: type[HTTPConnection] = HTTPConnection
    _served: Exchange | None = None
    _before: State | None = None  # as it was when it was last ready
    _kept: Timeouts | None = None  # what the kernel keeps, if it does
    _read: int | None = None  # bytes that were read from its socket, as far as that is known

    def __reduce__(self) -> Any:
        """Be pickled as urllib3's, whose name this has: errors hold the connection they met."""
        return self._plain, (self.host, self.port)

    # What urllib3 calls.

    def connect(self) -> None:
        """Open the connection.

        Raises:
            Exception: What an earlier attempt ended in, if that is to be met here.
        """
        refusal, self.refusal = self.refusal, None
        if refusal is not None:
            raise refusal
        self._kept = self._before = None
        self.serve()
        super().connect()
        self._read = 0 if keeps_timeouts(self.sock) else None
        self.serve()  # now it has a socket

    def request(self, *args: Any, **options: Any) -> None:
        """Send a request, as urllib3 does, which has Python keep the timeouts."""
        self.serve()
        if self._kept is not None:
            set_timeouts(self.sock, None, None)
            self._kept = None
        super().request(*args, **options)

    def getresponse(self) -> Any:
        """The answer, as urllib3 reads it; with that, what was played is over."""
        self._read = None  # nobody counts what urllib3 reads
        response = super().getresponse()
        if isinstance(self.sock, Tape):
            self.sock = self.sock.sock
        return response

    # What the short way calls.

    def send_at_once(self, request: bytes, timeouts: Timeouts) -> None:
        """Send a request in one piece, and set the timeout for what is read then.

        Raises:
            OSError: It could not be sent; BlockingIOError, or TimeoutError, not in time.
        """
        if keeps_timeouts(self.sock):
            if self._kept != timeouts:
                if self._kept is None:
                    self.sock.settimeout(None)
                set_timeouts(self.sock, *timeouts)
                self._kept = timeouts
            send_all(self.sock, request)
            return
        if len(request) > AT_ONCE:
            self.sock.settimeout(timeouts.connect)
        self.sock.sendall(request)
        if self.sock.gettimeout() != timeouts.read:  # to set it is a call to the kernel
            self.sock.settimeout(timeouts.read)

    def is_ready(self) -> bool:
        """Whether it is open still, and nothing has come unasked: since then `has_missed` counts.

        What has come may have done so before it was given back, so it does not do to compare with
        what had come then.
        """
        known = self._before = state_of(self.sock) if self.sock else None
        if known is None or self._read is None:
            connected: bool = self.is_connected
            if connected and known and keeps_timeouts(self.sock):
                self._read = known.received  # nothing is left to be read
            return connected
        return known.established and known.received == self._read

    def has_read(self, count: int) -> None:
        """Count bytes that were read from the socket."""
        if self._read is not None:
            self._read += count

    def serve(self) -> None:
        """Tell the exchange in flight that this is its connection."""
        self._served = in_flight.exchange
        if self._served is not None:
            self._served.travels(self)

    def note_headers(self) -> None:
        """Tell the exchange that the headers have come, and the body not yet."""
        if self._served is not None:
            self._served.note_headers()

    def retire(self) -> None:
        """Serve no exchange any longer."""
        served, self._served = self._served, None
        if served is not None:
            served.travels(None)

    def has_missed(self, *, sent: bool) -> bool:
        """Whether the other side has certainly read nothing since this was last ready.

        Args:
            sent: Whether a whole request has been sent. If its last byte could not be, nobody
                has it; otherwise the connection must have ended, and not been reset.
        """
        before = self._before
        known = state_of(self.sock) if before else None
        if known is None or before is None or not known.acknowledged == before.acknowledged > 0:
            return False
        return not sent or has_ended(self.sock, before)


@named_as(HTTPSConnection)
class SecureConnection(Connection, SharingConnection):
    """The same with TLS."""

    _plain = HTTPSConnection
