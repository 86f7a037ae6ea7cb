"""The last openai that is built on requests: the transport mends its requests in place.

It cannot stand beside the current one, so THREADLLM_OPENAI_0_28 names a Python that has it.
"""

import json
import os
import subprocess
from pathlib import Path

import pytest

from threadllm.simulator import Fault, answer_to

pytestmark = pytest.mark.sdks
SCRIPT = Path(__file__).with_name("openai_0_28.py")


def run(way, sim, prompts):
    """What became of each prompt."""
    python = os.environ["THREADLLM_OPENAI_0_28"]
    command = [python, "-W", "error", str(SCRIPT), way, sim.base_url, *prompts]
    ended = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert ended.stderr == ""
    return json.loads(ended.stdout)


@pytest.mark.parametrize("way", ["whole", "streaming"])
def test_a_429_and_a_503_are_waited_out(sim, way):
    """Each try is on record, so it went through the transport; 429s are charged to nobody."""
    prompts = [f"prompt {n}" for n in range(6)]
    faults = [Fault(status=429, retry_after=0.05), Fault(status=503), Fault(kind="reset")]
    sim.script({prompts[0]: faults, prompts[3]: faults[:1]})

    outcomes = run(way, sim, prompts)

    assert [outcome["error"] for outcome in outcomes] == [None] * 6
    assert [outcome["value"] for outcome in outcomes] == [answer_to(prompt) for prompt in prompts]
    assert [outcome["attempts"] for outcome in outcomes] == [3, 1, 1, 1, 1, 1]
    assert [outcome["statuses"] for outcome in outcomes] == [
        [429, 503, None, 200],
        [200],
        [200],
        [429, 200],
        [200],
        [200],
    ]
    assert (sim.counts().requests, sim.counts().answered_twice) == (10, 0)


@pytest.mark.parametrize(
    ("status", "error", "tries"),
    [(400, "InvalidRequestError", 1), (503, "ServiceUnavailableError", 8)],
)
def test_what_cannot_be_mended_is_the_sdks_error(sim, status, error, tries):
    """A refusal is final; where nothing helps there are as many tries as the policy has."""
    sim.script([Fault(status=status)] * 9)

    [outcome] = run("whole", sim, ["hello"])

    assert (outcome["error"], outcome["attempts"]) == (error, tries)
    assert outcome["statuses"] == [status] * tries
    assert sim.counts().requests == tries
