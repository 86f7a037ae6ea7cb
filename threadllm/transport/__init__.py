"""The requests side: what happens to a request that is made within a call.

The only rooms that import requests and urllib3. They find their call through `threadllm.call`
and know no dispatcher.
"""

from threadllm.transport.deadline import DeadlineExceeded
from threadllm.transport.patching import patched
from threadllm.transport.session import Session, session

__all__ = ["DeadlineExceeded", "Session", "patched", "session"]
