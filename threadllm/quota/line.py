"""A line: the requests to one model of one origin, when the next may go, and what was learnt.

All that is told of a request meets here: that it may go, what became of it, what the provider
says. Who goes first, and the waiting, is `entrance`'s.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from threadllm.quota.entrance import Entrance
from threadllm.quota.estimate import Estimate
from threadllm.quota.gate import Gate
from threadllm.quota.learning import Learning
from threadllm.quota.news import News
from threadllm.quota.permit import Ended, Need, Permit, Refusal
from threadllm.quota.told import Told

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Iterable

    from threadllm.outcome import Usage
    from threadllm.providers import Allowance
    from threadllm.quota.memory import Learnt
    from threadllm.quota.origin import Origin

_WORTH_TELLING = 1.0  # second by which a pause is prolonged
_NONE = Need()


class Line:
    """The requests to one model of one origin under one quota, whose lock guards all of it.

    Attributes:
        name: What people call it: the origin, and the model.
        origin: What it shares with the origin's other models.
        lock: The quota's.
        entrance: Where requests wait.
        estimate: What requests cost.
        gate: Shut while everyone is to wait.
        pace: Learnt from refusals.
        told: Limits that the provider has told.
        counts_tokens: Whether a limit on tokens is known.
    """

    def __init__(
        self,
        name: str,
        origin: Origin,
        lock: threading.RLock,
        learnt: Learnt,
        *,
        adaptive: bool,
        paused: Callable[[], None],
        share: float = 1.0,
    ) -> None:
        self.name = name
        self.origin = origin
        self.lock = lock
        self.entrance = Entrance(self)
        self.estimate = Estimate()
        self.gate = Gate()
        self.told = Told(learnt, share)
        self._news = News(name)
        self._learning = Learning(origin, learnt, self._news, adaptive=adaptive)
        self.pace = self._learning.pace
        self._paused = paused  # told of each pause, with the lock held
        self._number = 0  # requests let through
        self._reserved = Need()  # for them
        self._pauses = 0  # in a row for which no provider has asked
        self._take_stock()
        self._is_free = not (origin.is_known or self._limits)

    def is_free(self, now: float) -> bool:
        """Whether calls may go by without a permit, which costs; it is asked without the lock.

        They name no origin, nothing was stated, nothing was refused yet, and nobody waits.
        """
        return self._is_free and self.gate.opens_at <= now and not self.entrance.waiting

    # Before a request; the lock is held.

    def wait(self, need: Need, now: float, *, is_retry: bool) -> float:
        """Seconds until another request may go, slots apart; perhaps infinite."""
        longest = max(
            self.gate.opens_at - now,
            self.pace.wait(now),
            self.origin.wait(now, is_retry=is_retry),
        )
        for limit in self._limits:
            longest = max(longest, limit.wait(need, now))
        return longest

    def let_in(self, need: Need, now: float, *, is_retry: bool, waited: bool) -> Permit:
        """Let a request through: `wait` has said that it may go."""
        self._number += 1
        if need != _NONE:
            self._reserved = self._reserved.plus(need)
        beside = len(self.origin.in_flight)
        permit = Permit(now, self._number, beside, need, self._reserved)
        self.pace.take(now, waited=waited)
        for limit in self._limits:
            limit.charge(need, now)
        if self.origin.let_in(permit, now, is_retry=is_retry):
            self._news.tell("breaker half-open: a few requests find out how things are")
        return permit

    # After it.

    def leave(self, permit: Permit, usage: Usage, now: float) -> None:
        """Take in that a request has ended: see `Permit.ended` and `Permit.refusal`."""
        with self.lock:
            self.origin.give_room_back(permit)
            if permit.refusal is not None:
                self._refuse(permit, permit.refusal, now)
            elif permit.ended is Ended.ACCEPTED:
                self._accept(permit, usage, now)
            elif permit.ended is Ended.UNKNOWN:
                self._teaches_nothing(permit)
            else:
                self._fail(permit, now)
            self.origin.wake()
        self._news.log()

    def answer_begins(self, permit: Permit) -> None:
        """Take in that a good answer is on its way: as a probe the request has done its part.

        Its body may last, and who reads it may wait for another request meanwhile.
        """
        with self.lock:
            self._succeed(permit)
            permit.is_probe = False
            self.origin.wake()
        self._news.log()

    def rest_after(self, permit: Permit) -> float | None:
        """Seconds for which the breaker opens again; None if this is no probe that has failed."""
        circuit = self.origin.circuit
        if circuit is None or not (permit.is_probe and permit.ended.is_failure):
            return None
        return circuit.breaker.cooldown

    def withdraw(self, permit: Permit, now: float) -> None:
        """Take back a permit that was not used, as its call has others of its own."""
        with self.lock:
            self.origin.give_room_back(permit)
            for limit in self._limits:
                limit.take_back(permit.need, now)
            self.origin.wake()

    def stand_aside(self, permit: Permit) -> None:
        """Let a call that waits for something else have no slot meanwhile; it stays charged."""
        with self.lock:
            self.origin.give_room_back(permit)
            self.origin.wake()

    def hear(self, permit: Permit, allowances: Iterable[Allowance], now: float) -> None:
        """Take in what an answer says of limits."""
        with self.lock:
            charged = self._number, self._reserved
            for news in self.told.hear(permit, allowances, charged, now):
                self._news.tell(news)
            self._take_stock()
            self.entrance.wake()
        self._news.log()

    def refuse(self, permit: Permit | None, at: float, refusal: Refusal, now: float) -> None:
        """Take in a 429 to a call that has left already.

        Args:
            permit: That of the call; None if it went by without.
            at: Monotonic seconds when it began.
            refusal: How it was refused.
            now: Monotonic seconds.
        """
        with self.lock:
            self._is_free = False
            if permit is None:
                self._number += 1
                permit = Permit(at, self._number, 0, _NONE, self._reserved)
            self._refuse(permit, refusal, now)
            self.origin.wake()
        self._news.log()

    # Within; the lock is held.

    def _take_stock(self) -> None:
        """Know which limits are to be counted now."""
        self._limits = [*self.origin.limits, *self.told.scarce]
        self.counts_tokens = any(limit.kind != "requests" for limit in self._limits)

    def _accept(self, permit: Permit, usage: Usage, now: float) -> None:
        self._pauses = 0
        if self.counts_tokens and usage.total_tokens:
            used = Need(usage.input_tokens, usage.output_tokens)
            for limit in self._limits:
                limit.settle(permit.need, used, now)
            self.estimate.learn(permit.size, usage)
        self._learning.accept(permit, now)
        self._succeed(permit)

    def _succeed(self, permit: Permit) -> None:
        circuit = self.origin.circuit
        if circuit is not None and circuit.succeed(permit):
            self._news.tell("breaker closed")

    def _fail(self, permit: Permit, now: float) -> None:
        if permit.ended is Ended.FULL:
            self.origin.excuse(permit)
            if not permit.is_probe and self._learning.fill():
                return
        circuit, answered = self.origin.circuit, permit.ended is not Ended.FAILED
        if circuit is not None and circuit.fail(permit, now, answered=answered):
            seconds = circuit.breaker.cooldown
            self._news.tell(f"breaker open for {seconds:g} s, as too many requests failed")

    def _teaches_nothing(self, permit: Permit) -> None:
        if self.origin.circuit is not None:
            self.origin.circuit.give_back(permit)

    def _refuse(self, permit: Permit, refusal: Refusal, now: float) -> None:
        self._give_tokens_back(permit, now)
        self._teaches_nothing(permit)
        if self._learning.refuse(permit, refusal, self._limits, now):
            self._pause(permit, refusal, now)

    def _pause(self, permit: Permit, refusal: Refusal, now: float) -> None:
        asked, before = refusal.asked, self.gate.opens_at
        seconds = refusal.pause(self._pauses) if asked is None else asked
        if self.gate.shut(now + seconds, now=now, sent=permit.at, asked=asked is not None):
            self._pauses += asked is None
            self._paused()
            if now + seconds > max(now, before) + _WORTH_TELLING or before <= now:
                who = "as nobody said how long" if asked is None else "as the provider asked"
                self._news.tell(f"paused for {seconds:.3g} s, {who}")

    def _give_tokens_back(self, permit: Permit, now: float) -> None:
        for limit in self._limits:
            if limit.kind != "requests":
                limit.take_back(permit.need, now)
