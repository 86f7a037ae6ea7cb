"""How long an answer takes: a value, and the pace that it sets for one request.

The room must not know what is being sent, nor wait itself.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist

from threadllm.simulator.checks import at_least

_NORMAL = NormalDist()


@dataclass(frozen=True, slots=True)
class Pace:
    """The times of one answer, in seconds.

    Attributes:
        first: From the request's arrival to the first token.
        token: From each token to the next.
    """

    first: float = 0.0
    token: float = 0.0

    def total(self, tokens: int) -> float:
        """Seconds until an answer of so many tokens is complete."""
        return self.first + tokens * self.token


AT_ONCE = Pace()


@dataclass(frozen=True, slots=True)
class Latency:
    """How long the simulator takes to answer; by default no time at all.

    An answer as a whole takes `mean` + `time_to_first_token` + its tokens / `tokens_per_second`;
    a streamed one begins after the first two. One draw from a lognormal distribution with mean 1
    stretches or shrinks all of them, and so does the load. Refusals, errors and faults are sent
    at once.

    Attributes:
        mean: Seconds that each request takes on average before any token.
        spread: Standard deviation relative to the mean: 0 for always the same, 0.5 for lively,
            1 for a long tail.
        time_to_first_token: Seconds from there to the first token.
        tokens_per_second: Tokens of the answer per second; 0 for all at once.
        load: By how much each request that is in flight when another arrives makes the other's
            answer take longer: at 0.05, one beside 20 others takes 1 + 20 x 0.05 = 2 times as
            long. All requests of the simulator are counted, for as long as they last; those that
            come later change nothing.

    Raises:
        OptionError: A figure is negative or not finite.
    """

    mean: float = 0.0
    spread: float = 0.0
    time_to_first_token: float = 0.0
    tokens_per_second: float = 0.0
    load: float = 0.0

    def __post_init__(self) -> None:
        at_least(
            0,
            mean=self.mean,
            spread=self.spread,
            time_to_first_token=self.time_to_first_token,
            tokens_per_second=self.tokens_per_second,
            load=self.load,
        )

    def pace(self, roll: float, others: int = 0) -> Pace:
        """The pace that `roll`, a random number above 0 and below 1, gives one request.

        It arrived when so many others were in flight.
        """
        stretch = self._stretch(roll) * (1 + others * self.load)
        token = 1 / self.tokens_per_second if self.tokens_per_second else 0.0
        return Pace((self.mean + self.time_to_first_token) * stretch, token * stretch)

    def _stretch(self, roll: float) -> float:
        if not self.spread:
            return 1.0
        sigma = math.sqrt(math.log1p(self.spread**2))
        return math.exp(sigma * _NORMAL.inv_cdf(roll) - sigma**2 / 2)
