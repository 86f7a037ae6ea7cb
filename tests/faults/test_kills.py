"""Row 21: kill -9, at 200 random moments, and after each the run that goes on to its end."""

import random
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.faults.killing import Forks
from tests.support import until
from threadllm.journal import reading
from threadllm.journal.store import check
from threadllm.simulator import Latency, Simulator

KILLS = 200
WORKERS = 8
PROMPTS = 24


def lines_of(path):
    """What was handed over, as whole lines."""
    text = path.read_text() if path.exists() else ""
    return dict(line.split("\t") for line in text[: text.rfind("\n") + 1].splitlines())


class Round:
    """One journal: a run that is killed, and the one after it."""

    def __init__(self, folder, sim, number):
        self.sim = sim
        self.journal = folder / f"{number}.db"
        self.handed = folder / f"{number}.txt"
        self.first = number * PROMPTS
        self.prompts = [f"prompt {n}" for n in range(self.first, self.first + PROMPTS)]

    def play(self, forks, dice):
        """Let a run be killed, and another end; what was found between.

        Every other one is killed after a time, which has it in all the stages of its beginning; the
        others once so many are handed over, however fast the machine is.
        """
        words = (self.sim.base_url, self.journal, self.handed, self.first, PROMPTS)
        forks.start(*words)
        if self.first // PROMPTS % 2:
            time.sleep(dice.uniform(0.0, 0.16))
        else:
            least = dice.randrange(PROMPTS)
            until(lambda: len(lines_of(self.handed)) >= least)
            time.sleep(dice.uniform(0.0, 0.01))
        was_killed = forks.killed() == -9
        handed = lines_of(self.handed)
        kept = self.kept()
        assert handed.items() <= kept.items()
        forks.start(*words)
        assert forks.ended() == 0
        assert self.kept().keys() == {*self.prompts}
        assert lines_of(self.handed) == self.kept()
        return was_killed, 0 < len(kept) < PROMPTS

    def kept(self):
        """What the journal holds, by prompt; nothing while it is not yet one."""
        if check(str(self.journal)):
            return {}
        found = {}
        for record in reading.records(str(self.journal)):
            assert record["status"] == "ok"
            found[record["value"].partition(": ")[2]] = record["value"]
        return found

    def bought(self):
        """Answers that were sent beyond one for each prompt."""
        counts = self.sim.counts()
        return sum(counts.answered_of(prompt) for prompt in self.prompts) - PROMPTS


@pytest.mark.long
def test_fault_21_a_kill_loses_nothing_that_was_handed_over(tmp_path):
    """The journal opens, the run goes on, and at most what was in flight is bought again."""
    dice, lock = random.Random(21), threading.Lock()
    with Simulator(latency=Latency(mean=0.01)) as sim:
        rounds = [Round(tmp_path, sim, number) for number in range(KILLS)]
        waiting = iter(rounds)

        def play(_):
            found = []
            with Forks() as forks:
                while True:
                    with lock:
                        round_, own = next(waiting, None), random.Random(dice.random())
                    if round_ is None:
                        return found
                    found.append(round_.play(forks, own))

        with ThreadPoolExecutor(3) as pool:
            found = [one for several in pool.map(play, range(3)) for one in several]
        assert len(found) == KILLS
        assert [round_.bought() for round_ in rounds if round_.bought() > WORKERS] == []
        twice = sim.counts().answered_twice

    killed = sum(was for was, _ in found)
    amid = sum(was for _, was in found)
    assert killed > KILLS / 2  # the others had ended before
    assert amid > KILLS / 10
    assert twice > 0  # else none was in flight when it was killed
