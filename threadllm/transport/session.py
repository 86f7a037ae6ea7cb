"""What each thread keeps for itself: an adapter with its connections, and a session on it.

Both end with their thread, which closes their sockets. Cookies belong to calls, not to threads.
"""

from __future__ import annotations

import threading
import weakref
from copy import copy
from http.cookiejar import CookieJar
from typing import Any

import requests
from requests.adapters import HTTPAdapter

from threadllm.call import Call, current
from threadllm.transport.adapter import CallAdapter


class CallCookies:
    """Lends a session, for each call, a cookie jar of the call's own.

    The jar starts as a copy of what the session itself holds, which calls never change: a cookie
    that one call is given does not go out with another's requests. Outside calls nothing differs.

    Args:
        always: Whether calls whose dispatcher patches nothing are lent one too.
    """

    def __init__(self, *, always: bool = False) -> None:
        self._always = always

    def __get__(self, session: Any, owner: type | None = None) -> Any:
        if session is None:
            return self
        call = self._call(session)
        if call is None:
            return self._own(session)
        jar = call.cookies_of(session)
        if jar is None:
            jar = _copied(vars(session)["cookies"])
            call.lend_cookies(session, jar)
        return jar

    def __set__(self, session: Any, jar: Any) -> None:
        call = self._call(session)
        if call is None:
            vars(session)["cookies"] = jar
        else:
            call.lend_cookies(session, jar)

    def __delete__(self, session: Any) -> None:
        self._own(session)
        del vars(session)["cookies"]

    def _call(self, session: Any) -> Call | None:
        """The call in progress, if it is to lend the session a jar in place of its own."""
        call = current.get()
        lends = call is not None and (self._always or call.terms.patched)
        return call if lends and "cookies" in vars(session) else None

    @staticmethod
    def _own(session: Any) -> Any:
        try:
            return vars(session)["cookies"]
        except KeyError:
            raise AttributeError("cookies", name="cookies", obj=session) from None


def _copied(jar: Any) -> Any:
    """A jar of the same kind and policy, with the same cookies; not every kind has a `copy`."""
    twin = copy(jar)
    if isinstance(jar, CookieJar):
        twin.clear()
        for cookie in jar:
            twin.set_cookie(copy(cookie))
    return twin


class ThreadSession(requests.Session):
    """A `requests.Session` over its thread's connections."""

    cookies: Any = CallCookies(always=True)


class _Presence:
    """Goes when its thread goes: nobody else holds it, whatever is kept of the thread's work."""


class _Thread(threading.local):
    """What a thread has, made when it is first asked for."""

    def __init__(self) -> None:
        connections = HTTPAdapter()
        self.adapter = CallAdapter(connections)
        self.session = ThreadSession()
        self.session.mount("https://", self.adapter)
        self.session.mount("http://", self.adapter)
        self._presence = _Presence()
        weakref.finalize(self._presence, _hang_up, connections)


def _hang_up(adapter: HTTPAdapter) -> None:
    """Close idle connections though some response, kept by somebody, still knows their pool."""
    for manager in (adapter.poolmanager, *adapter.proxy_manager.values()):
        for key in set(manager.pools.keys()):  # the container itself cannot be iterated
            manager.pools[key].close()
    adapter.close()


own = _Thread()


def session() -> requests.Session:
    """This thread's session, for code that would rather be given one than have its own patched.

    Within a call its requests are paced, retried and recorded, and it sends no cookie of another
    call. Outside calls it is a plain `requests.Session`.
    """
    return own.session
