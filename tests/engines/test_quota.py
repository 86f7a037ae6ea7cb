"""One quota for all workers: its limits are lent in blocks, a pause is told to all of them."""

import threading
import time

import pytest

from tests.engines import jobs
from tests.support import until
from threadllm import Dispatcher, Quota
from threadllm.clock import SYSTEM
from threadllm.engines import ordering
from threadllm.quota import LeasedQuota, Need, Pause, Units
from threadllm.simulator import Limits, Simulator

ENGINE = {"engine": "processes", "workers": 2}


def most_in_a_second(moments):
    moments = sorted(moments)
    return max(sum(start <= one < start + 1 for one in moments) for start in moments)


@pytest.mark.long
def test_workers_together_keep_to_the_rate():
    """In no second is there more than the limit allows, what may burst, and a block for each."""
    a_second = 60
    quota = Quota(16, requests_per_minute=60 * a_second)
    began = time.monotonic()
    with Simulator() as sim, Dispatcher(16, quota=quota, **ENGINE) as pool:
        outcomes = list(pool.outcomes(jobs.timed_ask, [sim.base_url] * 150))
    moments = [outcome.unwrap() for outcome in outcomes]
    assert 150 / a_second - 0.5 < time.monotonic() - began < 150 / a_second + 3
    # Those in flight may come together where a process is held up.
    assert most_in_a_second(moments) <= a_second + a_second / 5 + 2 + 16


@pytest.mark.long
def test_what_one_worker_does_not_use_another_may():
    """No part of the rate is any worker's own."""
    quota = Quota(4, requests_per_minute=60 * 40)
    with Simulator() as sim, Dispatcher(4, quota=quota, **ENGINE) as pool:
        slow = [pool.submit(jobs.after, 3) for _ in range(2)]
        began = time.monotonic()
        list(pool.map(jobs.ask, [sim.base_url] * 60))
        took = time.monotonic() - began
        for future in slow:
            future.result()
    assert took < 2.6  # with half the rate it would be 3


@pytest.mark.long
def test_a_pause_of_one_is_a_pause_of_all():
    """A 429 that says how long to wait is met once or twice, and not by each worker."""
    with (
        Simulator(limits=Limits(requests_per_minute=60, burst=4, headers=False)) as sim,
        Dispatcher(4, quota=Quota(4, adaptive=False), **ENGINE) as pool,
    ):
        assert len(list(pool.map(jobs.ask, [sim.base_url] * 8))) == 8
        assert pool.totals.throttled <= 12
        assert pool.quota.line(sim.url, "m").gate.opens_at > 0  # it was told


@pytest.mark.long
def test_each_keeps_to_its_part_of_what_only_the_provider_tells():
    """All hear the same headers, which speak of the account: hardly a 429 comes of it."""
    limits = Limits(requests_per_minute=1200, burst=20)
    with Simulator(limits=limits) as sim, Dispatcher(16, **ENGINE) as pool:
        assert all(one.ok for one in pool.outcomes(jobs.ask, [sim.base_url] * 80))
        assert pool.totals.throttled <= 10


def test_there_are_no_more_workers_than_slots():
    """So that no more are in flight than may be: in all, and not in each."""
    with Dispatcher(8, quota=Quota(1), engine="processes", workers=2) as pool:
        places = {*pool.map(jobs.after_and_where, [0.05] * 8)}
    assert len(places) == 1


def most_at_once(spans):
    return max(sum(began <= moment < ended for began, ended in spans) for moment, _ in spans)


def test_those_who_share_a_quota_share_its_slots():
    """Workers of several dispatchers, and threads here: no more in all than it has."""
    quota = Quota(4)
    with (
        Dispatcher(4, quota=quota, **ENGINE) as two,
        Dispatcher(4, quota=quota, engine="processes", workers=1) as one,
        Dispatcher(4, quota=quota) as here,
    ):
        runs = [pool.map(jobs.span, [0.05] * 24) for pool in (two, one, here)]
        spans = [span for run in runs for span in run]
        assert most_at_once(spans) == 4
        assert quota.slots.in_use == 0
    assert [quota.slots.acquire(blocking=False) for _ in range(5)] == [True] * 4 + [False]


def test_slots_that_one_does_not_need_another_has(tmp_path):
    """No part of them is any worker's own."""
    quota, engine, end = Quota(4), {"engine": "processes", "workers": 1}, tmp_path / "end"
    with Dispatcher(4, quota=quota, **engine) as one, Dispatcher(4, quota=quota, **engine) as other:
        alone = one.submit(jobs.span_until, end)
        until(lambda: quota.snapshot().slots_in_use == 1)  # that is told each second
        spans = [*other.map(jobs.span, [0.1] * 20)]
        assert most_at_once(spans) == 3
        end.touch()
        assert most_at_once([*spans, alone.result()]) == 4


def test_slots_that_nobody_needs_are_given_back_soon(monkeypatch, tmp_path):
    """Though no call ends meanwhile of whom they are asked back from."""
    monkeypatch.setattr(ordering, "_WAIT", 20.0)
    quota, engine, end = Quota(4), {"engine": "processes", "workers": 1}, tmp_path / "end"
    with Dispatcher(4, quota=quota, **engine) as one, Dispatcher(4, quota=quota, **engine) as other:
        other.submit(jobs.span, 0).result()
        alone = one.submit(jobs.span_until, end)
        until(alone.running)
        began = time.monotonic()
        done = [*other.map(jobs.span, [0.05] * 8)]
        took = time.monotonic() - began
        end.touch()
        assert (len(done), took < 10, len(alone.result())) == (8, True, 2)


def test_a_slot_that_threads_here_give_back_is_had_soon(monkeypatch):
    """Nobody tells, so that it is asked for again."""
    monkeypatch.setattr(ordering, "_WAIT", 20.0)
    quota = Quota(1)
    with (
        Dispatcher(1, quota=quota) as here,
        Dispatcher(1, quota=quota, engine="processes", workers=1) as pool,
    ):
        pool.submit(jobs.span, 0).result()
        first = here.submit(jobs.span, 0.3)
        while not first.running():
            pass
        began, _ = pool.submit(jobs.span, 0).result()
        _, ended = first.result()
        assert 0 <= began - ended < 10


@pytest.fixture
def leased():
    told = threading.Event()
    whole = Quota(2, requests_per_minute=600, tokens_per_minute=6_000)
    return whole, LeasedQuota(whole.settings, told.set), told


def test_units_are_asked_for_lent_and_used(leased):
    """As the first in the line lacks them; a block is a hundredth of a second's worth."""
    whole, part, told = leased
    line, need, now = part.line("http://a.example"), Need(30, 20), SYSTEM.monotonic()
    assert line.wait(need, now, is_retry=False) > 1e9
    assert told.is_set()
    wanted = part.wanted()
    assert wanted == [Units("http://a.example", 0, 1.0), Units("http://a.example", 1, 50)]
    lent = [one._replace(units=whole.lend_out(one)[0]) for one in wanted]
    assert lent == wanted
    part.lend(lent)
    assert part.wanted() == []
    assert line.wait(need, SYSTEM.monotonic(), is_retry=False) == 0
    line.let_in(need, SYSTEM.monotonic(), is_retry=False, waited=False)
    assert line.wait(need, SYSTEM.monotonic(), is_retry=False) > 1e9


def test_what_is_not_used_goes_back(leased):
    """After a second; the whole has it again."""
    whole, part, _ = leased
    part.line("http://a.example")
    before = whole.line("http://a.example").origin.limits[0].left(SYSTEM.monotonic())
    units, _ = whole.lend_out(Units("http://a.example", 0, 2.0))
    part.lend([Units("http://a.example", 0, units)])
    assert part.unused() == []
    time.sleep(1.05)
    [back] = part.unused()
    assert back == Units("http://a.example", 0, 2.0)
    assert part.unused() == []
    whole.take_back(back)
    after = whole.line("http://a.example").origin.limits[0].left(SYSTEM.monotonic())
    assert after == pytest.approx(before, abs=0.2)


def test_there_is_a_wait_where_nothing_is_left(leased):
    """Of which the worker is told by when it is to ask again."""
    whole, _, _ = leased
    lent = 0.0
    while (found := whole.lend_out(Units("", 0, 1.0)))[0]:
        lent += found[0]
    assert lent <= 3
    assert 0 < found[1] <= 0.11


def test_a_pause_is_told_once(leased):
    """And to nobody who was told of it by others."""
    _, part, _ = leased
    part.pause([Pause("http://a.example", "m", 5.0)])
    assert part.pauses() == []
    line = part.line("http://b.example")
    line.gate.shut(SYSTEM.monotonic() + 3, now=SYSTEM.monotonic(), sent=0.0, asked=True)
    [told] = part.pauses()
    assert (told.origin, told.model) == ("http://b.example", "")
    assert 2.5 < told.seconds <= 3
    assert part.pauses() == []


def test_a_lease_is_a_limit(leased):
    """It is charged, settled and given back as others are; nothing of it is lent again."""
    _, part, _ = leased
    line, now = part.line("http://a.example"), SYSTEM.monotonic()
    requests, tokens = line.origin.limits
    part.lend([Units("http://a.example", 1, 100.0)])
    tokens.charge(Need(40, 20), now)
    assert tokens.left(SYSTEM.monotonic()) == 40
    tokens.settle(Need(40, 20), Need(10, 10), now)
    tokens.take_back(Need(5, 5), now)
    assert tokens.left(SYSTEM.monotonic()) == 90
    assert not tokens.is_low(Need(10, 10), SYSTEM.monotonic())
    tokens.empty(SYSTEM.monotonic())
    assert tokens.left(SYSTEM.monotonic()) == 0
    assert tokens.is_low(Need(10, 10), SYSTEM.monotonic())
    assert requests.lend_out(1.0, now)[0] == 0
