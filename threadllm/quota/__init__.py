"""What may be in flight, and when: one `Quota` for each account of a provider.

The rooms here count and tell; they know no request and start no thread.
"""

from threadllm.quota.gate import Gate
from threadllm.quota.quota import Quota

__all__ = ["Gate", "Quota"]
