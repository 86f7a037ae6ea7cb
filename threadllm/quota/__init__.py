"""What may be in flight, and when: one `Quota` for each account of a provider.

The rooms here count, tell and lend slots; they know no request and start no thread.
"""

from threadllm.quota.gate import Gate
from threadllm.quota.quota import Quota

__all__ = ["Gate", "Quota"]
