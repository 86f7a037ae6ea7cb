"""The provider: what becomes of each request that reaches it.

In order: its Host is checked; the control address answers; the request is counted and read; the
script, if there is one, says what it gets; the limits let it in or refuse it; a fault hits it or
the answer is sent. One event loop runs all of it, so nothing here is locked. The room must not
know of threads.
"""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING

from aiohttp import web

from threadllm.exceptions import OptionError
from threadllm.simulator.accounts import Accounts, Refusal
from threadllm.simulator.counts import Counts, Ledger, Visit
from threadllm.simulator.dialects import ENDPOINTS, dialect_of
from threadllm.simulator.dialects.fields import parsed
from threadllm.simulator.dialects.values import Ask, Reply, RequestError
from threadllm.simulator.exchange import Exchange, told
from threadllm.simulator.faults import OK, Fault, Rates, Script, ScriptLike
from threadllm.simulator.latency import AT_ONCE, Latency
from threadllm.simulator.text import digest, roll

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from threadllm.simulator.clock import FastClock
    from threadllm.simulator.limits import Limits

CONTROL = "/__simulator__/"
_LOCAL = re.compile(r"(127\.0\.0\.1|localhost|\[::1\])(:\d+)?", re.IGNORECASE)


def key_of(headers: Mapping[str, str]) -> str:
    """The API key that a request carries, in whichever header; empty if none."""
    key = headers.get("x-api-key") or headers.get("api-key") or headers.get("authorization", "")
    return key.removeprefix("Bearer ")


def label_of(key: str) -> str:
    """What stands for a key wherever it is shown."""
    return f"key-{digest(key)}" if key else "none"


class Provider:
    """All that the simulator is, but for the server that runs it."""

    def __init__(
        self,
        latency: Latency,
        limits: Limits,
        faults: Sequence[Fault],
        script: ScriptLike,
        seed: int,
        api_keys: Collection[str] | None,
        clock: FastClock,
    ) -> None:
        self._latency = latency
        self._limits = limits
        self._rates = Rates(faults)
        self._script = Script(script)
        self._seed = seed
        if isinstance(api_keys, str):
            raise OptionError("api_keys: give a list of keys, even for one")
        self._labels = None if api_keys is None else {label_of(key) for key in api_keys}
        self._clock = clock
        self._accounts = Accounts(limits)
        self._ledger = Ledger()
        self._tasks: set[asyncio.Task[object]] = set()

    def counts(self) -> Counts:
        """What was served since the last reset."""
        return self._ledger.counts()

    def script(self, script: ScriptLike) -> None:
        """Put another script in place of what is left of the last."""
        self._script = Script(script)

    def reset(self) -> None:
        """Forget the counts and the script. What is in flight is counted no more."""
        self._ledger = Ledger()
        self._script = Script(())

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer one request."""
        if not _LOCAL.fullmatch(request.headers.get("host", "")):
            return web.Response(status=421, text="This server answers to 127.0.0.1 only.\n")
        if request.path.startswith(CONTROL):
            return self._control(request)
        path = request.path if request.path in ENDPOINTS else "*"
        label = label_of(key_of(request.headers))
        task = asyncio.current_task()
        assert task is not None, "aiohttp runs each request in a task"
        others = len(self._tasks)
        self._tasks.add(task)
        try:
            with Visit(self._ledger, path, label) as visit:
                exchange = Exchange(request, visit, dialect_of(request.path), self._clock)
                return await self._serve(exchange, label, others)
        except ConnectionError:
            return web.Response()  # nobody gets it: the connection is gone
        finally:
            self._tasks.discard(task)

    def abandon(self) -> None:
        """Cut off whatever is in flight."""
        for task in self._tasks:
            task.cancel()

    def _control(self, request: web.BaseRequest) -> web.StreamResponse:
        match request.method, request.path.removeprefix(CONTROL):
            case "GET", "counts":
                return web.json_response(self.counts().to_dict())
            case "POST", "reset":
                self.reset()
                return web.json_response({})
        return web.json_response({"error": "GET counts or POST reset"}, status=404)

    async def _serve(self, exchange: Exchange, label: str, others: int) -> web.StreamResponse:
        raw = await exchange.request.content.read()
        try:
            ask = self._read(exchange.request, raw, label)
        except RequestError as problem:
            fault = self._script.take(None) or OK
            return await exchange.deliver(told(exchange.dialect, problem), fault)
        nth = exchange.visit.asks(ask.digest, paid=ENDPOINTS[exchange.request.path].paid)
        scripted = self._script.take(ask.prompt)
        if scripted and scripted.kind != "ok":
            return await exchange.deliver(_reply(exchange, ask), scripted)
        now = self._clock.now()
        account = self._accounts.of(exchange.dialect.name, label, now)
        refusal = account.admit(ask.input_tokens, ask.output_tokens, now)
        levels = account.levels(now) if self._limits.headers else {}
        headers = exchange.dialect.levels(levels, self._clock.time())
        if refusal:
            return await self._refuse(exchange, refusal, headers)
        try:
            luck = (self._seed, ask.digest, nth)
            fault = scripted or self._rates.pick(roll("fault", *luck)) or OK
            pace = AT_ONCE
            if fault.kind == "ok":
                pace = self._latency.pace(roll("latency", *luck), others)
            return await exchange.deliver(_reply(exchange, ask), fault, pace, headers)
        finally:
            account.leave()

    def _read(self, request: web.BaseRequest, raw: bytes, label: str) -> Ask:
        endpoint = ENDPOINTS.get(request.path)
        if endpoint is None:
            raise RequestError(404, f"Invalid URL ({request.method} {request.path})")
        if request.method != endpoint.method:
            raise RequestError(405, f"{request.method} is not allowed here, {endpoint.method} is.")
        if self._labels is not None and label not in self._labels:
            raise RequestError(401, "Incorrect API key provided.")
        return endpoint.read(parsed(raw) if endpoint.method == "POST" else dict(request.query))

    async def _refuse(
        self, exchange: Exchange, refusal: Refusal, headers: Mapping[str, str]
    ) -> web.StreamResponse:
        dialect = exchange.dialect
        wait = refusal.wait if self._limits.retry_after else None
        told_wait = {} if wait is None else dialect.wait(wait)
        problem = RequestError(
            dialect.full, f"Limit reached: {refusal.about}.", about=refusal.about
        )
        return await exchange.deliver(told(dialect, problem), OK, AT_ONCE, {**headers, **told_wait})


def _reply(exchange: Exchange, ask: Ask) -> Reply:
    return ENDPOINTS[exchange.request.path].reply(ask)
