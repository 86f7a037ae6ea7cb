"""How unmodified code reaches the transport: two attributes of `requests.Session`, for a while.

They are in place only while some dispatcher runs calls, and act only within calls that asked for
it. Whoever has patched the same attribute meanwhile is left alone.
"""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import requests
from requests.adapters import HTTPAdapter

from threadllm.call import current
from threadllm.transport.adapter import CallAdapter
from threadllm.transport.session import CallCookies, own

if TYPE_CHECKING:
    from collections.abc import Iterator

    from requests.adapters import BaseAdapter


class _Patch:
    """The two attributes, put in place by the first who needs them, taken out by the last."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._users = 0  # guarded by _lock
        self._underneath: Any = None  # guarded by _lock: the get_adapter that was found
        self._ours = {"get_adapter": self._get_adapter(), "cookies": CallCookies()}

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
        found = requests.Session.get_adapter
        if found is not self._ours["get_adapter"]:  # else somebody's mock put ours back
            self._underneath = found
        for name, attribute in self._ours.items():
            self._set(name, attribute)

    def _uninstall(self) -> None:
        if vars(requests.Session)["get_adapter"] is self._ours["get_adapter"]:
            self._set("get_adapter", self._underneath)
        if vars(requests.Session)["cookies"] is self._ours["cookies"]:
            delattr(requests.Session, "cookies")

    @staticmethod
    def _set(name: str, attribute: object) -> None:
        setattr(requests.Session, name, attribute)

    def _get_adapter(self) -> Any:
        def get_adapter(session: requests.Session, url: str) -> BaseAdapter:
            adapter: BaseAdapter = self._underneath(session, url)
            call = current.get()
            if call is None or not call.terms.patched or isinstance(adapter, CallAdapter):
                return adapter
            return own.adapter if _is_untouched(adapter) else CallAdapter(adapter)

        return get_adapter


patched = _Patch().in_place


def _settings(adapter: HTTPAdapter) -> dict[str, object]:
    """All that can be set on an adapter, in a form that compares."""
    settings = {name: value for name, value in vars(adapter).items() if name != "proxy_manager"}
    settings["max_retries"] = vars(adapter.max_retries)
    settings["poolmanager"] = adapter.poolmanager.connection_pool_kw
    return settings


_UNTOUCHED = _settings(HTTPAdapter())


def _is_untouched(adapter: BaseAdapter) -> bool:
    """Whether the adapter is as `requests.Session` itself mounts it; any other stays in force."""
    return type(adapter) is HTTPAdapter and _settings(adapter) == _UNTOUCHED
