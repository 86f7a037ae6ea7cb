"""Once, with a real provider and in real time: calls do run at the same time."""

import time

import requests

import threadllm
from threadllm.simulator import Latency, Simulator


def test_ten_calls_of_three_seconds_take_three_seconds():
    """Plain functions that block, one line, a tenth of the time."""
    with Simulator(latency=Latency(mean=3)) as provider:

        def call_llm(prompt):
            messages = [{"role": "user", "content": prompt}]
            body = {"model": "m", "messages": messages}
            answer = requests.post(f"{provider.base_url}/chat/completions", json=body)
            return len(answer.json()["choices"])

        began = time.monotonic()
        values = threadllm.map(call_llm, map(str, range(10)), max_workers=10)
        took = time.monotonic() - began

    assert values == [1] * 10
    assert 3 <= took < 3.3
