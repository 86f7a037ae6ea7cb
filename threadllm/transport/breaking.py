"""What a function that uses requests is raised where a breaker is open."""

from __future__ import annotations

from requests.exceptions import ConnectionError as ConnectionFailed

from threadllm.exceptions import BreakerOpen


class RequestNotSent(ConnectionFailed, BreakerOpen):
    """A request was not sent, as too many to its origin failed, and the quota says not to wait.

    It is a `requests.ConnectionError` and a `threadllm.BreakerOpen`.
    """
