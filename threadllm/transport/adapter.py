"""The adapter that stands between a session and the one that does the exchange.

It works below redirects, hooks and authentication, which therefore see what requests shows them.
Within a call it takes a slot for each request, tries again in place and puts each exchange on
record; outside a call it hands everything through.
"""

from __future__ import annotations

from datetime import timedelta
from functools import partial
from typing import Any

from requests import PreparedRequest, RequestException, Response
from requests.adapters import BaseAdapter
from urllib3 import Retry
from urllib3.exceptions import MaxRetryError

from threadllm.call import current
from threadllm.transport.delivery import Delivery


class CallAdapter(BaseAdapter):
    """Carries the requests of calls over another adapter, whose attributes it shows.

    Args:
        inner: The adapter that does the exchanges.
        direct: Whether no session calls it, which would set `elapsed` anew: but a hook that sends
            again, as digest authentication does, or what takes a session's place.
    """

    def __init__(self, inner: BaseAdapter, *, direct: bool = False) -> None:
        self._inner = inner
        self._direct = direct

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):  # above all what a copy asks for before it has anything
            raise AttributeError(name)
        return getattr(self._inner, name)

    def send(
        self,
        request: PreparedRequest,
        stream: bool = False,
        timeout: Any = None,
        verify: Any = True,
        cert: Any = None,
        proxies: Any = None,
    ) -> Response:
        """Send a request as `requests.adapters.HTTPAdapter.send` does."""
        call = current.get()
        send = partial(
            self._inner.send, request, stream=stream, verify=verify, cert=cert, proxies=proxies
        )
        if call is None:
            return send(timeout=timeout)
        delivery = Delivery(
            call,
            send,
            request,
            timeout=call.terms.timeout if timeout is None else timeout,
            streamed=stream,
            retried_below=partial(_retries, self._inner, str(request.method)),
        )
        response = delivery.run()
        response.elapsed = timedelta(seconds=delivery.elapsed)
        if self._direct:
            vars(response)["connection"] = self
        else:
            vars(response)["connection"] = CallAdapter(self._inner, direct=True)
            _keep_elapsed(request, response)
        return response

    def close(self) -> None:
        """Close the connections of the adapter within."""
        self._inner.close()


def _retries(adapter: BaseAdapter, method: str, result: Response | RequestException) -> bool:
    """Whether the adapter's own retries, where the user gave it some, were for such a result."""
    policy = getattr(adapter, "max_retries", None)
    if not isinstance(policy, Retry):
        return False
    parts = (policy.connect, policy.read, policy.status, policy.other)
    if not (any(parts) if policy.total is None else policy.total):
        return False
    if isinstance(result, RequestException):  # urllib3 says so where it has tried again
        return any(isinstance(cause, MaxRetryError) for cause in result.args)
    return policy.is_retry(method, result.status_code, "Retry-After" in result.headers)


def _keep_elapsed(request: PreparedRequest, response: Response) -> None:
    """Let `response.elapsed` stay that of the last exchange, as requests documents it.

    The session sets it after `send` and before the hooks, to a figure that includes all waits.
    So a hook that comes first, and once, puts it right.
    """
    hooks: Any = request.hooks
    if not isinstance(hooks, dict):
        return
    own, elapsed = hooks.get("response", []), response.elapsed

    def put_right(answer: Response, **_: object) -> None:
        hooks["response"] = own
        if answer is response:
            answer.elapsed = elapsed

    hooks["response"] = [put_right, *([own] if callable(own) else own)]
