"""What may be in flight, and when: one `Quota` for each account of a provider.

The rooms here count, tell and lend slots; they know no request, and start no thread. From the top:

- `quotas` says whose quota a request goes by, and `quota` has a line for each origin and model;
- `sharing` says how many of the slots may be used here and by workers elsewhere, and `lease` is the
  quota of one of those;
- `line` is told all that becomes of requests there, and `entrance` is where they wait;
- `origin` is what the lines of one origin share, `slots` among that;
- `gate`, `limit` and `breaker` say when: a pause, a limit that somebody knows, an outage;
- `learning` is what 429s teach: a `pace`, how many may be in flight (`concurrency`), or that it
  was `chance`;
- `meter` is what rates are made of.
"""

from threadllm.quota.breaker import Breaker
from threadllm.quota.entrance import Visitor
from threadllm.quota.lease import LeasedQuota
from threadllm.quota.line import Line
from threadllm.quota.memory import forget
from threadllm.quota.permit import Ended, Need, Permit, Refusal, ended_by
from threadllm.quota.quota import Pause, Quota, Units
from threadllm.quota.quotas import NO_QUOTAS, PORTS, Quotas, origin_of
from threadllm.quota.settings import Settings, part
from threadllm.quota.sharing import Share
from threadllm.quota.slots import Slots
from threadllm.quota.snapshot import KnownLimit, LineSnapshot, Snapshot

__all__ = [
    "NO_QUOTAS",
    "PORTS",
    "Breaker",
    "Ended",
    "KnownLimit",
    "LeasedQuota",
    "Line",
    "LineSnapshot",
    "Need",
    "Pause",
    "Permit",
    "Quota",
    "Quotas",
    "Refusal",
    "Settings",
    "Share",
    "Slots",
    "Snapshot",
    "Units",
    "Visitor",
    "ended_by",
    "forget",
    "origin_of",
    "part",
]
