"""The requests side: what happens to a request that is made within a call.

The only rooms that import requests and urllib3. They find their call through `threadllm.call`
and know no dispatcher. The way of a request, from the top:

- `patching` brings it in from code as it is, `session` from sessions of our own;
- `steps` does steps of `requests.Session` in its place, and `lane` does all of them at once, while
  what they pass by is `originals`;
- `mounted` chooses what carries it: `adapter`, with `delivery` for its tries and `stream` for a
  body that the function reads itself;
- `wire` does the exchange.
"""

from threadllm.transport.bearer import bearer
from threadllm.transport.deadline import DeadlineExceeded
from threadllm.transport.patching import patched
from threadllm.transport.session import Session, session

__all__ = ["DeadlineExceeded", "Session", "bearer", "patched", "session"]
