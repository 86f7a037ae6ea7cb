"""requests' adapters whose pools are made, or known, by somebody else."""

from __future__ import annotations

from functools import partial
from itertools import count
from typing import TYPE_CHECKING, Any
from weakref import WeakValueDictionary

from requests.adapters import HTTPAdapter

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from urllib3.connectionpool import HTTPConnectionPool

    Makers = Mapping[str, Callable[..., HTTPConnectionPool]]

ORIGINS = 64  # for which a manager keeps a pool
_UNLIMITED = 0  # connections in a pool, as queues have it: there is nothing to warn of


class FurnishedAdapter(HTTPAdapter):
    """requests' own adapter, but for its pools.

    Args:
        furnish: Gives what makes pools, by scheme, in place of what a manager has for that.
    """

    def __init__(self, furnish: Callable[[Makers], Makers]) -> None:
        self._furnish = furnish
        super().__init__(pool_connections=ORIGINS, pool_maxsize=_UNLIMITED)

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        """Make the pool manager, and furnish it."""
        super().init_poolmanager(*args, **kwargs)
        self._furnish_manager(self.poolmanager)

    def proxy_manager_for(self, proxy: str, **proxy_kwargs: Any) -> Any:
        """The pool manager for a proxy, furnished."""
        known = proxy in self.proxy_manager
        manager = super().proxy_manager_for(proxy, **proxy_kwargs)
        if not known:
            self._furnish_manager(manager)
        return manager

    def _furnish_manager(self, manager: Any) -> None:
        manager.pool_classes_by_scheme = self._furnish(manager.pool_classes_by_scheme)


class KnownPools:
    """Pools as their managers make them, known until the last who knows them has gone.

    A manager forgets those that it has not been asked for in a while. But a response that is kept
    knows the pool that it came from, and what is idle there would stay open with it.
    """

    def __init__(self) -> None:
        self._order = count()
        self._pools: WeakValueDictionary[int, HTTPConnectionPool] = WeakValueDictionary()

    def furnish(self, makers: Makers) -> Makers:
        """What makes pools as before, and remembers them."""
        return {scheme: partial(self._made, make) for scheme, make in makers.items()}

    def close(self) -> None:
        """Close all pools."""
        for pool in [pool for known in self._pools.valuerefs() if (pool := known())]:
            pool.close()

    def _made(self, make: Callable[..., HTTPConnectionPool], *args: Any, **options: Any) -> Any:
        pool = self._pools[next(self._order)] = make(*args, **options)
        return pool
