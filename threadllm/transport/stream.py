"""A streamed body, seen through: its slot is held until it has come, and its usage is read."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from requests import exceptions as theirs
from urllib3 import HTTPResponse
from urllib3.exceptions import DecodeError, ProtocolError, ReadTimeoutError, SSLError

from threadllm.providers import StreamUsage
from threadllm.transport.deadline import DeadlineExceeded

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from requests import PreparedRequest, Response

    from threadllm.call import Exchange


# What requests makes of urllib3's errors while a body is read.
_AS_REQUESTS: tuple[tuple[type[Exception], type[Exception]], ...] = (
    (ProtocolError, theirs.ChunkedEncodingError),
    (DecodeError, theirs.ContentDecodingError),
    (ReadTimeoutError, theirs.ConnectionError),
    (SSLError, theirs.SSLError),
)


class _Followed(HTTPResponse):
    """urllib3's response, which tells its exchange what passes and when it ends.

    A response becomes one by a change of class: a wrapper would not be what users of
    `response.raw` know, and patched methods on it would keep it alive through a cycle.

    What the garbage collector may run, wherever it strikes, takes no lock of the call's: a body
    left unread and unclosed ends with its call.
    """

    exchange: Exchange
    asked: PreparedRequest | None
    usage: StreamUsage
    _reading = False
    _collected = False

    def stream(
        self, amt: int | None = 2**16, decode_content: bool | None = None
    ) -> Generator[bytes, None, None]:
        """The body in pieces, as `HTTPResponse.stream`: what requests reads through."""
        # Not with `_told`: where this is dropped unread, that would keep the response for a while.
        self._reading = True
        try:
            self._go_on()
            for chunk in super().stream(amt, decode_content):
                self._go_on()
                self._count(chunk)
                yield chunk
            self._go_on()
        except Exception as error:
            self._break_off(error)
            raise
        finally:
            self._reading = False
        self._end()

    def read(
        self,
        amt: int | None = None,
        decode_content: bool | None = None,
        cache_content: bool = False,
    ) -> bytes:
        """The body, or some of it, as `HTTPResponse.read`."""
        if self._reading:  # `stream` reads through here, and counts itself
            return super().read(amt, decode_content, cache_content)
        with self._told():
            data = super().read(amt, decode_content, cache_content)
        self._count(data or b"")
        if self.closed:
            self._end()
        return data

    def close(self) -> None:
        """Close the connection: the reader wants no more."""
        super().close()
        if not self._collected:
            self._end()

    def release_conn(self) -> None:
        """Give the connection back, as `HTTPResponse.release_conn`: from then on it is others'."""
        if not self._collected:
            self.exchange.travels(None)
        super().release_conn()

    def __del__(self) -> None:
        self._collected = True
        super().__del__()

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Tell the exchange what reading ends in, and give out nothing after the deadline."""
        self._reading = True
        try:
            self._go_on()
            yield
            self._go_on()
        except Exception as error:
            self._break_off(error)
            raise
        finally:
            self._reading = False

    def _count(self, chunk: bytes) -> None:
        self.exchange.size += len(chunk)
        self.usage.feed(chunk)
        self.exchange.usage = self.usage.usage

    def _go_on(self) -> None:
        """See that the deadline has not passed: what came of a broken connection may be anything.

        Raises:
            DeadlineExceeded: It has ended the call.
        """
        if self.exchange.expired:
            raise DeadlineExceeded(self.exchange.overdue, request=self.asked)

    def _break_off(self, error: Exception) -> None:
        """End with an error.

        Raises:
            DeadlineExceeded: In its place, where the deadline is why.
        """
        try:
            if not isinstance(error, DeadlineExceeded):
                self._go_on()
        except DeadlineExceeded as exceeded:
            self._end_with(exceeded)
            raise exceeded from error
        self._end_with(error)

    def _end_with(self, error: Exception) -> None:
        owned = isinstance(error, DeadlineExceeded)
        self.exchange.break_off(_as_requests(error), owned=owned)
        if owned:  # nobody reads on, though the error keeps this, and its socket, for as long
            super().close()
        self._end()

    def _end(self) -> None:
        self.usage.close()
        self.exchange.usage = self.usage.usage
        self.exchange.finish()


def _as_requests(error: Exception) -> Exception:
    """The error that the function sees, if it reads through requests."""
    for kind, seen in _AS_REQUESTS:
        if isinstance(error, kind):
            wrapped = seen(error)
            wrapped.__cause__ = error
            return wrapped.with_traceback(error.__traceback__)
    return error


def follow(response: Response, exchange: Exchange) -> None:
    """Let an exchange last until the response's body has been read or closed.

    A body that is not urllib3's, from an adapter of the user's own, cannot be followed: its
    exchange ends with its headers, like one without a body.
    """
    raw: Any = response.raw
    if type(raw) is HTTPResponse and not raw.closed and raw.length_remaining != 0:
        exchange.handed_over = True
        exchange.travels(raw.connection)  # that of an adapter of the user's own has not told it
        vars(raw).update(exchange=exchange, asked=response.request, usage=StreamUsage())
        raw.__class__ = _Followed
        if exchange.is_left_over:
            exchange.finish()
    else:
        if type(raw) is HTTPResponse and raw.length_remaining == 0:
            raw.drain_conn()  # the connection goes back before the slot does
        exchange.finish()
