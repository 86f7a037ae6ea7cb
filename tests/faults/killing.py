"""A process that runs jobs in forks of itself, so that each is killed without anybody else."""

import subprocess
import sys

from tests.dispatcher.support import plain_environment

# It reads a line for a job: where the provider is, the journal, the file of what was handed over,
# and which prompts; then a line that says whether to kill it. It says how it ended.
CODE = """
import os, sys
import requests, threadllm
from threadllm.journal import opened

def ask(prompt):
    response = requests.post(
        base_url + "/chat/completions",
        json={"model": "m", "messages": [{"role": "user", "content": prompt}]},
    )
    response.raise_for_status()
    return response.json()["choices"][0]["message"]["content"]

while line := sys.stdin.readline():
    base_url, journal, handed, first, count = line.split()
    child = os.fork()
    if not child:
        prompts = [f"prompt {n}" for n in range(int(first), int(first) + int(count))]
        log = os.open(handed, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        with threadllm.Dispatcher(8) as pool:
            for outcome in pool.outcomes(ask, prompts, journal=journal):
                os.write(log, f"{outcome.item}\\t{outcome.value}\\n".encode())
        os._exit(0)
    if sys.stdin.readline() == "kill\\n":
        os.kill(child, 9)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


class Forks:
    """Starts runs, and kills them."""

    def __enter__(self):
        self._process = subprocess.Popen(
            [sys.executable, "-c", CODE],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=plain_environment(),
        )
        return self

    def __exit__(self, *_):
        self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()

    def start(self, *words):
        """Begin a run."""
        self._say(" ".join(map(str, words)))

    def killed(self):
        """Kill it, as the system does that is out of memory; the status that it ended with."""
        return self._say("kill", answers=True)

    def ended(self):
        """The status that it ends with by itself."""
        return self._say("wait", answers=True)

    def _say(self, line, *, answers=False):
        self._process.stdin.write(f"{line}\n")
        self._process.stdin.flush()
        return int(self._process.stdout.readline()) if answers else None
