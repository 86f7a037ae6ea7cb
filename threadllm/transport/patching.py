"""How unmodified code reaches the transport: some attributes of requests, for a while.

They are methods and the cookies of `requests.Session`, and `requests.request`. They are in place
only while some dispatcher runs calls, and act only within calls that asked for it. Whoever has
patched the same attribute meanwhile is left alone.
"""

from __future__ import annotations

import threading
from contextlib import contextmanager
from functools import cached_property, partial, wraps
from operator import is_
from typing import TYPE_CHECKING, Any

import requests
from requests import api, sessions

from threadllm.call import current
from threadllm.forks import after_fork
from threadllm.transport import lane
from threadllm.transport.mounted import get_adapter
from threadllm.transport.originals import Originals, is_original
from threadllm.transport.session import Session
from threadllm.transport.steps.cookies import CallCookies
from threadllm.transport.steps.environment import merge_environment_settings
from threadllm.transport.steps.preparing import prepare_request, prepared_by_others
from threadllm.transport.steps.redirects import rebuild_auth

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

# Somebody may have put a subclass in its place, as requests-cache does: its methods are here.
_SESSION: Any = next(kind for kind in requests.Session.__mro__ if "get_adapter" in vars(kind))
# What stands in for a method, and is given what was found there, bound to the session.
_METHODS: dict[str, Callable[..., Any]] = {
    "get_adapter": get_adapter,
    "merge_environment_settings": merge_environment_settings,
    "prepare_request": prepare_request,
    "rebuild_auth": rebuild_auth,
}
# The same where what was found is somebody's own, who wants to be asked.
_OVER_OTHERS = _METHODS | {
    "merge_environment_settings": lambda found, _, *args, **kwargs: found(*args, **kwargs),
    "prepare_request": prepared_by_others,
    "rebuild_auth": partial(rebuild_auth, over_others=True),
}
_INHERITED = object()
_MODULES: tuple[Any, ...] = api, requests
_FUNCTIONS = Originals([(api, "request", api), (requests, "request", api)])


class _Method:
    """A method of `requests.Session` for one while, over whatever was found there.

    A mock that was put over it may put it back when that while is over: then it takes itself out
    as soon as somebody looks at it.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._found = vars(_SESSION).get(name, _INHERITED)
        self._wanted = False

    def put_in_place(self) -> None:
        """Stand in for what was found, from now on."""
        self._wanted = True
        setattr(_SESSION, self._name, self)

    @property
    def is_up_to_date(self) -> bool:
        """Whether what would be found now is what was found."""
        return vars(_SESSION).get(self._name, _INHERITED) is self._found

    def __get__(self, session: requests.Session | None, owner: type[requests.Session]) -> Any:
        if not self._wanted:
            self.remove()
            return self._bound(session, owner)
        return self if session is None else partial(self, session)

    def __call__(self, session: requests.Session, *args: Any, **kwargs: Any) -> Any:
        found = self._bound(session, type(session))
        call = current.get()
        if call is None or not call.terms.patched or isinstance(session, Session):
            return found(*args, **kwargs)
        methods = _METHODS if self.is_over_original else _OVER_OTHERS
        return methods[self._name](found, session, *args, **kwargs)

    @cached_property
    def is_over_original(self) -> bool:
        """Whether what was found is requests' own."""
        return is_original(self._bound(None, _SESSION), sessions)

    def remove(self) -> None:
        """Put back what was found, unless somebody has put something else there."""
        self._wanted = False
        if vars(_SESSION).get(self._name) is not self:
            return
        if self._found is _INHERITED:
            delattr(_SESSION, self._name)
        else:
            setattr(_SESSION, self._name, self._found)

    def _bound(self, session: requests.Session | None, owner: type[requests.Session]) -> Any:
        """What was found, as looking it up gives it: a mock need not be a function."""
        found = self._found
        if found is _INHERITED:
            return getattr(super(_SESSION, owner if session is None else session), self._name)
        return found.__get__(session, owner) if hasattr(found, "__get__") else found


def _standing_in(found: Any, methods: list[_Method]) -> Any:
    """A function in the place of `requests.request`.

    It makes no session where a session would do what requests has it do: where the methods are
    in place, over requests' own, with nobody's over them.
    """
    originals = all(method.is_over_original for method in methods)
    look_up = vars(_SESSION).get

    @wraps(found)
    def request(method: Any, url: Any, **kwargs: Any) -> Any:
        call = current.get()
        if call is None or not (call.terms.patched and originals):
            return found(method, url, **kwargs)
        if not all(map(is_, map(look_up, _METHODS), methods)):  # both in the same order
            return found(method, url, **kwargs)
        return lane.request(call, found, method, url, kwargs)

    return request


class _Patch:
    """The attributes, put in place by the first who needs them, taken out by the last."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._users = 0  # guarded by _lock
        self._methods: list[_Method] = []  # guarded by _lock: the last ones
        self._cookies = CallCookies()
        self._function: Any = None  # guarded by _lock: the last one

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
                self._users = max(0, self._users - 1)
                if self._users == 0:
                    self._uninstall()

    def disown(self) -> None:
        """In a fork: those who needed it are not here."""
        self._lock = threading.Lock()  # that of before may be held, by nobody
        if self._users:
            self._users = 0
            self._uninstall()

    def _install(self) -> None:
        for name in _METHODS:
            getattr(_SESSION, name)  # one that is wanted no more goes
        self._take_out_function()  # a mock has put it back late
        # Short calls one by one come here for each of them: mostly all is as it was.
        if not (self._methods and all(method.is_up_to_date for method in self._methods)):
            self._methods = [_Method(name) for name in _METHODS]
            self._function = None
        for method in self._methods:
            method.put_in_place()
        _SESSION.cookies = self._cookies
        if _FUNCTIONS.genuine:  # else they are somebody's who wants to be asked
            self._function = self._function or _standing_in(api.request, self._methods)
            for module in _MODULES:
                module.request = self._function

    def _uninstall(self) -> None:
        for method in self._methods:
            method.remove()
        self._take_out_function()
        if vars(_SESSION).get("cookies") is self._cookies:
            del _SESSION.cookies

    def _take_out_function(self) -> None:
        for module in _MODULES:
            if module.request is self._function:
                module.request = self._function.__wrapped__


_patch = _Patch()
patched = _patch.in_place
after_fork(_patch.disown)
