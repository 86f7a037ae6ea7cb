"""The pace that is learnt where nobody knows the limit: down on a 429, and up again by probing.

Whenever a request is refused the provider's bucket is empty. So what it let in between two such
moments, over the time between them, is its rate, whatever its burst. To that the pace falls, and
from there it grows: slowly at first, and the faster the longer nothing is refused, so that a limit
which has moved is found as well. Where falling does not help, time after time, something else is
why requests are refused, such as a provider that is short of capacity: then there is no pace for a
while. The room is told the time, and waits for nothing.
"""

from __future__ import annotations

import math
from collections import deque
from typing import TYPE_CHECKING, NamedTuple

from threadllm.quota.meter import Meter

if TYPE_CHECKING:
    from threadllm.quota.permit import Permit

_CAUTION = 0.97  # of a rate that was found
_IN_THE_DARK = 0.7  # of a rate at which it went wrong: beta of AWS's adaptive mode
_MEASURED_OVER = 1.0  # seconds, at least
_ENOUGH = 8  # requests let in that a finding rests on
_DOUBLES_IN = 60.0  # seconds of probing above a rate that was found
_DOUBLES_IN_THE_DARK = 15.0
_APART = 0.5  # seconds between two refusals that are remembered
_REMEMBERED = 4
_LONGEST_STEP = 5.0  # seconds: what passes with nothing to do is no probing
_AT_ONCE = 0.2  # seconds' worth, as threads wake late
_LEAST = 1 / 60  # requests a second
_GREW = 1.02  # times what was found
_IN_VAIN = 4.0  # falls that rest on findings, where it had not grown in between
_HALF = 0.5  # of such a fall: one that rests on a guess, or, taken off, one after it had grown
_TRIAL = 60.0  # seconds without a pace, at first
_LONGEST_TRIAL = 960.0
_TOO_MANY = 0.4  # of all requests: if so many are refused, the trial has failed


def at_once(rate: float) -> float:
    """The units that may go at once at a rate where nobody has said: those of a moment."""
    return max(1.0, rate * _AT_ONCE)


class _Refusal(NamedTuple):
    """A moment at which the provider's bucket was empty, and what it had let in by then."""

    at: float
    let_in: int


class _Trial(NamedTuple):
    """A time without a pace, to see whether that goes as well.

    Attributes:
        since: The refusal after which it began.
        refused: How many had been refused by then.
    """

    since: _Refusal
    refused: int


class Pace:
    """Requests a second, as learnt from refusals. Its owner's lock guards it.

    Attributes:
        meter: What requests are taken from; None while no pace is known.
        fell_at: When it last fell. A refusal of what was sent before is an echo.
    """

    def __init__(self) -> None:
        self.meter: Meter | None = None
        self.fell_at = -math.inf
        self._found = math.inf  # requests a second, when it last fell
        self._is_sure = False  # whether that was found, or guessed
        self._probed = 0.0  # seconds since then in which it held requests back
        self._began = math.inf
        self._last = -math.inf  # when a request was last let through
        self._refused = 0
        self._refusals: deque[_Refusal] = deque(maxlen=_REMEMBERED)
        self._in_vain = 0.0  # falls
        self._trial: _Trial | None = None
        self._trial_lasts = _TRIAL

    def begin_at(self, rate: float) -> None:
        """Let a rate hold that was learnt before."""
        self.meter = Meter(rate, at_once(rate))
        self._found, self._is_sure = rate, True

    def wait(self, now: float) -> float:
        """Seconds until the next request may go."""
        return 0.0 if self.meter is None else self.meter.wait(1, now)

    def take(self, now: float, *, waited: bool) -> None:
        """Let a request through; `waited` tells whether the pace is what holds requests back."""
        self._began = min(self._began, now)
        if self.meter is None:
            return
        self.meter.charge(1, now)
        if waited:
            self._probed += min(now - self._last, _LONGEST_STEP)
            doubles_in = _DOUBLES_IN if self._is_sure else _DOUBLES_IN_THE_DARK
            rate = self._found * (1 + (self._probed / doubles_in) ** 2)
            self.meter.set_rate(rate, at_once(rate), now)
        self._last = now

    def excuse(self, permit: Permit) -> None:
        """Take in a refusal that something else explains; it may be a finding's beginning."""
        refusal = self._taken_in(permit)
        if not self._refusals or refusal.at > self._refusals[-1].at + _APART:
            self._refusals.append(refusal)

    def refuse(self, permit: Permit, now: float) -> bool:
        """Take in a refusal, and say whether the pace has changed: after echoes it has not.

        Nor has it where nothing was let in since the last one, which teaches nothing of rates.

        Args:
            permit: Of the request.
            now: Monotonic seconds.
        """
        refusal = self._taken_in(permit)
        if permit.at <= self.fell_at or self._is_on_trial(refusal):
            return False
        self.fell_at = now
        found = self._found_by(refusal)
        last = self._refusals[-1] if self._refusals else _Refusal(self._began, 0)
        self._refusals.append(refusal)
        let_in = refusal.let_in - last.let_in
        if let_in <= 0:
            return False
        if self._falls_in_vain(let_in):
            self._trial, self._in_vain = _Trial(refusal, self._refused), 0.0
            self.meter = None
            return True
        if found is not None:
            rate = found * _CAUTION
            rate = rate if self.meter is None else min(rate, self.meter.rate * _CAUTION)
        elif self.meter is not None:
            rate = self.meter.rate * _IN_THE_DARK
        else:
            seconds = max(_MEASURED_OVER, refusal.at - last.at)
            rate = let_in / seconds * _IN_THE_DARK
        self._is_sure = found is not None
        self._set(rate, now)
        return True

    def _falls_in_vain(self, let_in: int) -> bool:
        """Whether it falls time after time, and requests are refused all the same.

        A limit that is there, or has moved, is found within two or three falls.
        """
        if self.meter is None or self.meter.rate > _GREW * self._found:
            self._in_vain = max(0.0, self._in_vain - _HALF)
        else:
            self._in_vain += 1.0 if self._is_sure and let_in >= _ENOUGH else _HALF
        return self._in_vain >= _IN_VAIN

    def _is_on_trial(self, refusal: _Refusal) -> bool:
        """Whether refusals are not heeded now, as falling did not help before."""
        trial = self._trial
        if trial is None:
            return False
        refused = self._refused - trial.refused
        let_in = refusal.let_in - trial.since.let_in
        if refused >= _ENOUGH and refused > _TOO_MANY * (let_in + refused):
            self._trial = None
        elif refusal.at >= trial.since.at + self._trial_lasts:
            self._trial, self._trial_lasts = None, min(_LONGEST_TRIAL, 2 * self._trial_lasts)
        return self._trial is not None

    def _taken_in(self, permit: Permit) -> _Refusal:
        refusal = _Refusal(permit.at, permit.number - 1 - self._refused)
        self._refused += 1
        return refusal

    def _found_by(self, refusal: _Refusal) -> float | None:
        """The provider's rate, where enough was let in since an earlier refusal."""
        for earlier in reversed(self._refusals):
            let_in, seconds = refusal.let_in - earlier.let_in, refusal.at - earlier.at
            if let_in >= _ENOUGH and seconds > 0:
                return let_in / seconds
        return None

    def _set(self, rate: float, now: float) -> None:
        rate = max(rate, _LEAST)
        self._found, self._probed, self._last = rate, 0.0, now
        self.meter = Meter(rate, at_once(rate))
        self.meter.set_level(0.0, now)
