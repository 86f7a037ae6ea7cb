"""The adapter of one dispatcher: requests' own, with a short way for requests as most are made.

The short way has urllib3 open a connection, sends the request and reads the answer in one go, and
gives the response that requests would have built. Whatever it does not know it leaves to requests
and urllib3: a request out of the ordinary, before it is sent; an answer out of the ordinary, or
an error, by playing to them what has happened on the connection so far.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from threadllm.clock import SYSTEM
from threadllm.transport.wire.connections import Connection
from threadllm.transport.wire.conversation import converse
from threadllm.transport.wire.furnished import ORIGINS, FurnishedAdapter, KnownPools
from threadllm.transport.wire.heads import head_of, target_of
from threadllm.transport.wire.janitor import Janitor
from threadllm.transport.wire.pools import pools_for, stage
from threadllm.transport.wire.responses import response_to
from threadllm.transport.wire.timeouts import Timeouts
from threadllm.transport.wire.tls import unambiguous
from threadllm.transport.wire.watching import unwatched

if TYPE_CHECKING:
    from requests import PreparedRequest, Response

    from threadllm.clock import Clock
    from threadllm.transport.wire.heads import Target
    from threadllm.transport.wire.pools import Pool


class WireAdapter(FurnishedAdapter):
    """Shared by the threads of a dispatcher.

    Args:
        concurrency: How many requests may be in flight.
        clock: Tells how long connections are idle.
    """

    def __init__(self, concurrency: int, clock: Clock = SYSTEM) -> None:
        self._janitor = Janitor(concurrency, clock)
        super().__init__(partial(pools_for, self._janitor))
        self._known = KnownPools()
        self._watched = FurnishedAdapter(self._known.furnish)
        self._pools: dict[tuple[object, ...], Pool] = {}  # no lock: to find one twice does no harm

    def send(
        self,
        request: PreparedRequest,
        stream: bool = False,
        timeout: Any = None,
        verify: Any = True,
        cert: Any = None,
        proxies: Any = None,
    ) -> Response:
        """Send a request, as `HTTPAdapter.send` does."""
        verify = unambiguous(verify)
        if not unwatched():
            # By their names, as requests does: whoever stands there may take them no other way.
            return self._watched.send(
                request, stream=stream, timeout=timeout, verify=verify, cert=cert, proxies=proxies
            )
        target, timeouts = target_of(str(request.url)), Timeouts.of(timeout)
        head = head_of(request, target) if target and timeouts else None
        if not (target and timeouts and head) or cert or proxies or verify is False:
            return super().send(request, stream, timeout, verify, cert, proxies)
        pool = self._pool(request, target, verify)
        body: Any = request.body or b""
        result = converse(pool, head + body, timeouts, whole=not stream)
        if isinstance(result, Connection):
            with stage.playing(pool, result):
                return super().send(request, stream, timeout, verify, cert, proxies)
        response = response_to(
            request, result, retries=self.max_retries, request_url=target.path, pool=pool
        )
        vars(response)["connection"] = self
        return response

    def close(self) -> None:
        """Close what is idle."""
        super().close()
        self._pools.clear()
        self._janitor.close_all()
        self._watched.close()
        self._known.close()

    def end(self) -> None:
        """Close what is idle, and from now on whatever is given back."""
        self._janitor.close()
        self.close()

    # What requests calls on the long way.

    def get_connection_with_tls_context(self, *args: Any, **kwargs: Any) -> Any:
        """The pool for a request; during a play, that of the connection that plays."""
        if stage.connection is not None:
            return stage.pool
        return super().get_connection_with_tls_context(*args, **kwargs)

    # Within.

    def _pool(self, request: PreparedRequest, target: Target, verify: Any) -> Pool:
        key = target.scheme, target.host, target.port, verify
        pool = self._pools.get(key)
        if pool is None:
            found: Any = super().get_connection_with_tls_context(request, verify)
            self.cert_verify(found, str(request.url), verify, None)
            if len(self._pools) >= ORIGINS:
                self._pools.clear()
            pool = self._pools[key] = found
        return pool
