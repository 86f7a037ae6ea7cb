"""What workers are given by `scale`: functions that can be imported in another process."""

from __future__ import annotations

import time
from typing import Any

import requests

PAYLOAD: Any = {
    "model": "gpt-4o-mini",
    "messages": [{"role": "user", "content": "Explain sorted()."}],
}
HEADERS = {"Authorization": "Bearer sk-benchmark-0123456789"}


def ask(url: str) -> int:
    """The function that people have; the length of the answer."""
    response = requests.post(url, json=PAYLOAD, headers=HEADERS, timeout=60)
    response.raise_for_status()
    return len(response.json()["choices"][0]["message"]["content"])


def wait(seconds: float) -> float:
    """A call that takes so long, and nothing of this machine."""
    time.sleep(seconds)
    return seconds
