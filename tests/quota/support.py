"""What tests of a quota are made of: lines, what becomes of requests there, and who waits."""

import threading

from threadllm.exceptions import CallCancelled
from threadllm.outcome import Usage
from threadllm.quota import Breaker, Ended, Need, Permit, Quota, Refusal

ORIGIN = "https://a:443"
NAME = f"{ORIGIN} m"
NOTHING = Need()
SOON = Breaker(sliding_window=2, failure_rate=1, probes=1)
PATIENCE = 10  # real seconds after which what should happen has not


def a_line(quota=None, model="m", **settings):
    return (quota or Quota(**settings)).line(ORIGIN, model)


def a_permit(number=1, *, at=0.0, beside=0, need=NOTHING, reserved=None):
    return Permit(at, number, beside, need, need if reserved is None else reserved)


def let_in(line, now=0.0, *, need=NOTHING, is_retry=False, waited=False):
    return line.let_in(need, now, is_retry=is_retry, waited=waited)


def fly(line, number, now=0.0):
    return [let_in(line, now) for _ in range(number)]


def leave(line, permit, now=0.0, *, ended=Ended.ACCEPTED, usage=None):
    permit.ended = ended
    line.leave(permit, usage or Usage(), now)


def refuse(line, permit, now=0.0, *, asked=None, pause=lambda paused: 0.5 * 2**paused):
    permit.ended, permit.refusal = Ended.ACCEPTED, Refusal(asked, pause)
    line.leave(permit, Usage(), now)


def wait(line, now=0.0, *, need=NOTHING, is_retry=False):
    return line.wait(need, now, is_retry=is_retry)


def tokens(line):
    """What is left of each limit."""
    return {limit.kind: limit.left(0) for limit in line._limits}


def most_in_any_window(starts, rate):
    """By how much the starts in any window of time exceed what flows in meanwhile, at most."""
    worst = low = 0.0
    for number, at in enumerate(sorted(starts)):
        before = number - rate * at
        low = before if not number else min(low, before)
        worst = max(worst, before + 1 - low)
    return worst


class Guest:
    """A visitor. It says when it is about to wait, and counts how often it woke."""

    def __init__(self, quota, clock, *, rides=False):
        self.holds_slot = False
        self.is_parked = False
        self.rides = rides
        self.called_off = False
        self.told = []  # the seconds of its waits
        self.wakes = 0
        self.asleep = threading.Event()  # set under the line's lock, which a wait gives back
        self.wants_slot = threading.Event()
        self.slots = quota.slots
        self._clock = clock

    def now(self):
        return self._clock.monotonic()

    def check(self):
        if self.called_off:
            raise CallCancelled("called off")

    def take_slot(self):
        self.wants_slot.set()
        self.holds_slot = self.slots.acquire(called_off=lambda: self.called_off)
        if not self.holds_slot:
            self.check()

    def give_slot_back(self):
        if self.holds_slot:
            self.holds_slot = False
            self.slots.release()

    def count_parked(self, *, parked):
        self.is_parked = parked

    def wait(self, condition, seconds):
        self.told.append(seconds)
        self.asleep.set()
        self._clock.wait(condition, seconds)
        self.wakes += 1

    def sleeps(self, line):
        """Wait until it waits in the line."""
        assert self.asleep.wait(PATIENCE)
        with line.lock:  # which it holds until it waits
            self.asleep.clear()
        return self


class Hours:
    """A clock for one thread: to wait is to let the time pass."""

    def __init__(self):
        self.now = 0.0

    def monotonic(self):
        return self.now

    def wait(self, condition, seconds):
        assert seconds is not None, "nobody is there to wake it"
        self.now += seconds
