"""Cookies belong to calls: what one is given does not go out with another's requests."""

from __future__ import annotations

from copy import copy
from http.cookiejar import CookieJar
from typing import Any

from threadllm.call import Call, current

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
