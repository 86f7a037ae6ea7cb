"""A line: tokens that are reserved and settled, what the provider says, and what is told of it."""

import logging
import threading

import pytest

from tests.quota.support import (
    PATIENCE,
    a_line,
    leave,
    let_in,
    refuse,
    tokens,
    wait,
)
from threadllm.outcome import Usage
from threadllm.providers import Allowance
from threadllm.quota import Ended, Need, Quota, Refusal

# Tokens: reserved, settled, given back.


def a_counting(**settings):
    return a_line(input_tokens_per_minute=1000, output_tokens_per_minute=500, **settings)


def test_tokens_are_reserved_and_settled():
    """Before a request what it may take, and after it what its answer says; in and out apart."""
    line = a_counting()
    permit = let_in(line, need=Need(100, 50))
    assert tokens(line) == {"input_tokens": 900, "output_tokens": 450}
    leave(line, permit, usage=Usage(120, 10))
    assert tokens(line) == {"input_tokens": 880, "output_tokens": 490}


def test_without_a_usage_the_reservation_stands():
    """Nobody says that it was less."""
    line = a_counting()
    leave(line, let_in(line, need=Need(100, 50)))
    assert tokens(line) == {"input_tokens": 900, "output_tokens": 450}


def test_a_refused_request_has_cost_no_tokens():
    """But it was a request."""
    line = a_counting(requests_per_minute=60, burst=10)
    refuse(line, let_in(line, need=Need(100, 50)), asked=1.0)
    assert tokens(line) == {"requests": 9, "input_tokens": 1000, "output_tokens": 500}


def test_what_is_withdrawn_was_never_there():
    """Neither the request nor its tokens, nor its room."""
    line = a_counting(concurrency=1, requests_per_minute=60, burst=10)
    permit = let_in(line, need=Need(100, 50))
    line.withdraw(permit, 0)
    assert tokens(line) == {"requests": 10, "input_tokens": 1000, "output_tokens": 500}
    assert line.origin.has_room(0) is True


def test_who_stands_aside_stays_charged():
    """It gives its room back, once, and what becomes of it counts all the same."""
    line = a_counting(concurrency=1)
    permit = let_in(line, need=Need(100, 50))
    line.stand_aside(permit)
    assert [line.origin.has_room(0), tokens(line)["input_tokens"]] == [True, 900]
    leave(line, permit, usage=Usage(10, 5))
    assert tokens(line) == {"input_tokens": 990, "output_tokens": 495}
    assert line.origin.in_flight == set()


def test_a_line_learns_what_requests_cost():
    """By the size of their bodies, and by what answers took."""
    line = a_counting()
    permit = let_in(line)
    permit.size = 400
    leave(line, permit, usage=Usage(200, 30))
    assert line.estimate.need(400, None).output_tokens == 30


@pytest.mark.parametrize(
    ("settings", "counts"),
    [
        ({}, False),
        ({"requests_per_minute": 5}, False),
        ({"tokens_per_minute": 5}, True),
        ({"output_tokens_per_minute": 5}, True),
    ],
)
def test_tokens_are_counted_where_they_are_limited(settings, counts):
    """Else nobody needs to reckon what a request will take."""
    assert a_line(**settings).counts_tokens is counts


def test_tokens_are_counted_once_the_provider_tells_of_them():
    """From its first answer on."""
    line = a_line()
    line.hear(let_in(line), [Allowance("tokens", 5.0, 60.0, None, None)], 0)
    assert line.counts_tokens is True


# What the provider says.


def test_told_limits_hold_requests_back():
    """By what remained, less what was charged since."""
    line = a_line()
    first = let_in(line)
    let_in(line)
    line.hear(first, [Allowance("requests", 60.0, 60.0, 2.0, None)], 0)
    assert wait(line) == 0
    let_in(line)
    assert wait(line) == pytest.approx(1 / 0.99)


def test_what_a_told_limit_lacks_is_waited_for_by_need():
    """A short request goes where a long one waits."""
    line = a_line()
    line.hear(let_in(line), [Allowance("tokens", 6000.0, 60.0, 50.0, None)], 0)
    assert [wait(line, need=Need(50)), wait(line, need=Need(149)) > 0] == [0, True]


def test_a_pause_is_for_everyone_and_once(news):
    """The gate is shut for as long as the provider asks, and echoes change nothing."""
    line = a_line(concurrency=8)
    permits = [let_in(line) for _ in range(4)]
    for permit in permits:
        refuse(line, permit, 1.0, asked=7.0)
    assert [wait(line, 1.0), line.gate.opens_at] == [7, 8]
    assert sum(text.startswith("paused") for text in news()) == 1


def test_a_pause_that_is_prolonged_is_news_if_it_is_by_much(news):
    """Each refusal of a storm names another moment; not all are told."""
    line = a_line(concurrency=8, adaptive=False)
    permits = [let_in(line) for _ in range(4)]
    for permit, asked in zip(permits, (3.0, 3.5, 4.2, 9.0), strict=True):
        refuse(line, permit, 1.0, asked=asked)
    assert line.gate.opens_at == 10
    assert news() == [f"paused for {seconds} s, as the provider asked" for seconds in (3, 9)]


def test_pauses_that_nobody_asks_for_grow(news):
    """Until a request is let in; the storm that belongs to one counts once."""
    line = a_line(concurrency=8, adaptive=False)
    now, paused = 0.0, []
    for _ in range(3):
        permits = [let_in(line, now) for _ in range(3)]
        for permit in permits:
            refuse(line, permit, now + 0.1)
        paused.append(line.gate.opens_at - now - 0.1)
        now = line.gate.opens_at
    leave(line, let_in(line, now), now)
    refuse(line, let_in(line, now), now + 0.1)
    paused.append(line.gate.opens_at - now - 0.1)
    assert paused == pytest.approx([0.5, 1.0, 2.0, 0.5])
    assert news() == [
        f"paused for {seconds} s, as nobody said how long" for seconds in ("0.5", "1", "2", "0.5")
    ]


def test_a_refusal_may_come_after_its_request_has_left():
    """A function that tells it by an error counts like an answer."""
    line = Quota(8).line("")
    permit = let_in(line)
    leave(line, permit, 1.0, ended=Ended.UNKNOWN)
    line.refuse(permit, 0.0, Refusal(5.0, lambda paused: 1.0), 1.0)
    assert wait(line, 1.0) == 5


def test_calls_go_by_freely_until_one_is_refused():
    """Where nothing is stated and no origin named there is nothing to keep."""
    line = Quota(8).line("")
    assert line.is_free(0.0) is True
    line.refuse(None, 0.0, Refusal(5.0, lambda paused: 1.0), 1.0)
    assert [line.is_free(0.0), line.is_free(1e6), wait(line, 1.0)] == [False, False, 5]


def test_calls_that_are_refused_together_pause_once(caplog):
    """The others belong to the same storm, and say nothing new."""
    caplog.set_level(logging.INFO, logger="threadllm.quota")
    line = Quota(8).line("")
    for now in (1.0, 1.1, 1.2):
        line.refuse(None, 0.0, Refusal(None, lambda paused: 2.0 + paused), now)
    assert [line.gate.opens_at, len(caplog.records)] == [3.0, 1]


def test_an_origin_is_never_free():
    """Nor are calls for which a limit is stated."""
    lines = [a_line(), Quota(requests_per_minute=5).line(""), Quota().line("")]
    assert [line.is_free(0.0) for line in lines] == [False, False, True]


# What is said.


def test_what_is_told_of_limits_is_said(news):
    """Each change once."""
    line = a_line()
    for limit in (60.0, 60.0, 30.0):
        line.hear(let_in(line), [Allowance("requests", limit, 60.0, None, None)], 0)
    assert news() == [
        "the provider allows 60 requests per minute",
        "the provider allows 30 requests per minute",
    ]


def test_it_is_said_without_the_lock():
    """A handler may be slow, or ask the quota how it stands, on whatever thread."""
    quota = Quota()
    line = a_line(quota)
    seen = []

    class Handler(logging.Handler):
        def emit(self, record):
            asking = threading.Thread(target=lambda: seen.append(quota.snapshot().lines[0].paused))
            asking.start()
            asking.join(PATIENCE)

    logger, handler = logging.getLogger("threadllm.quota"), Handler()
    logger.addHandler(handler)
    level = logger.level
    logger.setLevel(logging.INFO)
    try:
        refuse(line, let_in(line, quota._clock.monotonic()), quota._clock.monotonic(), asked=3600.0)
    finally:
        logger.setLevel(level)
        logger.removeHandler(handler)
    assert [round(seconds / 100) for seconds in seen] == [36]
