"""The simulator's face: a provider, and the server, the loop and the thread that run it."""

from __future__ import annotations

import asyncio
import signal
import socket
import threading
from concurrent.futures import Future
from contextlib import suppress
from typing import TYPE_CHECKING, TypeVar

from aiohttp import web

from threadllm.exceptions import OptionError
from threadllm.simulator.checks import positive
from threadllm.simulator.clock import FastClock
from threadllm.simulator.latency import Latency
from threadllm.simulator.limits import Limits
from threadllm.simulator.provider import Provider

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from typing_extensions import Self

    from threadllm.simulator.counts import Counts
    from threadllm.simulator.faults import Fault, ScriptLike

_AT_ONCE = Latency()
_UNLIMITED = Limits()
_HOST = "127.0.0.1"
_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_BACKLOG = 4096  # connections that may wait to be accepted
_GRACE = 0.05  # seconds for a connection to close
_MOMENT = 1.0  # real seconds for which a connection may be idle
_TICKS = 4  # turns of the event loop in which an accepted connection becomes known

T = TypeVar("T")


class Simulator:
    """An LLM provider on 127.0.0.1, in a thread of its own while a `with` block lasts.

    It speaks the dialects of OpenAI (`/v1/chat/completions`, `/v1/completions`, `/v1/embeddings`,
    `/v1/models`), Anthropic (`/v1/messages`) and Ollama (`/api/chat`, `/api/generate`), and is a
    search host besides (`/search?q=`). The same prompt always gets the same answer: `answer_to`
    tells which.

    Args:
        latency: How long answers take.
        limits: What each key may do.
        faults: What goes wrong, by rate. With the same seed the n-th request for a prompt
            always has the same luck, in whatever order requests arrive.
        script: What the first requests get, one fault each, all paths together; or, by prompt,
            what the first requests with that prompt get. It goes before limits and faults.
            After its end the usual rules hold.
        port: The port; 0 for any that is free.
        seed: What faults and latency are drawn from.
        api_keys: The keys that are accepted; None for any, and for none at all.
        keep_alive: Seconds after which an idle connection is closed.
        speed: How many times as fast as real time the simulator's own time passes. All that it
            is told and tells in seconds, minutes or dates, here and in headers, is of its own
            time: at 20, a latency of 1 second is over in 50 ms, and so is a `retry-after: 1`. A
            client whose clock is as fast sees a consistent provider.

    Attributes:
        port: The port; once started, the one in use.

    Raises:
        OptionError: An option cannot be used; on entering, the port cannot.
        RuntimeError: On entering, if it is running already.
    """

    def __init__(
        self,
        *,
        latency: Latency = _AT_ONCE,
        limits: Limits = _UNLIMITED,
        faults: Sequence[Fault] = (),
        script: ScriptLike = (),
        port: int = 0,
        seed: int = 0,
        api_keys: Collection[str] | None = None,
        keep_alive: float = 75.0,
        speed: float = 1.0,
    ) -> None:
        if not 0 <= port < 2**16:
            raise OptionError(f"port={port!r}: give one from 1 to 65535, or 0 for any that is free")
        positive(keep_alive=keep_alive)
        clock = FastClock(speed)
        self.port = port
        # However fast its time: a busy client needs a moment from connecting to its request.
        self._keep_alive = max(clock.real(keep_alive), min(keep_alive, _MOMENT))
        self._provider = Provider(latency, limits, faults, script, seed, api_keys, clock)
        # Guards the next two, which the thread that serves writes, and any thread reads.
        # Reentrant: a signal may be handled in the midst of that.
        self._lock = threading.RLock()
        self._loop: asyncio.AbstractEventLoop | None = None  # while it takes what is handed in
        self._ident = 0  # of the thread that serves
        self._stopping = asyncio.Event()  # that thread's own, written before _loop tells of it
        self._thread = threading.Thread()  # of whoever enters and leaves

    @property
    def url(self) -> str:
        """Scheme, host and port: the base URL of Anthropic's and Ollama's clients."""
        return f"http://{_HOST}:{self.port}"

    @property
    def base_url(self) -> str:
        """The base URL of OpenAI's clients."""
        return f"{self.url}/v1"

    def counts(self) -> Counts:
        """What was served since the start or the last reset."""
        return self._in_loop(self._provider.counts)

    def script(self, script: ScriptLike) -> None:
        """Put another script in place of what is left of the last."""
        self._in_loop(lambda: self._provider.script(script))

    def reset(self) -> None:
        """Forget the counts and the script. What is in flight is counted no more."""
        self._in_loop(self._provider.reset)

    def run(self, ready: Callable[[Simulator], None]) -> None:
        """Serve in this thread, the main one, until SIGINT or SIGTERM; then end quietly.

        Args:
            ready: Called once, when connections are accepted.

        Raises:
            OptionError: The port cannot be used.
        """
        sock = self._bind()
        before = {one: signal.getsignal(one) for one in _SIGNALS}

        def serving() -> None:
            for one in _SIGNALS:
                signal.signal(one, lambda *_: self._stop())
            ready(self)

        try:
            asyncio.run(self._serve(sock, serving))
        finally:
            for one, handler in before.items():
                signal.signal(one, handler)

    def __enter__(self) -> Self:
        if self._thread.is_alive():
            raise RuntimeError("this simulator is running already: make another")
        started: Future[None] = Future()
        self._thread = threading.Thread(
            target=self._run_in_thread,
            args=(self._bind(), started),
            name="threadllm-simulator",
            daemon=True,
        )
        self._thread.start()
        started.result()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop()
        self._thread.join()

    def _run_in_thread(self, sock: socket.socket, started: Future[None]) -> None:
        try:
            asyncio.run(self._serve(sock, lambda: started.set_result(None)))
        except OSError as error:  # the machine has no files left for an event loop
            sock.close()
            started.set_exception(error)

    def _bind(self) -> socket.socket:
        try:
            sock = socket.create_server((_HOST, self.port), backlog=_BACKLOG)
        except OSError as error:
            reason = error.strerror or error
            raise OptionError(f"port={self.port}: cannot listen on it: {reason}") from error
        self.port = sock.getsockname()[1]
        return sock

    async def _serve(self, sock: socket.socket, serving: Callable[[], None]) -> None:
        self._stopping = asyncio.Event()
        server = web.Server(
            self._handle,
            handler_cancellation=True,  # a client that leaves ends its request
            access_log=None,
            keepalive_timeout=self._keep_alive,
        )
        runner = web.ServerRunner(server, shutdown_timeout=_GRACE)
        await runner.setup()
        await web.SockSite(runner, sock, backlog=_BACKLOG).start()
        with self._lock:
            self._ident, self._loop = threading.get_ident(), asyncio.get_running_loop()
        try:
            serving()
            await self._stopping.wait()
        finally:
            with self._lock:  # from here on no step is handed in; those that were are still taken
                self._loop = None
            await self._close(runner, sock)

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        if self._stopping.is_set():  # nothing may begin that nobody would end
            return web.Response(status=503, text="The simulator is stopping.\n")
        return await self._provider.handle(request)

    async def _close(self, runner: web.ServerRunner, sock: socket.socket) -> None:
        """Accept no more, let what was accepted become known to the runner, and end all of it."""
        with suppress(NotImplementedError):  # Windows' loop has no readers
            asyncio.get_running_loop().remove_reader(sock)
        for _ in range(_TICKS):
            await asyncio.sleep(0)
        self._provider.abandon()
        await runner.cleanup()

    def _stop(self) -> None:
        with self._lock:
            if self._loop:
                self._loop.call_soon_threadsafe(self._stopping.set)

    def _in_loop(self, act: Callable[[], T]) -> T:
        """Do it between two steps of the event loop, where the counts are whole."""

        async def step() -> T:
            return act()

        with self._lock:
            if self._loop is None or threading.get_ident() == self._ident:
                return act()
            done = asyncio.run_coroutine_threadsafe(step(), self._loop)
        return done.result()
