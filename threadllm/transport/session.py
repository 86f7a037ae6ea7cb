"""Sessions of the package's own: `requests.Session`, which calls send as they send everything."""

from __future__ import annotations

import threading
from functools import cached_property
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import requests

from threadllm.call import Call, current
from threadllm.forks import after_fork
from threadllm.transport.mounted import get_adapter
from threadllm.transport.steps.cookies import CallCookies
from threadllm.transport.steps.environment import merge_environment_settings
from threadllm.transport.steps.preparing import prepare_request
from threadllm.transport.steps.redirects import rebuild_auth

if TYPE_CHECKING:
    from requests import PreparedRequest, Request, Response
    from requests.adapters import BaseAdapter


class Session(requests.Session):
    """A `requests.Session` whose requests are paced, retried and recorded within calls.

    It is so whether or not the call's dispatcher patches requests. Within calls they go over the
    dispatcher's connections, and cookies that a call is given stay in it; outside calls it is a
    plain session. In both, an Authorization header that the code set is not replaced by what
    ~/.netrc says, and keys in headers of providers' own, such as x-api-key, do not follow a
    redirect to another origin.
    """

    cookies: Any = CallCookies(always=True)

    def prepare_request(self, request: Request) -> PreparedRequest:
        """See `requests.Session.prepare_request`."""
        prepared: PreparedRequest = prepare_request(super().prepare_request, self, request)
        return prepared

    def merge_environment_settings(self, *args: Any, **kwargs: Any) -> Any:
        """See `requests.Session.merge_environment_settings`."""
        return merge_environment_settings(super().merge_environment_settings, self, *args, **kwargs)

    def rebuild_auth(self, prepared_request: PreparedRequest, response: Response) -> None:
        """See `requests.Session.rebuild_auth`."""
        rebuild_auth(super().rebuild_auth, self, prepared_request, response)

    def send(self, request: PreparedRequest, **kwargs: Any) -> Response:
        """See `requests.Session.send`."""
        before, _thread.sends = _thread.sends, True
        try:
            return super().send(request, **kwargs)
        finally:
            _thread.sends = before

    def get_adapter(self, url: str) -> BaseAdapter:
        """See `requests.Session.get_adapter`: what is mounted. A call may send by another."""
        find = super().get_adapter
        return get_adapter(find, self, url=url) if _thread.sends else find(url=url)


class _Thread(threading.local):
    """What a thread keeps: its sessions, and whether it is sending by one of this kind."""

    sends = False

    def __init__(self) -> None:
        self._of_calls: WeakKeyDictionary[Call, Session] = WeakKeyDictionary()

    @cached_property
    def _outside_calls(self) -> Session:
        return Session()

    def session(self) -> Session:
        call = current.get()
        if call is None:
            return self._outside_calls
        if call not in self._of_calls:
            self._of_calls[call] = Session()
        return self._of_calls[call]


_thread = _Thread()
after_fork(vars(_thread).clear)  # the connections of its sessions are its parent's


def session() -> Session:
    """A session for code that would rather be given one.

    Within a call it is the call's own: no header, credential or cookie that one call gives it goes
    out with another's requests. Outside calls each thread has one.
    """
    return _thread.session()
