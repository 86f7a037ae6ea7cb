"""What each key may do, as a value.

The room must not know how a limit is kept.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal, TypeAlias, get_args

from threadllm.exceptions import OptionError
from threadllm.simulator.checks import above_zero, at_least

Window: TypeAlias = Literal["bucket", "fixed"]
_WINDOWS = get_args(Window)
_LONGEST = 60.0  # seconds between lumps: a bucket holds no more than one minute's worth


@dataclass(frozen=True, slots=True)
class Limits:
    """What the simulator allows each key of each dialect; by default everything.

    A rate is a bucket that starts full, holds one minute's worth (the day's: one day's) and
    refills; or, with `window="fixed"`, so much in each minute or day counted from the key's first
    request. Tokens are charged on arrival; a request that needs more than may come at once never
    may, and is told no wait.

    Attributes:
        concurrency: Requests in flight at a time. Who is refused for it is told no wait.
        requests_per_minute: Requests per minute.
        tokens_per_minute: Tokens per minute, of prompt and answer together.
        burst: Requests that may come at once after a quiet time; one minute's worth by default.
        retry_after: Whether a refusal says how long to wait.
        requests_per_day: Requests per day. OpenAI's dialect tells them in the place of those per
            minute, as Groq does; Anthropic's has no header for them.
        input_tokens_per_minute: Tokens of prompts per minute. OpenAI's dialect has no header for
            them.
        output_tokens_per_minute: Tokens of answers per minute, likewise.
        window: "bucket", or "fixed": nothing comes back before the end of the minute or day.
        refill: Seconds from lump to lump, 60 at most, of a bucket that refills in lumps; None for
            continuously. What of a lump does not fit is lost.
        moves: Pairs of seconds and a factor, in order of time: from so many seconds after the
            simulator's first request on, the rates and the concurrency are that factor of what is
            stated here; a `burst` stays as it is. A bucket keeps what it holds, as far as it
            fits. Concurrency is rounded down, and like requests at once it is at least 1.
        headers: Whether answers and refusals tell the limits and what remains of them.

    Raises:
        OptionError: A figure cannot be used, or lacks another that it needs.
    """

    concurrency: int | None = None
    requests_per_minute: float | None = None
    tokens_per_minute: float | None = None
    burst: int | None = None
    retry_after: bool = True
    requests_per_day: float | None = None
    input_tokens_per_minute: float | None = None
    output_tokens_per_minute: float | None = None
    window: Window = "bucket"
    refill: float | None = None
    moves: tuple[tuple[float, float], ...] = ()
    headers: bool = True

    def __post_init__(self) -> None:
        rates = {
            "requests_per_minute": self.requests_per_minute,
            "requests_per_day": self.requests_per_day,
            "tokens_per_minute": self.tokens_per_minute,
            "input_tokens_per_minute": self.input_tokens_per_minute,
            "output_tokens_per_minute": self.output_tokens_per_minute,
        }
        at_least(1, concurrency=self.concurrency, burst=self.burst)
        above_zero(**rates, refill=self.refill)
        limited = any(rates.values())
        if self.burst is not None and self.requests_per_minute is None:
            raise OptionError(f"burst={self.burst!r}: give requests_per_minute with it")
        if self.refill is not None and not (limited and self.refill <= _LONGEST):
            raise OptionError(f"refill={self.refill!r}: give 60 or less, and a rate with it")
        if self.moves and not (limited or self.concurrency):
            raise OptionError(f"moves={self.moves!r}: give a limit that moves with it")
        self._check_moves()
        self._check_window(limited=limited)

    def _check_moves(self) -> None:
        figures = all(0 <= after < math.inf and 0 < by < math.inf for after, by in self.moves)
        if not figures or any(one[0] >= other[0] for one, other in pairwise(self.moves)):
            raise OptionError(
                f"moves={self.moves!r}: give pairs of seconds and a factor above 0, in order of "
                "time: ((60.0, 0.5), (180.0, 2.0))"
            )

    def _check_window(self, *, limited: bool) -> None:
        if self.window not in _WINDOWS:
            raise OptionError(f"window={self.window!r}: give one of {', '.join(_WINDOWS)}")
        if self.window == "bucket":
            return
        if not limited:
            raise OptionError(f"window={self.window!r}: give a rate with it")
        if self.burst is not None or self.refill is not None:
            raise OptionError(f"window={self.window!r}: it has no burst and no refill")
        at_least(
            1,
            requests_per_minute=self.requests_per_minute,
            requests_per_day=self.requests_per_day,
        )
