"""What a line makes of 429s: a pace, or fewer in flight."""

import pytest

from tests.quota.support import (
    ORIGIN,
    SOON,
    a_line,
    fly,
    leave,
    let_in,
    refuse,
    tokens,
    wait,
)
from threadllm.quota import Ended
from threadllm.quota.memory import learnt, learnt_of

ACCEPTED, FULL = Ended.ACCEPTED, Ended.FULL


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
    assert [line.pace.meter, line.origin.concurrency.size] == [None, 100]
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


# Refusals by chance.


def refused_by_chance(line, **refusal):
    """A line that has found out that one of ten is refused whatever the pace; the moment."""
    line.pace.begin_at(10.0)
    now = 0.0
    for _ in range(4):
        for _ in range(9):
            now += 0.1
            leave(line, let_in(line, now), now)
        refuse(line, let_in(line, now), now, **refusal)
    return now


def test_where_to_go_slower_does_not_help_it_is_told(news):
    """Once; and the pace goes back up."""
    line = a_line(concurrency=100)
    refused_by_chance(line, asked=0.01)
    (last,) = [told for told in news() if "did not help" in told]
    assert last == "pace up to 570 requests per minute, as to go slower did not help"
    assert learnt(ORIGIN, "m").pace * 60 == pytest.approx(570, abs=0.5)


@pytest.mark.parametrize(("asked", "pause"), [(None, 0.0), (2.0, 2.0)])
def test_what_is_refused_by_chance_has_nobody_wait_unless_the_provider_asks(asked, pause):
    """Nor does it change pace or number in flight."""
    line = a_line(concurrency=100)
    now = refused_by_chance(line, asked=0.01) + 5.0
    before = [line.pace.meter.rate, line.origin.concurrency.size]
    refuse(line, let_in(line, now), now, asked=asked)
    assert [line.pace.meter.rate, line.origin.concurrency.size] == before
    assert max(0.0, line.gate.opens_at - now) == pytest.approx(pause)


# The number in flight.


def test_a_limit_on_concurrency_is_found(news):
    """What is refused without a wait beside as many as ever were let in lowers their number."""
    line = a_line(concurrency=30)
    permits = fly(line, 30)
    for permit in permits[20:]:
        refuse(line, permit, 0.1)
    assert [line.origin.concurrency.size, line.pace.meter, wait(line, 0.1)] == [20, None, 0]
    assert len(line.pace._refusals) == 1
    assert learnt_of(ORIGIN).size == 20
    assert news() == []
    for permit in permits[:20]:
        leave(line, permit, 1.0)
    assert news() == ["at most 20 requests in flight"]
    assert line.origin.concurrency._proven == 20


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
    assert line.origin.concurrency.size == 2
    assert news() == ["at most 1 requests in flight", "at most 2 requests in flight"]


def test_a_rate_acquits_the_number_in_flight(news):
    """Where a refusal is one of rate after all, the limit on them goes, and is not remembered."""
    line = a_line(concurrency=3)
    first = let_in(line)
    refuse(line, let_in(line), 0.1)
    assert learnt_of(ORIGIN).size == 1
    leave(line, first, 0.2)
    refuse(line, let_in(line, 1.0), 1.1, asked=1.0)
    assert [line.origin.concurrency.size, learnt_of(ORIGIN).size] == [3, None]
    assert "at most 3 requests in flight" in news()


def test_503s_that_only_fall_beside_many_are_a_limit():
    """Four in a row, and none let in beside as many; before, they are failures like others."""
    line = a_line(concurrency=30, breaker=None)
    permits, sizes = fly(line, 20), []
    leave(line, permits.pop(), 0.5)
    for permit in fly(line, 11, 0.6):
        leave(line, permit, 0.7, ended=Ended.FULL)
        sizes.append(line.origin.concurrency.size)
    assert sizes == [30, 30, 30, 26, 25, 24, 23, 22, 21, 20, 19]


def test_503s_that_fall_at_random_are_no_limit():
    """As many are let in beside as many."""
    line = a_line(concurrency=30)
    flying = fly(line, 30)
    for number in range(1, 600):
        fails = number % 10 == 0
        leave(line, flying.pop(-1 if fails else 0), number, ended=FULL if fails else ACCEPTED)
        flying += fly(line, 1, number)
    assert [line.origin.concurrency.size, line.origin.circuit.state] == [30, "closed"]


def test_without_adapting_503s_are_failures():
    """And nothing else."""
    line = a_line(concurrency=30, adaptive=False, breaker=SOON)
    for permit in fly(line, 30):
        leave(line, permit, 0.1, ended=Ended.FULL)
    assert [line.origin.concurrency.size, line.origin.circuit.state] == [30, "open"]
