"""The retry policy: a value. What is tried again, how often, and after what wait.

Waits are drawn from backoff's generators. The room knows no request and does not sleep: it says
how long, and its callers wait.
"""

from __future__ import annotations

import math
from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import islice
from typing import TYPE_CHECKING, Literal, get_args

from threadllm.exceptions import OptionError
from threadllm.providers import (
    ERRORS,
    Reply,
    Verdict,
    advice,
    is_transient,
    reply_of,
    seconds_to_wait,
    verdict_on,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

_LEAST = 0.05  # seconds; a wait that is shorter helps nobody, and is asked for again and again
_MOST_STEPS = 64  # of a wait that grows

_SECONDS = ("wait_initial", "wait_max", "retry_after_max", "retry_after_stop", "give_up_after")

Jitter = Literal["full", "random", "none"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Retry:
    """What is tried again, and when. A changed policy is a new one: `dataclasses.replace`.

    Attributes:
        attempts: Tries in all, the first included. 429s use none up.
        wait_initial: Seconds before the second try, before jitter.
        wait_max: Seconds to which waits grow, before jitter; a provider may ask for more.
        wait_base: The factor from one wait to the next.
        jitter: "full" draws from 0 to the wait (the AWS architecture blog's full jitter),
            "random" adds up to a second, "none" waits exactly.
        statuses: HTTP statuses that are tried again.
        exceptions: Further errors, of the user's own, that are tried again; broken connections
            and timeouts always are. A 429 uses up no attempt although its error is listed here.
        respect_retry_after: Whether the wait that a provider asks for is kept.
        retry_after_max: Seconds; a provider that asks for more is taken to have asked for this.
            With 0 it is taken to have asked for nothing.
        retry_after_stop: Seconds; a provider that asks for more ends the run with a `RunStopped`,
            which says so. None lets no run end for that.
        give_up_after: Seconds after its first 429, or its first failure as a breaker's probe, at
            which a request is no longer tried again.

    Raises:
        OptionError: A value that cannot be meant, such as no attempts or a negative wait.
    """

    attempts: int = 8
    wait_initial: float = 0.5
    wait_max: float = 30.0
    wait_base: float = 2.0
    jitter: Jitter = "full"
    statuses: Collection[int] = frozenset({408, 409, 425, 429, 500, 502, 503, 504, 529})
    exceptions: tuple[type[Exception], ...] = ()
    respect_retry_after: bool = True
    retry_after_max: float = 300.0
    retry_after_stop: float | None = None
    give_up_after: float = 3600.0

    def __post_init__(self) -> None:
        if type(self.attempts) is not int or self.attempts < 1:
            raise OptionError(f"attempts={self.attempts!r}: at least 1, the first try, is needed")
        for name in _SECONDS:
            seconds = getattr(self, name)
            if not (_is_at_least(0, seconds) or (seconds is None and name == "retry_after_stop")):
                raise OptionError(f"{name}={seconds!r}: give a number of seconds, 0 or more")
        if not _is_at_least(1, self.wait_base):
            raise OptionError(f"wait_base={self.wait_base!r}: give a factor of 1 or more")
        self._check_choices()

    def _check_choices(self) -> None:
        if not isinstance(self.statuses, Collection):
            raise OptionError(f"statuses={self.statuses!r}: give several, such as {{500, 503}}")
        if not isinstance(self.exceptions, tuple):
            raise OptionError(f"exceptions={self.exceptions!r}: give a tuple, such as (OSError,)")
        for status in self.statuses:
            if status not in ERRORS:
                raise OptionError(f"statuses: {status!r} is no HTTP status from 400 to 599")
        for error in self.exceptions:
            if Exception not in getattr(error, "__mro__", ()):
                raise OptionError(f"exceptions: {error!r} is no class of exceptions")
        if self.jitter not in get_args(Jitter):
            raise OptionError(
                f"jitter={self.jitter!r}: choose one of {', '.join(get_args(Jitter))}"
            )

    def waits(self) -> Iterator[float]:
        """Seconds before the second try, the third, and so on without end; a new run each time."""
        import backoff  # here, as it imports asyncio, which costs a sixth of `import requests`

        if self.wait_initial:
            steps = backoff.expo(self.wait_base, self.wait_initial, self.wait_max)
        else:  # never grows to wait_max, so that expo's powers would overflow
            steps = backoff.constant(0)
        steps.send(None)  # primes it; what this gives differs between versions
        shake = {"full": backoff.full_jitter, "random": backoff.random_jitter}.get(self.jitter)
        return map(shake, steps) if shake else steps

    def pause(self, paused: int) -> float:
        """Seconds that everyone waits after a 429 that names no wait, with so many before it.

        They grow as waits do, without jitter: they are shared, so that there is nothing to spread.
        """
        return next(islice(self.pauses(), min(paused, _MOST_STEPS), None))

    def pauses(self) -> Iterator[float]:
        """Seconds of the first such pause, the second, and so on without end."""
        return replace(self, jitter="none").waits()

    def heeded(self, asked: float | None) -> float | None:
        """The seconds that are waited where a provider asks for some; None if it is not heeded."""
        if not asked or not self.respect_retry_after:
            return None
        return min(max(asked, _LEAST), self.retry_after_max) or None

    def verdict_on(self, reply: Reply, wall: float) -> Verdict:
        """The verdict on an answer that came at `wall`, seconds since 1970-01-01 UTC."""
        verdict = verdict_on(reply, self.statuses)
        if verdict in {Verdict.RETRY, Verdict.PACE} and self._too_long(reply, wall):
            return Verdict.STOP
        return verdict

    def advice(self, reply: Reply, wall: float) -> str:
        """For people: what to do about an answer whose verdict is STOP."""
        wait = self._too_long(reply, wall)
        if wait:
            return f"The provider asks to wait {wait:g} s: run again after that."
        return advice(reply)

    def _too_long(self, reply: Reply, wall: float) -> float | None:
        """The seconds that an answer asks to wait, if they are more than a run is to wait."""
        if self.retry_after_stop is None:
            return None
        wait = seconds_to_wait(reply, now=wall)
        return wait if wait is not None and wait > self.retry_after_stop else None

    def verdict_on_error(
        self, error: BaseException, wall: float = math.nan
    ) -> tuple[Verdict, Reply | None]:
        """The verdict on an error by its shape, and the answer it carries, if any."""
        reply = reply_of(error)
        if reply is not None:
            verdict = self.verdict_on(reply, wall)
        else:
            verdict = Verdict.RETRY if is_transient(error) else Verdict.FAIL
        if verdict in {Verdict.PACE, Verdict.STOP}:
            return verdict, reply
        retried = verdict is Verdict.RETRY or isinstance(error, self.exceptions)
        return (Verdict.RETRY if retried else Verdict.FAIL), reply

    def is_final(self, error: BaseException) -> bool:
        """Whether a provider has refused just this request, which it would refuse again.

        Such as a 400 or a 404: what no wait mends, and no other key or credit.
        """
        with suppress(Exception):  # an error whose own attributes raise has said nothing
            verdict, reply = self.verdict_on_error(error)
            return verdict is Verdict.FAIL and reply is not None
        return False


def _is_at_least(least: float, value: object) -> bool:
    return isinstance(value, (int, float)) and math.isfinite(value) and value >= least


class Attempts:
    """How one request, or one call, stands with its policy. For one thread at a time.

    Attributes:
        retries: Tries after the first that were charged.
        repeats: Tries after the first, charged or not.
    """

    def __init__(self, policy: Retry) -> None:
        self.retries = 0
        self.repeats = 0
        self._policy = policy
        self._patience_ends = math.inf  # until the first 429 sets it

    @cached_property
    def _waits(self) -> Iterator[float]:
        return self._policy.waits()

    @cached_property
    def _pauses(self) -> Iterator[float]:
        return self._policy.pauses()

    def next_wait(self, verdict: Verdict, asked: float | None, now: float) -> float | None:
        """Seconds to wait before the next try; None when there is none.

        Args:
            verdict: What the last try asks for.
            asked: Seconds that the provider asks to wait, as far as `Retry.heeded`.
            now: Monotonic seconds.
        """
        if verdict is Verdict.PACE:
            wait = next(self._pauses) if asked is None else asked
            self._patience_ends = min(self._patience_ends, now + self._policy.give_up_after)
            if now + wait > self._patience_ends:
                return None
        elif verdict is Verdict.RETRY and self.retries + 1 < self._policy.attempts:
            wait = max(next(self._waits), asked or 0.0)
            self.retries += 1
        else:
            return None
        self.repeats += 1
        return wait
