"""What each thread keeps for itself: an adapter with its connections, and a session on it.

Both end with their thread, which closes their sockets. Cookies belong to calls, not to threads.
"""

from __future__ import annotations

import threading
from copy import copy
from typing import TYPE_CHECKING, Any

import requests
from requests.adapters import HTTPAdapter

from threadllm.call import current
from threadllm.transport.adapter import CallAdapter

if TYPE_CHECKING:
    from http.cookiejar import CookieJar


class CallCookies:
    """Lends a session, for each call, a cookie jar of the call's own.

    The jar starts as a copy of what the session itself holds, which calls never change: a cookie
    that one call is given does not go out with another's requests. Outside calls nothing differs.
    """

    def __get__(self, session: Any, owner: type | None = None) -> Any:
        if session is None:
            return self
        base: CookieJar | None = vars(session).get("cookies")
        call = current.get()
        if call is None or base is None:
            return base
        jar = call.cookies.get(session)
        if jar is None:
            jar = call.cookies[session] = _copied(base)
        return jar

    def __set__(self, session: Any, jar: CookieJar) -> None:
        call = current.get()
        if call is None or "cookies" not in vars(session):
            vars(session)["cookies"] = jar
        else:
            call.cookies[session] = jar


def _copied(jar: CookieJar) -> CookieJar:
    """A jar of the same kind and policy, with the same cookies; not every kind has a `copy`."""
    twin = copy(jar)
    twin.clear()
    for cookie in jar:
        twin.set_cookie(cookie)
    return twin


class ThreadSession(requests.Session):
    """A `requests.Session` over its thread's connections."""

    cookies: Any = CallCookies()


class _Thread(threading.local):
    """What a thread has, made when it is first asked for."""

    def __init__(self) -> None:
        self.adapter = CallAdapter(HTTPAdapter())
        self.session = ThreadSession()
        self.session.mount("https://", self.adapter)
        self.session.mount("http://", self.adapter)


own = _Thread()


def session() -> requests.Session:
    """This thread's session, for code that would rather be given one than have its own patched.

    Within a call its requests are paced, retried and recorded, and it sends no cookie of another
    call. Outside calls it is a plain `requests.Session`.
    """
    return own.session
