"""The call in progress: what ties a request to its item, and lends it a slot.

The dispatcher begins and ends a call, the transport opens an exchange in it for each request;
they find it through the context variable `current`. The rooms here start no thread and know no
HTTP library.
"""

from threadllm.call.call import Call, current
from threadllm.call.kept import Kept
from threadllm.call.ledger import Exchange, Failure
from threadllm.call.terms import Terms

__all__ = ["Call", "Exchange", "Failure", "Kept", "Terms", "current"]
