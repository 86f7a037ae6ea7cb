"""Sending: a reply as it should be, and every way in which it should not.

The room knows sockets and the event loop; it must not know why a reply is sent so. A sender that
returns has sent all of its reply; one that broke the connection, or found it broken, raises
`ConnectionError`.
"""

from __future__ import annotations

import asyncio
import os
import socket
import struct
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, NoReturn, TypeAlias

from aiohttp import web

from threadllm.simulator.latency import AT_ONCE, Pace

if TYPE_CHECKING:
    from threadllm.simulator.clock import FastClock
    from threadllm.simulator.dialects.values import Reply
    from threadllm.simulator.faults import Kind

# On, for 0 seconds: closing sends RST.
_LINGER = struct.pack("hh" if os.name == "nt" else "ii", 1, 0)
_BROKEN = "broken by a fault"
_ENDLESS = b"HTTP/1.1 200 OK\r\nx-drip: "


@dataclass(frozen=True, slots=True)
class Delivery:
    """A reply on its way.

    Attributes:
        request: What it answers.
        reply: What is sent.
        headers: Its headers, names in lower case.
        clock: By which it is sent.
        pace: When.
        interval: Seconds between the bytes of a drip, and before a reset in mid-body.
    """

    request: web.BaseRequest
    reply: Reply
    headers: Mapping[str, str]
    clock: FastClock
    pace: Pace = AT_ONCE
    interval: float = 0.0

    async def begin(self, length: int | None) -> web.StreamResponse:
        """Send the headers; a length of None is left open."""
        response = web.StreamResponse(status=self.reply.status, headers=self.headers)
        response.content_length = length
        await response.prepare(self.request)
        return response

    @property
    def transport(self) -> asyncio.Transport:
        """The connection.

        Raises:
            ConnectionError: The client has left.
        """
        if (transport := self.request.transport) is None:
            raise ConnectionError("the client has left")
        return transport


Sender: TypeAlias = Callable[[Delivery], Awaitable[web.StreamResponse]]


async def send(delivery: Delivery) -> web.StreamResponse:
    """The reply as it should be: whole, or a token at a time."""
    return await (_stream if delivery.reply.pieces else _whole)(delivery)


async def _whole(delivery: Delivery) -> web.StreamResponse:
    reply = delivery.reply
    if seconds := delivery.pace.total(reply.tokens):
        await delivery.clock.sleep(seconds)
    response = web.Response(body=reply.tail, status=reply.status, headers=delivery.headers)
    await response.prepare(delivery.request)
    await response.write_eof()
    return response


async def _stream(delivery: Delivery) -> web.StreamResponse:
    reply, pace, clock = delivery.reply, delivery.pace, delivery.clock
    start = clock.now() + pace.first
    await clock.sleep(pace.first)
    response = await delivery.begin(None)
    if not pace.token:
        await response.write_eof(reply.body)
        return response
    await response.write(reply.head)
    for count, piece in enumerate(reply.pieces, 1):
        await response.write(piece)
        await clock.sleep(start + count * pace.token - clock.now())
    await response.write_eof(reply.tail)
    return response


async def _hang(_delivery: Delivery) -> web.StreamResponse:
    """Nothing, until the client leaves or the server stops: either cancels this."""
    forever: asyncio.Future[web.StreamResponse] = asyncio.get_running_loop().create_future()
    return await forever


async def _header_drip(delivery: Delivery) -> web.StreamResponse:
    transport = delivery.transport
    transport.write(_ENDLESS)
    while True:
        transport.write(b".")
        await delivery.clock.sleep(delivery.interval)


async def _body_drip(delivery: Delivery) -> web.StreamResponse:
    body = delivery.reply.body
    response = await delivery.begin(len(body))
    for place in range(len(body) - 1):
        await response.write(body[place : place + 1])
        await delivery.clock.sleep(delivery.interval)
    await response.write_eof(body[-1:])
    return response


async def _reset(delivery: Delivery) -> web.StreamResponse:
    _abort(delivery.transport)
    raise ConnectionResetError(_BROKEN)


async def _reset_body(delivery: Delivery) -> web.StreamResponse:
    return await _break(delivery, _abort)


async def _short_body(delivery: Delivery) -> web.StreamResponse:
    return await _break(delivery, _close)


async def _break(delivery: Delivery, end: Callable[[asyncio.Transport], None]) -> NoReturn:
    body = delivery.reply.body
    half = len(body) // 2
    response = await delivery.begin(len(body))
    await response.write(body[:half])
    # What was written goes out before a reset drops it.
    await delivery.clock.sleep(delivery.interval)
    end(delivery.transport)
    raise ConnectionResetError(_BROKEN)


def _close(transport: asyncio.Transport) -> None:
    transport.close()


def _abort(transport: asyncio.Transport) -> None:
    sock = transport.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER)
    transport.abort()


SENDERS: Mapping[Kind, Sender] = {
    "status": send,
    "hang": _hang,
    "header_drip": _header_drip,
    "body_drip": _body_drip,
    "reset": _reset,
    "reset_body": _reset_body,
    "short_body": _short_body,
    "html": send,
    "error_200": send,
    "ok": send,
}
