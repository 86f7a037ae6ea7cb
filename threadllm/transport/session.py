"""What each thread keeps for itself, an adapter with its connections, and the sessions on it.

The connections end with their thread. Sessions and cookies belong to calls, not to threads.
"""

from __future__ import annotations

import threading
import weakref
from copy import copy
from functools import cached_property
from http.cookiejar import CookieJar
from typing import Any
from weakref import WeakKeyDictionary

import requests
from requests.adapters import HTTPAdapter

from threadllm.call import Call, current
from threadllm.transport.adapter import CallAdapter

_OF_A_CALL = "made_within_a_call"


class CallCookies:
    """Lends a session, for each call, a cookie jar of the call's own.

    The jar starts as a copy of what the session itself holds, which calls never change: a cookie
    that one call is given does not go out with another's requests. Outside calls nothing differs.
    A session that is made within a call is that call's: there its own jar serves, which threads
    without the call and the time after it see too. To other calls it lends an empty one.

    Args:
        always: Whether calls whose dispatcher patches nothing are lent one too.
    """

    def __init__(self, *, always: bool = False) -> None:
        self._always = always

    def __get__(self, session: Any, owner: type | None = None) -> Any:
        if session is None:
            return self
        call = self._lender()
        if call is None or "cookies" not in vars(session):
            return self._own(session)
        jar = call.cookies_of(session)
        if jar is None:
            jar = _copied(vars(session)["cookies"])
            if _OF_A_CALL in vars(session):
                jar.clear()
            call.lend_cookies(session, jar)
        return jar

    def __set__(self, session: Any, jar: Any) -> None:
        call, attributes = self._lender(), vars(session)
        if call is not None:
            call.lend_cookies(session, jar)
            if "cookies" in attributes:
                return
            attributes[_OF_A_CALL] = True
        attributes["cookies"] = jar

    def __delete__(self, session: Any) -> None:
        self._own(session)
        del vars(session)["cookies"]

    def _lender(self) -> Call | None:
        """The call in progress, if it lends jars in place of sessions' own."""
        call = current.get()
        return call if call is not None and (self._always or call.terms.patched) else None

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
        self._of_calls: WeakKeyDictionary[Call, ThreadSession] = WeakKeyDictionary()
        self._presence = _Presence()
        weakref.finalize(self._presence, _hang_up, connections)

    @cached_property
    def _outside_calls(self) -> ThreadSession:
        return self._made()

    def session(self) -> ThreadSession:
        """The session of the call in progress; without one, that of the thread."""
        call = current.get()
        if call is None:
            return self._outside_calls
        if call not in self._of_calls:
            self._of_calls[call] = self._made()
        return self._of_calls[call]

    def _made(self) -> ThreadSession:
        session = ThreadSession()
        session.mount("https://", self.adapter)
        session.mount("http://", self.adapter)
        return session


def _hang_up(adapter: HTTPAdapter) -> None:
    """Close idle connections though some response, kept by somebody, still knows their pool."""
    for manager in (adapter.poolmanager, *adapter.proxy_manager.values()):
        for key in set(manager.pools.keys()):  # the container itself cannot be iterated
            manager.pools[key].close()
    adapter.close()


own = _Thread()


def session() -> requests.Session:
    """A session over this thread's connections, for code that would rather be given one.

    Within a call its requests are paced, retried and recorded, and it is the call's own: no
    header, credential or cookie that one call gives it goes out with another's requests. Outside
    calls it is a plain `requests.Session`.
    """
    return own.session()
