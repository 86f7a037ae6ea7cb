"""A provider to run against, on loopback: its limits, its faults, its latency.

The house's only user of aiohttp (extra `sim`). The room must not know the client it serves.
"""

from threadllm.simulator.counts import Counts
from threadllm.simulator.faults import Fault
from threadllm.simulator.latency import Latency
from threadllm.simulator.limits import Limits
from threadllm.simulator.simulator import Simulator
from threadllm.simulator.text import answer_to, digest

__all__ = ["Counts", "Fault", "Latency", "Limits", "Simulator", "answer_to", "digest"]
