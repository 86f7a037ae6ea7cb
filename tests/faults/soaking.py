"""A provider of which one request in twenty goes wrong, in a process of its own."""

import json
import subprocess
import sys
from typing import get_args

from tests.dispatcher.support import plain_environment
from threadllm.simulator.faults import Kind

SHARE = 0.05
STATUSES = (429, 500, 503, 529, 408, 409)
KINDS = [kind for kind in get_args(Kind) if kind not in {"status", "ok"}]

# It says where it is, and at the end of its input what it has served.
CODE = """
import json, sys
from threadllm.simulator import Fault, Latency, Simulator

faults = [Fault(**fault) for fault in json.loads(sys.argv[1])]
with Simulator(latency=Latency(mean=0.02, spread=0.5), faults=faults, seed=5) as simulator:
    print(simulator.base_url, flush=True)
    sys.stdin.read()
    counts = simulator.counts()
print(json.dumps([counts.requests, counts.aborted, counts.answered_twice, counts.by_status]))
"""


def faults():
    """All that the simulator knows, one as likely as the other."""
    told = {"retry_after": 0.05}  # else chance alone would hold the run up for minutes
    each = [
        *({"status": status, **(told if status == 429 else {})} for status in STATUSES),
        *({"kind": kind} for kind in KINDS),
    ]
    return [{**fault, "rate": SHARE / len(each)} for fault in each]


class Provider:
    """The process.

    Attributes:
        base_url: Where it is.
        served: Its requests, those that were not answered whole, prompts that were answered more
            than once, and answers by status; once it has ended.
    """

    def __enter__(self):
        self._process = subprocess.Popen(
            [sys.executable, "-c", CODE, json.dumps(faults())],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=plain_environment(),
        )
        self.base_url = self._process.stdout.readline().strip()
        return self

    def __exit__(self, *_):
        out, _ = self._process.communicate()
        self.served = json.loads(out)
