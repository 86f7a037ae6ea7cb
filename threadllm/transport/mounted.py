"""Which adapter carries a call's request: the dispatcher's, or the one that the user mounted."""

from __future__ import annotations

from operator import itemgetter
from typing import TYPE_CHECKING, Any

from requests.adapters import HTTPAdapter

from threadllm.call import current
from threadllm.transport.adapter import CallAdapter
from threadllm.transport.wire import adapter_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from requests.adapters import BaseAdapter

    from threadllm.call import Call


def get_adapter(
    found: Callable[..., BaseAdapter], _: object, *args: Any, **kwargs: Any
) -> BaseAdapter:
    """What `requests.Session.get_adapter` gives; in a call, what carries its requests there.

    What is mounted as `requests.Session` itself mounts it gives way to the dispatcher's adapter;
    any other does the exchanges.
    """
    mounted, call = found(*args, **kwargs), current.get()
    if call is None or isinstance(mounted, CallAdapter):
        return mounted
    return CallAdapter(adapter_of(call.terms) if _is_untouched(mounted) else mounted)


def carrier_of(call: Call) -> CallAdapter:
    """What sends in a call where no session is asked."""
    return CallAdapter(adapter_of(call.terms), direct=True)


class _Settings:
    """All that can be set on something plain, but for its parts and what its use leaves behind."""

    def __init__(self, plain: object, *apart: str) -> None:
        settings = vars(plain)
        self._type = type(plain)
        self._names = settings.keys()
        self._read = itemgetter(*settings.keys() - {*apart})
        self._values = self._read(settings)

    def are_of(self, other: object) -> bool:
        if type(other) is not self._type:
            return False
        settings = vars(other)
        return settings.keys() == self._names and bool(self._read(settings) == self._values)


_PLAIN: Any = HTTPAdapter()
_ADAPTER = _Settings(_PLAIN, "max_retries", "poolmanager", "proxy_manager")
_RETRIES = _Settings(_PLAIN.max_retries)
_MANAGER = _Settings(_PLAIN.poolmanager, "pools")


def _is_untouched(adapter: Any) -> bool:
    return (
        _ADAPTER.are_of(adapter)
        and _RETRIES.are_of(adapter.max_retries)
        and _MANAGER.are_of(adapter.poolmanager)
    )
