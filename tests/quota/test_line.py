import logging
import math
import threading

import pytest

from tests.quota.support import (
    NAME,
    ORIGIN,
    PATIENCE,
    a_line,
    a_permit,
    leave,
    let_in,
    refuse,
    wait,
)
from threadllm.exceptions import BreakerOpen
from threadllm.outcome import Usage
from threadllm.providers import Allowance
from threadllm.quota import Breaker, Ended, Need, Quota, Refusal
from threadllm.quota.memory import learnt

ACCEPTED, FULL = Ended.ACCEPTED, Ended.FULL
SOON = Breaker(window=2, failure_rate=1, probes=1)


@pytest.fixture
def news(caplog):
    """What the line has said, without its name."""
    caplog.set_level(logging.INFO, logger="threadllm.quota")

    def said():
        told = [record.getMessage() for record in caplog.records]
        assert all(text.startswith(f"{NAME}: ") for text in told)
        assert {record.levelno for record in caplog.records} <= {logging.INFO}
        caplog.clear()
        return [text.removeprefix(f"{NAME}: ") for text in told]

    return said


def tokens(line):
    """What is left of each limit."""
    return {limit.kind: limit.left(0) for limit in line._limits}


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


def test_calls_go_by_freely_until_one_is_refused(news):
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
    """Nor are calls for which a limit is stated, or was learnt."""
    learnt("", "learnt").pace = 5.0
    lines = [
        a_line(),
        Quota(requests_per_minute=5).line(""),
        Quota().line("", "learnt"),
        Quota(adaptive=False).line("", "learnt"),
    ]
    assert [line.is_free(0.0) for line in lines] == [False, False, False, True]


# The pace.


def test_without_a_known_limit_the_pace_is_learnt(news):
    """A 429 that names its wait is one of rate; what is found is remembered for the process."""
    line = a_line(concurrency=100)
    permits = [let_in(line) for _ in range(31)]
    for permit in permits[:30]:
        leave(line, permit, 0.5)
    refuse(line, permits[30], 0.5, asked=2.0)
    assert learnt(ORIGIN, "m").pace == line.pace.meter.rate == pytest.approx(21)
    assert news() == [
        "pace down to 1260 requests per minute",
        "paused for 2 s, as the provider asked",
    ]


def test_where_nothing_is_to_be_learnt_there_is_only_a_pause(news):
    """adaptive=False."""
    line = a_line(concurrency=100, adaptive=False)
    permits = [let_in(line) for _ in range(31)]
    for permit in permits[:30]:
        leave(line, permit, 0.5)
    refuse(line, permits[30], 0.5, asked=2.0)
    assert [line.pace.meter, line.origin.window.size] == [None, 100]
    assert news() == ["paused for 2 s, as the provider asked"]


def test_a_first_refusal_before_anything_was_let_in_teaches_no_pace():
    """But all wait."""
    line = a_line()
    refuse(line, let_in(line), 0.1, asked=3.0)
    assert [line.pace.meter, wait(line, 0.1)] == [None, 3]


def test_a_known_limit_that_is_low_explains_a_refusal():
    """Then no pace is learnt, and the limit is taken to be used up; but not twice in a row."""
    line = a_line(concurrency=100, requests_per_minute=60, burst=5)
    for _ in range(2):
        leave(line, let_in(line))
    refuse(line, let_in(line), asked=1.0)
    assert [line.pace.meter, tokens(line)["requests"]] == [None, pytest.approx(0)]
    assert len(line.pace._refusals) == 1
    for _ in range(8):
        leave(line, let_in(line, 1.0), 1.0)
    refuse(line, let_in(line, 2.0), 2.0, asked=1.0)
    assert line.pace.meter is not None


def test_a_known_limit_may_slip_again_after_a_while():
    """Fifty requests later it may be off by one again."""
    line = a_line(concurrency=100, requests_per_minute=60, burst=5)
    for second in (0.0, 1000.0):
        for _ in range(60):
            leave(line, let_in(line, second), second)
        refuse(line, let_in(line, second), second, asked=1.0)
    assert line.pace.meter is None


def test_a_known_limit_with_much_left_explains_nothing():
    """Another one must be the reason."""
    line = a_line(concurrency=100, requests_per_minute=60, burst=100)
    for _ in range(20):
        leave(line, let_in(line))
    refuse(line, let_in(line), asked=1.0)
    assert line.pace.meter is not None


# The number in flight.


def fly(line, number, now=0.0):
    return [let_in(line, now) for _ in range(number)]


def test_a_limit_on_concurrency_is_found(news):
    """What is refused without a wait beside as many as ever were let in lowers their number."""
    line = a_line(concurrency=30)
    permits = fly(line, 30)
    for permit in permits[20:]:
        refuse(line, permit, 0.1)
    assert [line.origin.window.size, line.pace.meter, wait(line, 0.1)] == [20, None, 0]
    assert len(line.pace._refusals) == 1
    assert learnt(ORIGIN, "m").size == 20
    assert news() == []
    for permit in permits[:20]:
        leave(line, permit, 1.0)
    assert news() == ["at most 20 requests in flight"]
    assert line.origin.window._proven == 20


def test_a_limit_that_stays_is_no_news(news):
    """Nothing is said where nothing has changed."""
    line = a_line(concurrency=2)
    for _ in range(3):
        beside = let_in(line)
        refuse(line, let_in(line), 0.1)
        leave(line, beside, 0.2)
    assert news() == ["at most 1 requests in flight"]


def test_a_limit_on_concurrency_is_probed(news):
    """After some rounds of answers one more is tried, and it is said."""
    line = a_line(concurrency=3)
    first = let_in(line)
    refuse(line, let_in(line), 0.1)
    leave(line, first, 0.2)
    for _ in range(3):
        leave(line, let_in(line, 1.0), 1.0)
    assert line.origin.window.size == 2
    assert news() == ["at most 1 requests in flight", "at most 2 requests in flight"]


def test_a_rate_acquits_the_number_in_flight(news):
    """Where a refusal is one of rate after all, the limit on them goes, and is not remembered."""
    line = a_line(concurrency=3)
    first = let_in(line)
    refuse(line, let_in(line), 0.1)
    assert learnt(ORIGIN, "m").size == 1
    leave(line, first, 0.2)
    refuse(line, let_in(line, 1.0), 1.1, asked=1.0)
    assert [line.origin.window.size, learnt(ORIGIN, "m").size] == [3, None]
    assert "at most 3 requests in flight" in news()


def test_503s_that_only_fall_beside_many_are_a_limit():
    """Four in a row, and none let in beside as many; before, they are failures like others."""
    line = a_line(concurrency=30, breaker=None)
    permits, sizes = fly(line, 20), []
    leave(line, permits.pop(), 0.5)
    for permit in fly(line, 11, 0.6):
        leave(line, permit, 0.7, ended=Ended.FULL)
        sizes.append(line.origin.window.size)
    assert sizes == [30, 30, 30, 26, 25, 24, 23, 22, 21, 20, 19]


def test_503s_that_fall_at_random_are_no_limit():
    """As many are let in beside as many."""
    line = a_line(concurrency=30)
    flying = fly(line, 30)
    for number in range(1, 600):
        fails = number % 10 == 0
        leave(line, flying.pop(-1 if fails else 0), number, ended=FULL if fails else ACCEPTED)
        flying += fly(line, 1, number)
    assert [line.origin.window.size, line.origin.circuit.state] == [30, "closed"]


def test_without_adapting_503s_are_failures():
    """And nothing else."""
    line = a_line(concurrency=30, adaptive=False, breaker=SOON)
    for permit in fly(line, 30):
        leave(line, permit, 0.1, ended=Ended.FULL)
    assert [line.origin.window.size, line.origin.circuit.state] == [30, "open"]


# The breaker.


def test_the_breaker_tells_how_it_stands(news):
    """Open, half-open, closed: each once."""
    line = a_line(breaker=SOON)
    for _ in range(2):
        leave(line, let_in(line), 0.0, ended=Ended.ANSWERED_BADLY)
    assert wait(line) == 30
    probe = let_in(line, 30.0)
    assert [probe.is_probe, wait(line, 30.0)] == [True, math.inf]
    leave(line, probe, 31.0)
    assert wait(line, 31.0) == 0
    assert news() == [
        "breaker open for 30 s, as too many requests failed",
        "breaker half-open: a few requests find out how things are",
        "breaker closed",
    ]


@pytest.mark.parametrize("ended", [Ended.UNKNOWN, None])
def test_a_probe_that_was_broken_off_or_refused_teaches_nothing(ended):
    """Another takes its place."""
    line = a_line(breaker=SOON)
    for _ in range(2):
        leave(line, let_in(line), 0.0, ended=Ended.ANSWERED_BADLY)
    probe = let_in(line, 30.0)
    if ended is None:
        refuse(line, probe, 30.0, asked=1.0)
    else:
        leave(line, probe, 30.0, ended=ended)
    assert [line.origin.wait(31.0, retries=False), line.origin.circuit.state] == [0, "half-open"]


def test_a_probe_that_stands_aside_is_one_still():
    """It has no slot meanwhile, but its end is waited for."""
    line = a_line(breaker=SOON)
    for _ in range(2):
        leave(line, let_in(line), 0.0, ended=Ended.ANSWERED_BADLY)
    probe = let_in(line, 30.0)
    line.stand_aside(probe)
    assert wait(line, 30.0) == math.inf
    leave(line, probe, 31.0)
    assert line.origin.circuit.state == "closed"


def test_broken_connections_alone_open_nothing_where_none_was_ever_answered():
    """Each request fails after its attempts."""
    line = a_line(breaker=SOON)
    for _ in range(10):
        leave(line, let_in(line), 0.0, ended=Ended.FAILED)
    assert wait(line) == 0
    leave(line, let_in(line))
    for _ in range(2):
        leave(line, let_in(line), 0.0, ended=Ended.FAILED)
    assert wait(line) == 30


def test_without_a_breaker_nothing_opens():
    """And nothing that is learnt of a request is lost on one."""
    line = a_line(breaker=None)
    for ended in Ended:
        leave(line, let_in(line), 0.0, ended=ended)
    refuse(line, let_in(line), asked=1.0)
    assert wait(line, 1.0) < 1


def test_who_does_not_want_to_wait_for_the_breaker_fails():
    """The error names the line, and says what is the matter."""
    line = a_line(breaker=SOON, breaker_action="fail")
    line.origin.check_breaker(NAME, 0.0)
    for _ in range(2):
        leave(line, let_in(line), 0.0, ended=Ended.ANSWERED_BADLY)
    with pytest.raises(BreakerOpen) as caught:
        line.origin.check_breaker(NAME, 1.0)
    assert str(caught.value) == (
        f"{NAME}: not sent, as too many requests failed before it; the breaker is open"
    )
    line.origin.check_breaker(NAME, 30.0)
    let_in(line, 30.0)
    with pytest.raises(BreakerOpen, match="the breaker is half-open"):
        line.origin.check_breaker(NAME, 30.0)


@pytest.mark.parametrize("settings", [{"breaker_action": "park"}, {"breaker": None}])
def test_others_wait_for_it(settings):
    """Or there is none."""
    line = a_line(**({"breaker": SOON, "breaker_action": "fail"} | settings))
    for _ in range(2):
        leave(line, let_in(line), 0.0, ended=Ended.ANSWERED_BADLY)
    line.origin.check_breaker(NAME, 1.0)
    assert wait(line, 1.0) == (29 if "breaker" not in settings else 0)


def test_a_503_to_a_probe_is_a_failure_whatever_else_it_may_be():
    """Else nobody would wait for the probe any more, and no other be sent."""
    line = a_line(breaker=SOON)
    for _ in range(2):
        leave(line, let_in(line), 0.0, ended=Ended.ANSWERED_BADLY)
    line.origin.window.accept(a_permit())
    for _ in range(4):
        line.origin.window.explains(9, strictly=True)
    probe, beside = let_in(line, 30.0), let_in(line, 30.0)
    leave(line, probe, 30.0, ended=Ended.FULL)
    leave(line, beside, 30.0)
    assert (line.origin.circuit.state, wait(line, 30.0)) == ("open", 30.0)


def test_a_probe_has_done_its_part_when_its_answer_begins(news):
    """Its body may last, and its reader may wait for another request."""
    line = a_line(breaker=SOON)
    for _ in range(2):
        leave(line, let_in(line), 0.0, ended=Ended.ANSWERED_BADLY)
    news()
    streams = [let_in(line, 30.0) for _ in range(SOON.probes)]
    assert wait(line, 30.0) == math.inf
    for stream in streams:
        line.answer_begins(stream)
    assert (line.origin.circuit.state, wait(line, 30.0)) == ("closed", 0)
    for stream in streams:
        leave(line, stream, 40.0)
    assert line.origin.circuit.state == "closed"
    assert news()[-1] == "breaker closed"


def test_answers_that_begin_without_a_breaker_change_nothing():
    """There is nobody to be told."""
    line = a_line(breaker=None)
    line.answer_begins(let_in(line))
    assert wait(line) == 0


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
