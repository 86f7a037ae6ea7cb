import pytest

from tests.quota.support import NOTHING, ORIGIN, Guest, Hours, a_line, leave, let_in, refuse
from threadllm.providers import Allowance
from threadllm.quota import (
    Breaker,
    Ended,
    KnownLimit,
    LineSnapshot,
    Quota,
    Refusal,
    Snapshot,
)
from threadllm.testing import FakeClock

QUIET = LineSnapshot(
    origin=ORIGIN,
    model="m",
    slots_in_use=0,
    slots=8,
    parked=0,
    pace=None,
    limits=(),
    paused=0.0,
    breaker="closed",
)


def a_quota(**settings):
    quota = Quota(8, **settings)
    quota.timed_by(FakeClock(start=0.0))
    return quota


def test_a_new_quota_has_nothing_to_tell():
    """It has its slots."""
    snapshot = Quota(8).snapshot()
    assert snapshot == Snapshot(8, 0, ())
    assert [snapshot.parked, snapshot.note()] == [0, ""]


def test_each_line_has_its_own():
    """By origin and model, in the order in which they came."""
    quota = a_quota()
    a_line(quota)
    quota.line("")
    quota.slots.acquire()
    snapshot = quota.snapshot()
    assert snapshot.lines == (QUIET,)
    assert snapshot.slots_in_use == 1


def test_calls_that_name_no_origin_are_told_of_where_something_holds_them_back():
    """As long as they go by freely there is nothing to be said."""
    quota = a_quota()
    line = quota.line("")
    assert quota.snapshot().lines == ()
    line.refuse(None, 0.0, Refusal(5.0, lambda paused: 1.0), 0.0)
    (seen,) = quota.snapshot().lines
    assert [seen.origin, seen.model, seen.paused] == ["", "", 5.0]


def test_it_tells_what_is_known_of_limits():
    """Which, how much, from whom, and what is left."""
    quota = a_quota(requests_per_minute=60, burst=5, requests_per_day=1000)
    line = a_line(quota)
    permit = let_in(line)
    line.hear(permit, [Allowance("tokens", 6000.0, 60.0, 50.0, None)], 0.0)
    (seen,) = quota.snapshot().lines
    assert seen.limits == (
        KnownLimit("requests", 60, 60, "stated", 4),
        KnownLimit("requests", 1000, 86_400, "stated", 999),
        KnownLimit("tokens", 6000, 60, "provider", 50),
    )
    assert [seen.pace, seen.slots_in_use] == [60, 1]


def test_it_tells_of_the_pace_the_pause_and_the_slots():
    """As the provider's refusals have made them."""
    quota = a_quota()
    line = a_line(quota)
    for _ in range(20):
        leave(line, let_in(line))
    refuse(line, let_in(line), asked=7.4)
    line.origin.concurrency.shrink(3)
    snapshot = quota.snapshot()
    (seen,) = snapshot.lines
    assert [seen.pace, seen.paused, seen.slots] == [pytest.approx(14 * 60), 7.4, 3]
    assert snapshot.note() == "paused=8s"


def test_it_tells_of_the_breaker():
    """Whether it is open, half-open or closed; closed where there is none."""
    quota = a_quota(breaker=Breaker(sliding_window=1, failure_rate=1, probes=1))
    line = a_line(quota)
    leave(line, let_in(line), ended=Ended.ANSWERED_BADLY)
    assert [quota.snapshot().lines[0].breaker, quota.snapshot().note()] == ["open", "breaker open"]
    let_in(line, 30.0)
    assert quota.snapshot().note() == "breaker half-open"
    none = a_quota(breaker=None)
    a_line(none)
    assert none.snapshot().lines[0].breaker == "closed"


def test_those_who_wait_are_counted():
    """In all lines together."""
    quota = a_quota()
    seen = []

    class Watcher(Guest):
        def wait(self, condition, seconds):
            seen.append(quota.snapshot())
            super().wait(condition, seconds)

    line = a_line(quota)
    refuse(line, let_in(line), asked=5.0)
    line.entrance.enter(Watcher(quota, Hours()), NOTHING)
    assert [(snapshot.parked, snapshot.lines[0].parked) for snapshot in seen] == [(1, 1)]


def note(*lines):
    return Snapshot(8, 0, lines).note()


def a_snapshot(**fields):
    values = {name: getattr(QUIET, name) for name in LineSnapshot.__slots__}
    return LineSnapshot(**(values | fields))


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({}, ""),
        ({"pace": 500.4}, ""),
        ({"pace": 500.4, "parked": 3}, "pace=500/min"),
        ({"paused": 12.0, "pace": 500.0, "parked": 3}, "paused=12s"),
        ({"breaker": "open"}, "breaker open"),
        ({"breaker": "half-open", "paused": 2.0}, "breaker half-open paused=2s"),
        ({"parked": 3}, ""),
    ],
)
def test_a_note_says_what_holds_requests_back(fields, text):
    """In a few words; nothing if nothing does."""
    assert note(a_snapshot(**fields)) == text


def test_a_note_says_nothing_twice():
    """Several models of one origin wait for the same."""
    one, other = a_snapshot(breaker="open"), a_snapshot(model="n", breaker="open", paused=3.0)
    assert note(one, other) == "breaker open paused=3s"
