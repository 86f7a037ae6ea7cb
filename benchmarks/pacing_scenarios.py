"""What providers allow, what is asked of them, and how long that takes at best.

The ideal of a rate: whoever never lets the provider's bucket overflow has sent, after t seconds,
its burst and what flowed in since, burst + integral of the rate from 0 to t, and nobody can have
sent more. So the last item starts when that comes to all items (or all their tokens, as the
simulator charges them), and is answered a mean latency later.

The ideal of a limit on concurrency: all its places are taken all the time. The latencies add up to
items x mean, as each is drawn anew (over 3,000 items the sum varies by 0.5 / sqrt(3000) = 0.9 %),
and are shared by the places. The threads are such a limit as well, and the longest ideal counts.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field
from itertools import cycle, islice, pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from threadllm.simulator import Latency, Limits, answer_to
from threadllm.simulator.text import TOKEN, tokens

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

MINUTE = 60.0
LATENCY = Latency(mean=1.0, spread=0.5)
PROMPTS = Path(__file__).with_name("prompts.jsonl")
# Multiples of these, less their whole parts, spread evenly and look random; no two go together.
STEPS = (0.6180339887, 0.7548776662)
SHORTEST_PROMPT, SHORTEST_ANSWER = 100, 2  # tokens
TENFOLD = 10.0


class Question(NamedTuple):
    """An item.

    Attributes:
        url: Whom it is asked: scheme, host and port.
        prompt: What is asked.
        most: Tokens that the answer may have; None for any number.
    """

    url: str
    prompt: str
    most: int | None = None

    @property
    def answer(self) -> str:
        """What the simulator answers."""
        return self.cut(answer_to(self.prompt))

    def cut(self, text: str) -> str:
        """An answer, as far as it may go."""
        return text if self.most is None else text[: self.most * TOKEN]

    @property
    def tokens(self) -> int:
        """What the simulator charges."""
        return tokens(self.prompt) + tokens(self.answer)


@dataclass(frozen=True, slots=True)
class Scenario:
    """What is measured.

    Attributes:
        name: What it is called on the command line.
        about: What its table says.
        origins: What each provider allows; each is asked all items.
        quota: What threadllm is told of that, as arguments of `Quota`; nothing by default.
        at_a_time: Threads for each origin.
        varied: Whether the lengths of prompts and answers vary tenfold.
        most: Goal: makespan over the ideal, at most.
        refused: Goal: share of requests that are answered 429, at most.
        by_chance: Share of requests that are answered a bare 429 whatever the pace.
        pace: Its speed, at most, as a share of the usual one. Where as many requests as possible
            are to be in flight all the time, what passes between two of them counts as idle, and
            it is the longer the faster time passes; and twice as many requests are twice the work.
    """

    name: str
    about: str
    origins: tuple[Limits, ...]
    quota: Mapping[str, Any] = field(default_factory=dict)
    at_a_time: int = 64
    varied: bool = False
    most: float | None = None
    refused: float | None = None
    by_chance: float = 0.0
    pace: float = 1.0


def limits_of(per_minute: float, **more: Any) -> Limits:
    """So many requests a minute, 20 at once; nothing is told in headers unless said otherwise."""
    settings: dict[str, Any] = {"burst": 20, "headers": False, **more}
    return Limits(requests_per_minute=per_minute, **settings)


SCENARIOS = (
    Scenario(
        "known",
        "500 requests a minute, burst 20, as the quota says",
        (limits_of(500),),
        {"concurrency": 64, "requests_per_minute": 500, "burst": 20},
        most=1.03,
        refused=0.005,
    ),
    Scenario(
        "told",
        "500 requests a minute, burst 20, unknown; 429s say how long to wait",
        (limits_of(500),),
        most=1.10,
        refused=0.05,
    ),
    Scenario(
        "silent",
        "500 requests a minute, burst 20, unknown; 429s say nothing",
        (limits_of(500, retry_after=False),),
        most=1.15,
        refused=0.08,
    ),
    Scenario(
        "moving",
        "500 requests a minute, 250 from 120 s to 240 s, burst 20, unknown; 429s say how long",
        (limits_of(500, moves=((120, 0.5), (240, 1.0))),),
        most=1.15,
        refused=0.05,
    ),
    Scenario(
        "concurrency",
        "20 requests in flight, unknown, 128 threads",
        (Limits(concurrency=20, headers=False),),
        at_a_time=128,
        most=1.15,
        refused=0.05,
        pace=0.2,
    ),
    Scenario(
        "tokens",
        "200,000 tokens a minute, as the quota says; lengths vary tenfold",
        (Limits(tokens_per_minute=200_000, headers=False),),
        {"concurrency": 64, "tokens_per_minute": 200_000},
        varied=True,
        most=1.08,
        refused=0.01,
    ),
    Scenario(
        "origins",
        "two origins, 500 and 1,000 requests a minute, burst 20, unknown; 429s say how long",
        (limits_of(500), limits_of(1_000)),
        most=1.10,
        pace=0.5,
    ),
    Scenario(
        "headers",
        "500 requests a minute, burst 500, told in OpenAI's headers",
        (limits_of(500, burst=500, headers=True),),
    ),
    Scenario(
        "spaced",
        "a request each 120 ms and no burst, unknown; 429s say nothing",
        (limits_of(500, burst=1, retry_after=False),),
        pace=0.5,
    ),
    Scenario(
        "chance",
        "no limit, but a tenth of all requests is refused; 429s say nothing",
        (Limits(headers=False),),
        by_chance=0.1,
        pace=0.2,
    ),
)


def questions(url: str, count: int, *, varied: bool) -> list[Question]:
    """So many different items."""
    with PROMPTS.open(encoding="utf-8") as file:
        texts = [json.loads(line)["prompt"] for line in file]
    numbered = enumerate(islice(cycle(texts), count))
    if not varied:
        return [Question(url, f"{number}: {text}") for number, text in numbered]
    return [stretched(Question(url, f"{number}: {text}"), number) for number, text in numbered]


def stretched(question: Question, number: int) -> Question:
    """The same, its prompt repeated or cut to a length of its own, and its answer limited."""
    prompt, answer = (
        round(shortest * TENFOLD ** (number * step % 1))
        for shortest, step in zip((SHORTEST_PROMPT, SHORTEST_ANSWER), STEPS, strict=True)
    )
    text = "".join(islice(cycle(question.prompt + "\n"), prompt * TOKEN))
    return question._replace(prompt=text, most=answer)


def last_start(
    amount: float, per_minute: float, burst: float, moves: Sequence[tuple[float, float]] = ()
) -> float:
    """Seconds until a full bucket has given out so much, if it is never left to overflow."""
    lacking = amount - burst
    if lacking <= 0:
        return 0.0
    for (begun, factor), (ended, _) in pairwise([(0.0, 1.0), *moves, (math.inf, 1.0)]):
        flow = per_minute * factor / MINUTE
        if lacking <= flow * (ended - begun):
            return begun + lacking / flow
        lacking -= flow * (ended - begun)
    raise AssertionError("the last span never ends")


def ideal(limits: Limits, items: Sequence[Question], at_a_time: int) -> float:
    """The least seconds in which one origin can answer all items."""
    places = min(at_a_time, limits.concurrency or at_a_time)
    ideals = [LATENCY.mean * max(1.0, len(items) / places)]
    if rate := limits.requests_per_minute:
        start = last_start(len(items), rate, limits.burst or rate, limits.moves)
        ideals.append(start + LATENCY.mean)
    if rate := limits.tokens_per_minute:
        start = last_start(sum(item.tokens for item in items), rate, rate, limits.moves)
        ideals.append(start + LATENCY.mean)
    return max(ideals)
