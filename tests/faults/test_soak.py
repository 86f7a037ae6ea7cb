"""A long run in which everything goes wrong now and then; run by `python -m pytest -m soak`.

THREADLLM_SOAK says how many calls; a hundred thousand without it.
"""

import os
import sys
import threading
import time
from collections import Counter
from pathlib import Path

import pytest
import requests

from tests.conftest import PATIENCE
from tests.faults.soaking import STATUSES, Provider
from threadllm import DeadlineExceeded, Dispatcher, Retry
from threadllm.journal import reading

CALLS = int(os.environ.get("THREADLLM_SOAK", "100000"))
THREADS = 64
PROCESS = Path("/proc/self")
DEADLINE = 3.0  # seconds
WARM = min(10_000, CALLS // 2)  # calls, before memory is looked at
MORE_KIB = 8 * 1024  # that it may come to from then on, whatever the number of calls
MORE_FILES = 24  # than threads: the journal and what listens, connections in the making


def kib():
    """What this process has of the machine's memory."""
    with (PROCESS / "status").open(encoding="ascii") as file:
        line = next(line for line in file if line.startswith("VmRSS"))
    return int(line.split()[1])


def files():
    """How many file descriptors it has open."""
    return sum(1 for _ in (PROCESS / "fd").iterdir())


@pytest.mark.soak
@pytest.mark.skipif(not PROCESS.exists(), reason="it looks at Linux's /proc")
def test_a_long_run_with_all_faults(tmp_path, capsys):
    """Every item has one outcome; memory and files stay as they are, and no thread is left."""
    threads, seen, kinds, sizes = threading.active_count(), bytearray(CALLS), Counter(), []
    journal, began = tmp_path / "run.db", time.monotonic()
    with Provider() as provider:
        url = f"{provider.base_url}/chat/completions"

        def ask(prompt):
            body = {"model": "m", "messages": [{"role": "user", "content": prompt}]}
            response = requests.post(url, json=body)
            response.raise_for_status()
            return response.json()["choices"][0]["message"]["content"]

        before = files()
        with Dispatcher(
            THREADS, deadline=DEADLINE, request_timeout=1.0, retry=Retry(wait_initial=0.05)
        ) as pool:
            prompts = (f"prompt {n}" for n in range(CALLS))
            for done, outcome in enumerate(pool.outcomes(ask, prompts, journal=journal), 1):
                seen[outcome.index] += 1
                kinds["ok" if outcome.ok else type(outcome.error).__name__] += 1
                if outcome.ok:
                    assert outcome.value.endswith(outcome.item)
                else:
                    assert isinstance(outcome.error, DeadlineExceeded | requests.RequestException)
                if done >= WARM and done % (CALLS // 100) == 0:
                    sizes.append((kib(), files()))
            totals = pool.totals
        deadline = time.monotonic() + PATIENCE
        while (threading.active_count(), files()) != (threads, before):
            assert time.monotonic() < deadline
            time.sleep(0.05)
    took = time.monotonic() - began
    wanted, aborted, twice, statuses = provider.served
    summary = reading.summary(str(journal))

    grown = max(size for size, _ in sizes) - sizes[0][0]
    most_files = max(count for _, count in sizes)
    with capsys.disabled():
        sys.stdout.write(
            f"\n{CALLS:,} calls in {took:.0f} s, {CALLS / took:,.0f} a second, {THREADS} threads\n"
            f"requests {wanted:,}, not answered whole {aborted:,}, by status {statuses}\n"
            f"outcomes {dict(kinds)}\n{totals}\n"
            f"answered twice {twice:,}\n"
            f"memory in KiB, from {WARM:,} calls on: "
            f"{' '.join(f'{size:,}' for size, _ in sizes[::10])}, {grown:,} more at most\n"
            f"files, from {WARM:,} calls on: {' '.join(str(count) for _, count in sizes[::10])}, "
            f"{most_files - before} more than before at most\n"
        )
    assert set(seen) == {1}
    assert summary.statuses == {"ok": kinds["ok"], "failed": CALLS - kinds["ok"]}
    assert kinds["ok"] > 0.98 * CALLS
    assert {str(status) for status in STATUSES} <= statuses.keys()
    assert aborted > 0
    assert grown < MORE_KIB
    assert most_files < before + THREADS + MORE_FILES
