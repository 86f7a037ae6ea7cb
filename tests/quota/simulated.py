"""A provider, and the work that goes to it through a real line, in a time of their own.

No thread runs and nothing waits: what happens next is taken from a heap. Who waits in the line is
admitted as `Entrance` does it.
"""

import heapq
import itertools
import math
import random
from collections import deque

from threadllm.outcome import Usage
from threadllm.quota import Ended, Need, Quota, Refusal
from threadllm.retry import Retry

_DUST = 1e-9
_SOON = 0.002  # seconds by which threads wake late, at most
_WIRE = 0.02  # seconds that a request takes to arrive, at most; its answer as well
_NEED = Need()
_PAUSE = Retry().pause


def lognormal(mean, spread=0.5):
    """Latencies as of a model: a few take far longer than most."""
    sigma = math.sqrt(math.log1p(spread**2))
    return lambda rng: rng.lognormvariate(math.log(mean) - sigma**2 / 2, sigma)


class Bucket:
    """What a provider keeps: tokens that flow in by the second, and a burst of them."""

    def __init__(self, rate, burst):
        self.rate, self.burst = rate, burst
        self._level, self._at = burst, 0.0

    def seconds_to_one(self, now):
        """0 if there is one."""
        self._flow(now)
        return max(0.0, 1 - self._level) / self.rate if self._level < 1 - _DUST else 0.0

    def take(self):
        self._level -= 1

    def let_flow(self, rate, now):
        self._flow(now)
        self.rate = rate

    def _flow(self, now):
        self._level = min(self.burst, self._level + (now - self._at) * self.rate)
        self._at = now


class Provider:
    """Limits that are kept and not told.

    Args:
        per_minute: Requests, if there is a limit on them.
        burst: What may come at once.
        together: Requests that may be in flight at once.
        too_many: The status of one that is too many.
        names_the_wait: Whether 429s come with a Retry-After.
        moves: When the limit changes, and the factor of `per_minute` that holds from then on.
        fails: The share of requests that are answered 503 for no reason.
        refuses: The share of requests that are answered 429 for no reason.
    """

    def __init__(
        self,
        per_minute=None,
        *,
        burst=20,
        together=math.inf,
        too_many=429,
        names_the_wait=True,
        moves=(),
        fails=0.0,
        refuses=0.0,
    ):
        self.rate = math.inf if per_minute is None else per_minute / 60
        self.bucket = Bucket(self.rate, burst)
        self.together, self.too_many = together, too_many
        self.names_the_wait = names_the_wait
        self.moves = deque(moves)
        self.fails, self.refuses = fails, refuses
        self.active = 0

    def answer(self, now, rng):
        """A status, and the seconds to wait where they are named."""
        while self.moves and now >= self.moves[0][0]:
            moment, factor = self.moves.popleft()
            self.bucket.let_flow(self.rate * factor, moment)
        if self.active >= self.together:
            return self.too_many, None
        if rng.random() < self.fails:
            return 503, None
        if rng.random() < self.refuses:
            return 429, 0.02 if self.names_the_wait else None
        if self.rate < math.inf:
            seconds = self.bucket.seconds_to_one(now)
            if seconds:
                return 429, seconds if self.names_the_wait else None
            self.bucket.take()
        self.active += 1
        return 200, None


class _Job:
    """An item that a worker has in hand."""

    def __init__(self):
        self.tries = 0
        self.failures = 0
        self.has_parked = False


class Simulation:
    """Workers that send items to a provider, by one line of a quota.

    Attributes:
        line: The line.
        makespan: Seconds until the last item was done.
        statuses: How often each was answered.
        failures: The most 503s that an item had.
        sizes: Moments, and how many were allowed in flight from then on.
    """

    def __init__(self, provider, *, items=3000, workers=64, latency=None, seed=1, quota=None):
        self.line = (quota or Quota(workers)).line("https://simulated:443", "model")
        self.makespan = 0.0
        self.statuses = {200: 0, 429: 0, 503: 0}
        self.failures = 0
        self.sizes = []
        self.started = []
        self._provider = provider
        self._latency = latency or lognormal(1.0)
        self._rng = random.Random(seed)
        self._now = 0.0
        self._events = []
        self._order = itertools.count()
        self._alarm = None
        self._line = deque()
        self._items, self._left = items, items
        for _ in range(workers):
            self._feed()
        self._admit()
        while self._events and self.statuses[200] < items:
            self._now, _, happens, told = heapq.heappop(self._events)
            happens(*told)
            self._note_size()

    @property
    def refused(self):
        """429s, as a share of all answers."""
        return self.statuses[429] / sum(self.statuses.values())

    @property
    def done(self):
        return self.statuses[200]

    def average_size(self):
        """How many the window allowed, over time."""
        ends = [moment for moment, _ in self.sizes[1:]] + [self.makespan]
        both = zip(self.sizes, ends, strict=True)
        return sum((end - moment) * size for (moment, size), end in both) / self.makespan

    def _note_size(self):
        size = int(self.line.origin.concurrency.size)
        if not self.sizes or self.sizes[-1][1] != size:
            self.sizes.append((self._now, size))

    def _in(self, seconds, happens, *told):
        event = (self._now + seconds, next(self._order), happens, told)
        heapq.heappush(self._events, event)
        return event

    def _feed(self):
        if self._left:
            self._left -= 1
            self._line.append(_Job())

    def _ring(self, alarm):
        if alarm is self._alarm:
            self._alarm = None
            self._admit()

    def _wake_in(self, seconds):
        self._alarm = object()
        self._in(seconds + self._rng.uniform(0, _SOON), self._ring, self._alarm)

    def _admit(self):
        """Let in who may go: see `Entrance`."""
        line, now = self.line, self._now
        while self._line:
            is_retry = self._line[0].failures > 0
            seconds = line.wait(_NEED, now, is_retry=is_retry)
            if seconds > _DUST:
                for job in self._line:
                    job.has_parked = True
                if seconds < math.inf:
                    self._wake_in(seconds)
                return
            if not line.origin.has_room(now):
                seconds = line.origin.seconds_to_room(now)
                if seconds is not None:
                    self._wake_in(seconds)
                return
            job = self._line.popleft()
            waited = job.has_parked or bool(self._line)
            permit = line.let_in(_NEED, now, is_retry=is_retry, waited=waited)
            job.tries += 1
            self.started.append(now)
            self._in(self._rng.uniform(0, _WIRE), self._arrive, job, permit)

    def _arrive(self, job, permit):
        status, asked = self._provider.answer(self._now, self._rng)
        self.statuses[status] += 1
        if status == 200:
            self._in(self._latency(self._rng), self._leave_provider, job, permit)
        else:
            self._in(self._rng.uniform(0, _WIRE), self._answer, job, permit, status, asked)

    def _leave_provider(self, job, permit):
        self._provider.active -= 1
        self._in(self._rng.uniform(0, _WIRE), self._answer, job, permit, 200, None)

    def _answer(self, job, permit, status, asked):
        if status == 429:
            permit.ended, permit.refusal = Ended.ACCEPTED, Refusal(asked, _PAUSE)
        else:
            permit.ended = Ended.ACCEPTED if status == 200 else Ended.FULL
        self.line.leave(permit, Usage(), self._now)
        if status == 200:
            self.makespan = self._now
            self._feed()
        elif status == 429:
            self._line.append(job)
        else:
            job.failures += 1
            self.failures = max(self.failures, job.failures)
            wait = self._rng.uniform(0, min(30.0, 0.5 * 2 ** (job.failures - 1)))
            self._in(wait, self._come_again, job)
        self._admit()

    def _come_again(self, job):
        self._line.append(job)
        self._admit()
