"""A streamed body, seen through: its slot is held until it has come, and its usage is read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from urllib3 import HTTPResponse

from threadllm.providers import StreamUsage

if TYPE_CHECKING:
    from collections.abc import Generator

    from requests import Response

    from threadllm.call import Exchange


class _Followed(HTTPResponse):
    """urllib3's response, which tells its exchange what passes and when it ends.

    A response becomes one by a change of class: a wrapper would not be what users of
    `response.raw` know, and patched methods on it would keep it alive through a cycle.
    """

    exchange: Exchange

    def stream(
        self, amt: int | None = 2**16, decode_content: bool | None = None
    ) -> Generator[bytes, None, None]:
        """The body in pieces, as `HTTPResponse.stream`: what requests reads through."""
        exchange, usage = self.exchange, StreamUsage()
        try:
            for chunk in super().stream(amt, decode_content):
                exchange.size += len(chunk)
                usage.feed(chunk)
                yield chunk
        except Exception as error:
            exchange.break_off(error)
            raise
        finally:
            usage.close()
            exchange.usage = usage.usage
            exchange.finish()

    def release_conn(self) -> None:
        """Give the connection back: all has been read, or the reader wants no more."""
        super().release_conn()
        self.exchange.finish()


def follow(response: Response, exchange: Exchange) -> None:
    """Let an exchange last until the response's body has been read or closed.

    A body that is not urllib3's, from an adapter of the user's own, cannot be followed: its
    exchange ends with its headers.
    """
    raw: Any = response.raw
    if type(raw) is HTTPResponse and not raw.closed:
        vars(raw)["exchange"] = exchange
        raw.__class__ = _Followed
    else:
        exchange.finish()
