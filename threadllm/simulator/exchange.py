"""One request on its way to its end: which bytes it is sent, with which headers.

The room must not decide what a request deserves, only carry it out.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import TYPE_CHECKING

from threadllm.simulator.dialects.values import JSON, Reply, RequestError, dumped
from threadllm.simulator.latency import AT_ONCE, Pace
from threadllm.simulator.text import encoded
from threadllm.simulator.wire import SENDERS, Delivery

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aiohttp import web

    from threadllm.simulator.clock import FastClock
    from threadllm.simulator.counts import Visit
    from threadllm.simulator.dialects.values import Dialect
    from threadllm.simulator.faults import Fault

_NONE: Mapping[str, str] = MappingProxyType({})
_PAGE = b"<!DOCTYPE html>\n<html><body><h1>Bad gateway</h1></body></html>\n"
_TEXT = "text/plain; charset=utf-8"
_HTML = "text/html; charset=utf-8"


@dataclass(frozen=True, slots=True)
class Exchange:
    """A request, its place in the ledger, the dialect and the clock of its answer."""

    request: web.BaseRequest
    visit: Visit
    dialect: Dialect
    clock: FastClock

    async def deliver(
        self,
        reply: Reply,
        fault: Fault,
        pace: Pace = AT_ONCE,
        headers: Mapping[str, str] = _NONE,
    ) -> web.StreamResponse:
        """Send `reply`, or what `fault` makes of it, and note what was fully sent.

        Raises:
            ConnectionError: The connection is broken, by the client or by the fault.
        """
        sent = _faked(fault, self.dialect) or reply
        own = {"content-type": sent.content_type, "date": self.clock.date(), **headers}
        if self.dialect.request_id:
            own[self.dialect.request_id] = self.visit.name
        own |= fault.sent_headers
        delivery = Delivery(self.request, sent, own, self.clock, pace, fault.interval)
        response = await SENDERS[fault.kind](delivery)
        self.visit.sent(sent.status, genuine=sent is reply)
        return response


def told(dialect: Dialect, problem: RequestError) -> Reply:
    """A problem in the words of a dialect."""
    return Reply(dumped(dialect.error(problem)), problem.status)


def _faked(fault: Fault, dialect: Dialect) -> Reply | None:
    """What a fault has sent instead of the reply, if it does not only mistreat that."""
    problem = RequestError(fault.code, f"The simulator was told to answer {fault.code}.")
    match fault.kind:
        case "status":
            usual = told(dialect, problem)
        case "html":
            usual = Reply(_PAGE, content_type=_HTML)
        case "error_200":
            usual = Reply(dumped({"error": {"code": fault.code, "message": problem.message}}))
        case _:
            return None
    if fault.body is None:
        return usual
    if isinstance(fault.body, str | bytes):
        raw = fault.body if isinstance(fault.body, bytes) else encoded(fault.body)
        return replace(usual, tail=raw, content_type=_TEXT)
    return replace(usual, tail=dumped(fault.body), content_type=JSON)
