"""The adapter that stands between a session and the one that does the exchange.

It works below redirects, hooks and authentication, which therefore see what requests shows them.
Within a call it takes a slot for each request, tries again in place and puts each exchange on
record; outside a call it hands everything through.
"""

from __future__ import annotations

from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

from requests.adapters import BaseAdapter

from threadllm.call import current
from threadllm.transport.delivery import Delivery

if TYPE_CHECKING:
    from collections.abc import Mapping

    from requests import PreparedRequest, Response


class CallAdapter(BaseAdapter):
    """Carries the requests of calls over another adapter."""

    def __init__(self, inner: BaseAdapter) -> None:
        super().__init__()
        self._inner = inner

    def send(
        self,
        request: PreparedRequest,
        stream: bool = False,
        timeout: Any = None,
        verify: Any = True,
        cert: Any = None,
        proxies: Mapping[str, str] | None = None,
    ) -> Response:
        """Send a request as `requests.adapters.HTTPAdapter.send` does."""
        call = current.get()
        send = partial(
            self._inner.send, request, stream=stream, verify=verify, cert=cert, proxies=proxies
        )
        if call is None:
            return send(timeout=timeout)
        timeout = call.terms.timeout if timeout is None else timeout
        delivery = Delivery(call, partial(send, timeout=timeout), request, streamed=stream)
        if retries_itself(self._inner):
            delivery.leave_retries_to_adapter()
        response = delivery.run()
        vars(response)["connection"] = (
            self  # a hook that sends again, as digest authentication does
        )
        _keep_elapsed(request, response, delivery.elapsed)
        return response

    def close(self) -> None:
        """Close the connections of the adapter within."""
        self._inner.close()


def retries_itself(adapter: BaseAdapter) -> bool:
    """Whether the user gave the adapter retries of its own; attempts must not multiply."""
    return bool(getattr(getattr(adapter, "max_retries", None), "total", 0))


def _keep_elapsed(request: PreparedRequest, response: Response, seconds: float) -> None:
    """Let `response.elapsed` be that of the last exchange, as requests documents it.

    The session sets it after `send` and before the hooks, to a figure that includes all waits.
    So a hook that comes first, and once, puts it right.
    """
    own: Any = request.hooks.get("response", [])

    def put_right(answer: Response, **_: object) -> None:
        request.hooks["response"] = own
        if answer is response:
            answer.elapsed = timedelta(seconds=seconds)

    request.hooks["response"] = [put_right, *([own] if callable(own) else own)]
