"""The adapter of one dispatcher: requests' own, with a short way for requests as most are made.

The short way has urllib3 open a connection, sends the request and reads the answer in one go, and
gives the response that requests would have built. Whatever it does not know it leaves to requests
and urllib3: a request out of the ordinary, before it is sent; an answer out of the ordinary, or
an error, by playing to them what has happened on the connection so far.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from requests.adapters import HTTPAdapter

from threadllm.transport.wire.connections import Connection
from threadllm.transport.wire.conversation import converse
from threadllm.transport.wire.heads import head_of, target_of
from threadllm.transport.wire.originals import unwatched
from threadllm.transport.wire.pools import POOLS, stage
from threadllm.transport.wire.responses import response_to
from threadllm.transport.wire.timeouts import Timeouts

if TYPE_CHECKING:
    from requests import PreparedRequest, Response

    from threadllm.transport.wire.heads import Target
    from threadllm.transport.wire.pools import Pool

_ORIGINS = 64  # that have connections at a time


class WireAdapter(HTTPAdapter):
    """Shared by the threads of a dispatcher.

    Args:
        concurrency: How many requests may be in flight.
    """

    def __init__(self, concurrency: int) -> None:
        super().__init__(pool_connections=_ORIGINS, pool_maxsize=concurrency)
        self._watched = HTTPAdapter(pool_connections=_ORIGINS, pool_maxsize=concurrency)
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
        if not unwatched():
            return self._watched.send(request, stream, timeout, verify, cert, proxies)
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
        """Close what is idle; what is in use is closed when it comes back."""
        super().close()
        self._watched.close()

    # What requests calls on the long way.

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        """Make the pool manager, with pools of ours."""
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = POOLS

    def proxy_manager_for(self, proxy: str, **proxy_kwargs: Any) -> Any:
        """The pool manager for a proxy, with pools of ours."""
        manager = super().proxy_manager_for(proxy, **proxy_kwargs)
        manager.pool_classes_by_scheme = POOLS
        return manager

    def get_connection_with_tls_context(self, *args: Any, **kwargs: Any) -> Any:
        """The pool for a request; during a play, that of the connection that plays."""
        if stage.connection is not None:
            return stage.pool
        return super().get_connection_with_tls_context(*args, **kwargs)

    # Within.

    def _pool(self, request: PreparedRequest, target: Target, verify: Any) -> Pool:
        key = target.scheme, target.host, target.port, verify
        pool = self._pools.get(key)
        if pool is None or pool.pool is None:  # it was closed
            found: Any = super().get_connection_with_tls_context(request, verify)
            self.cert_verify(found, str(request.url), verify, None)
            pool = self._pools[key] = found
        return pool
