"""The exchange of one request, on connections that urllib3 opens and keeps.

A short way for requests as most are made, from the adapter to the socket and back; what is out of
the ordinary goes requests' and urllib3's own way.
"""

from threadllm.transport.wire.adapter import WireAdapter
from threadllm.transport.wire.keeping import adapter_of

__all__ = ["WireAdapter", "adapter_of"]
