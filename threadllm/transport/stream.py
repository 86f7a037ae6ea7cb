"""A streamed body, seen through: its slot is held until it has come, and its usage is read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from requests import exceptions as theirs
from urllib3 import HTTPResponse
from urllib3.exceptions import DecodeError, ProtocolError, ReadTimeoutError, SSLError

from threadllm.providers import StreamUsage

if TYPE_CHECKING:
    from collections.abc import Generator

    from requests import Response

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

    What the garbage collector may run, wherever it strikes, takes no lock here: a body left
    unread and unclosed ends with its call.
    """

    exchange: Exchange
    usage: StreamUsage
    _reading = False
    _collected = False

    def stream(
        self, amt: int | None = 2**16, decode_content: bool | None = None
    ) -> Generator[bytes, None, None]:
        """The body in pieces, as `HTTPResponse.stream`: what requests reads through."""
        self._reading = True
        try:
            for chunk in super().stream(amt, decode_content):
                self._count(chunk)
                yield chunk
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
        self._reading = True
        try:
            data = super().read(amt, decode_content, cache_content)
        except Exception as error:
            self._break_off(error)
            raise
        finally:
            self._reading = False
        self._count(data or b"")
        if self.closed:
            self._end()
        return data

    def close(self) -> None:
        """Close the connection: the reader wants no more."""
        super().close()
        if not self._collected:
            self._end()

    def __del__(self) -> None:
        self._collected = True
        super().__del__()

    def _count(self, chunk: bytes) -> None:
        self.exchange.size += len(chunk)
        self.usage.feed(chunk)
        self.exchange.usage = self.usage.usage

    def _break_off(self, error: Exception) -> None:
        self.exchange.break_off(_as_requests(error))
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
        vars(raw).update(exchange=exchange, usage=StreamUsage())
        raw.__class__ = _Followed
    else:
        exchange.finish()
