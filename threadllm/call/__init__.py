"""The call in progress: what ties a request to its item, and lends it a slot.

The dispatcher begins and ends a call, the transport opens an exchange in it for each request;
they find it through the context variable `current`. The rooms here start no thread and know no
HTTP library.
"""

from threadllm.call.allowance import Allowance, checked_allowance, number_or_share
from threadllm.call.call import Call, current
from threadllm.call.deadline import NO_LIMIT, Limit, checked_seconds, deadline, seconds_here
from threadllm.call.exchange import Exchange, Failure
from threadllm.call.kept import Kept
from threadllm.call.run import Run
from threadllm.call.terms import Terms

__all__ = [
    "NO_LIMIT",
    "Allowance",
    "Call",
    "Exchange",
    "Failure",
    "Kept",
    "Limit",
    "Run",
    "Terms",
    "checked_allowance",
    "checked_seconds",
    "current",
    "deadline",
    "number_or_share",
    "seconds_here",
]
