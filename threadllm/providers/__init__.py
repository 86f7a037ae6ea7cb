"""What providers say, and what it means: tables, so that a new provider is a new row.

The rooms here read statuses, headers and bodies that somebody else received. They make no
request, keep no state and know no HTTP library.
"""

from threadllm.providers.asking import NOTHING, Asked, asked_by
from threadllm.providers.details import Details, details_of
from threadllm.providers.limits import Allowance, Kind, limits_of, mentions_limits
from threadllm.providers.reply import ERRORS, Reply, parse_body
from threadllm.providers.shapes import is_transient, reply_of, status_of
from threadllm.providers.usage import StreamUsage, usage_of
from threadllm.providers.verdict import Verdict, advice, effective_status, verdict_on
from threadllm.providers.waits import seconds_to_wait

__all__ = [
    "ERRORS",
    "NOTHING",
    "Allowance",
    "Asked",
    "Details",
    "Kind",
    "Reply",
    "StreamUsage",
    "Verdict",
    "advice",
    "asked_by",
    "details_of",
    "effective_status",
    "is_transient",
    "limits_of",
    "mentions_limits",
    "parse_body",
    "reply_of",
    "seconds_to_wait",
    "status_of",
    "usage_of",
    "verdict_on",
]
