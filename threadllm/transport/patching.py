"""How unmodified code reaches the transport: two attributes of `requests.Session`, for a while.

They are in place only while some dispatcher runs calls, and act only within calls that asked for
it. Whoever has patched the same attribute meanwhile is left alone.
"""

from __future__ import annotations

import threading
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

import requests
from requests.adapters import HTTPAdapter

from threadllm.call import current
from threadllm.transport.adapter import CallAdapter
from threadllm.transport.session import CallCookies, own

if TYPE_CHECKING:
    from collections.abc import Iterator

    from requests.adapters import BaseAdapter

# Somebody may have put a subclass in its place, as requests-cache does: its methods are here.
_SESSION: Any = next(kind for kind in requests.Session.__mro__ if "get_adapter" in vars(kind))


class _GetAdapter:
    """`Session.get_adapter` for one while, over whatever was found there.

    A mock that was put over it may put it back when that while is over: then it takes itself out
    as soon as somebody looks at it.
    """

    def __init__(self, found: Any) -> None:
        self.found = found
        self.wanted = True

    def __get__(self, session: requests.Session | None, owner: type[requests.Session]) -> Any:
        if not self.wanted:
            self.remove()
            return _bound(self.found, session, owner)
        return self if session is None else partial(self, session)

    def __call__(self, session: requests.Session, url: str) -> BaseAdapter:
        adapter: BaseAdapter = _bound(self.found, session, type(session))(url=url)
        call = current.get()
        if call is None or not call.terms.patched or isinstance(adapter, CallAdapter):
            return adapter
        return own.adapter if _is_untouched(adapter) else CallAdapter(adapter)

    def remove(self) -> None:
        """Put back what was found, unless somebody has put something else there."""
        self.wanted = False
        if vars(_SESSION)["get_adapter"] is self:
            _set("get_adapter", self.found)


class _Patch:
    """The two attributes, put in place by the first who needs them, taken out by the last."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._users = 0  # guarded by _lock
        self._get_adapter = _GetAdapter(None)  # guarded by _lock: another for each while
        self._cookies = CallCookies()

    @contextmanager
    def in_place(self) -> Iterator[None]:
        with self._lock:
            self._users += 1
            if self._users == 1:
                self._install()
        try:
            yield
        finally:
            with self._lock:
                self._users -= 1
                if self._users == 0:
                    self._uninstall()

    def _install(self) -> None:
        _ = _SESSION.get_adapter  # one that is wanted no more goes
        self._get_adapter = _GetAdapter(vars(_SESSION)["get_adapter"])
        _set("get_adapter", self._get_adapter)
        _set("cookies", self._cookies)

    def _uninstall(self) -> None:
        self._get_adapter.remove()
        if vars(_SESSION).get("cookies") is self._cookies:
            delattr(_SESSION, "cookies")


patched = _Patch().in_place


def _set(name: str, attribute: object) -> None:
    setattr(_SESSION, name, attribute)


def _bound(found: Any, session: requests.Session | None, owner: type[requests.Session]) -> Any:
    """What was found, as looking it up gives it: a mock need not be a function."""
    return found.__get__(session, owner) if hasattr(found, "__get__") else found


def _is_untouched(adapter: BaseAdapter) -> bool:
    """Whether the adapter is as `requests.Session` itself mounts it; any other stays in force."""
    return type(adapter) is HTTPAdapter and _settings(adapter) == _UNTOUCHED


def _settings(adapter: HTTPAdapter) -> list[object]:
    """All that can be set on an adapter, in a form that compares."""
    parts = (adapter, adapter.max_retries, adapter.poolmanager)
    return [(type(part), _without(vars(part))) for part in parts]


def _without(settings: dict[str, object]) -> dict[str, object]:
    gathered = {"max_retries", "poolmanager", "proxy_manager", "pools"}  # parts, and use's traces
    return {name: value for name, value in settings.items() if name not in gathered}


_UNTOUCHED = _settings(HTTPAdapter())
