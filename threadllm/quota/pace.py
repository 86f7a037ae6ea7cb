"""The pace that is learnt where nobody knows the limit: down on a 429, and up again by probing.

Whenever a request is refused the provider's bucket is empty. So what it let in between two such
moments, over the time between them, is its rate, whatever its burst, if the pace was never below
it. To that the pace falls, and from there it grows: slowly at first, and the faster the longer
nothing is refused, so that a limit which has moved is found as well. Where falling does not help,
something else is why requests are refused: see `chance`. The room is told the time, and waits for
nothing.
"""

from __future__ import annotations

import math
from collections import deque
from typing import TYPE_CHECKING, NamedTuple

from threadllm.quota.chance import Chance
from threadllm.quota.meter import Meter, at_once

if TYPE_CHECKING:
    from threadllm.quota.permit import Permit

_CAUTION = 0.97  # of a rate that was found
_IN_THE_DARK = 0.7  # of a rate at which it went wrong: beta of AWS's adaptive mode
_MEASURED_OVER = 1.0  # seconds, at least, where a guess is made
_ENOUGH = 8  # requests let in that a finding rests on,
_LONG_ENOUGH = 0.5  # and seconds
_DOUBLES_IN = 60.0  # seconds of probing above a rate that was found
_DOUBLES_IN_THE_DARK = 4.0
_LONGEST_STEP = 1.0  # seconds of probing that one request stands for, at most
_SAFE = 1.02  # times what was found: until then nothing should be refused
_HALVES_IN = 30.0  # seconds: what the best rate that was found is worth, as limits move
_APART = 0.5  # seconds between two excused refusals that are remembered
_REMEMBERED = 8
_LEAST = 1 / 60  # requests a second


class _Drained(NamedTuple):
    """A moment at which the provider's bucket was empty, and what it had let in by then."""

    at: float
    let_in: int


class Pace:
    """Requests a second, as learnt from refusals. Its owner's lock guards it.

    Attributes:
        meter: What requests are taken from; None while no pace is known.
        refused_at: When a refusal was last taken in. One of what was sent before is an echo.
    """

    def __init__(self) -> None:
        self.meter: Meter | None = None
        self.refused_at = -math.inf
        self._found = math.inf  # requests a second, when it last fell
        self._is_sure = False  # whether that was found, or guessed
        self._probed = 0.0  # seconds since then in which it held requests back
        self._began = math.inf
        self._last = -math.inf  # when a request was last let through
        self._refused = 0
        self._refusals: deque[_Drained] = deque(maxlen=_REMEMBERED)
        self._best = 0.0  # requests a second, of the rates that were found
        self._best_at = -math.inf
        self._chance = Chance()

    @property
    def rate(self) -> float:
        """Requests a second; infinite while no pace is known."""
        return math.inf if self.meter is None else self.meter.rate

    def begin_at(self, rate: float) -> None:
        """Let a rate hold that was learnt before."""
        self.meter = Meter(rate, at_once(rate))
        self._found, self._is_sure = rate, True
        self._chance.start(is_safe=True)

    def wait(self, now: float) -> float:
        """Seconds until the next request may go."""
        return 0.0 if self.meter is None else self.meter.wait(1, now)

    def take(self, now: float, *, waited: bool) -> None:
        """Let a request through; `waited` tells whether the pace is what holds requests back."""
        self._began = min(self._began, now)
        if self.meter is None:
            return
        is_used_up = not self.meter.is_idle(now)
        self.meter.charge(1, now)
        if waited and is_used_up:
            self._probed += min(now - self._last, _LONGEST_STEP)
            if self._is_sure:
                rate = self._found * (1 + (self._probed / _DOUBLES_IN) ** 2)
            else:
                rate = self._found * 2 ** (self._probed / _DOUBLES_IN_THE_DARK)
            self.meter.set_rate(rate, at_once(rate), now)
        self._last = now

    def excuse(self, permit: Permit) -> None:
        """Take in a refusal that something else explains; it may be a finding's beginning."""
        refusal = self._taken_in(permit)
        if not self._refusals or refusal.at > self._refusals[-1].at + _APART:
            self._refusals.append(refusal)

    def overlooks(self, permit: Permit) -> bool:
        """Take in a refusal if it is one of those that come whatever the pace."""
        is_safe = self._is_safe_for(permit)
        if permit.at > self.refused_at:
            self._chance.look(self._let_in_before(permit), is_safe=is_safe)
        if not self._chance.lets_pass(at_safe_pace=is_safe):
            return False
        self._refused += 1
        return True

    def refuse(self, permit: Permit, now: float) -> bool:
        """Take in a refusal that is not overlooked, and say whether the pace has changed.

        It has not after echoes, nor where nothing was let in since the last one: that teaches
        nothing of rates.

        Args:
            permit: Of the request.
            now: Monotonic seconds.
        """
        is_safe = self._is_safe_for(permit)
        refusal = self._taken_in(permit)
        if permit.at <= self.refused_at:
            return False
        self.refused_at = now
        found = self._found_by(refusal)
        last = self._refusals[-1] if self._refusals else _Drained(self._began, 0)
        self._refusals.append(refusal)
        if refusal.let_in <= last.let_in:
            return False
        if self._chance.explains(at_safe_pace=is_safe) and self.meter is not None:
            self._is_sure = False
            self._set(max(self._best_by(now), self.meter.rate), now)
            return True
        self._is_sure = found is not None
        if found is None:
            rate = self._guess(refusal, last, permit.beside)
        else:
            rate = found * _CAUTION
            if rate > self._best_by(now):
                self._best, self._best_at = rate, now
            rate = rate if self.meter is None else min(rate, self.meter.rate * _CAUTION)
        self._set(rate, now)
        return True

    def _is_safe_for(self, permit: Permit) -> bool:
        """Whether a request was sent at a pace at which no limit refuses any, if there is one."""
        if self.meter is None or not self._is_sure or permit.at <= self.refused_at:
            return False
        return self.meter.rate <= _SAFE * self._found

    def _best_by(self, now: float) -> float:
        """What the best rate that was found is still worth."""
        worth: float = 0.5 ** ((now - self._best_at) / _HALVES_IN)
        return self._best * worth

    def _guess(self, refusal: _Drained, last: _Drained, beside: int) -> float:
        """A rate well below that at which it went wrong."""
        if self.meter is not None:
            return self.meter.rate * _IN_THE_DARK
        if refusal.let_in < last.let_in + _ENOUGH:
            last = _Drained(self._began, 0)
        seconds = max(_MEASURED_OVER, refusal.at - last.at)
        return max(refusal.let_in - last.let_in, beside) / seconds * _IN_THE_DARK

    def _let_in_before(self, permit: Permit) -> int:
        return permit.number - 1 - self._refused

    def _taken_in(self, permit: Permit) -> _Drained:
        refusal = _Drained(permit.at, self._let_in_before(permit))
        self._refused += 1
        return refusal

    def _found_by(self, refusal: _Drained) -> float | None:
        """The provider's rate, where enough was let in since an earlier refusal.

        Where the pace was below that at first, and has grown far beyond, the provider's bucket has
        run over in between, and what was let in is too little to go by.
        """
        for earlier in reversed(self._refusals):
            let_in, seconds = refusal.let_in - earlier.let_in, refusal.at - earlier.at
            if let_in >= _ENOUGH and seconds >= _LONG_ENOUGH:
                found = let_in / seconds
                ran_over = self.meter is not None and (
                    self._found < found < _IN_THE_DARK * self.meter.rate
                )
                return None if ran_over else found
        return None

    def _set(self, rate: float, now: float) -> None:
        rate = max(rate, _LEAST)
        self._found, self._probed, self._last = rate, 0.0, now
        self.meter = Meter(rate, at_once(rate))
        self.meter.set_level(0.0, now)
        self._chance.start(is_safe=self._is_sure)
