"""Many threads before one entrance, on a clock that stands still."""

import random
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.quota.support import (
    NOTHING,
    PATIENCE,
    Guest,
    a_line,
    leave,
    let_in,
    most_in_any_window,
    refuse,
)
from threadllm.exceptions import CallCancelled
from threadllm.quota import Breaker, Ended, Need, Quota
from threadllm.quota.meter import Meter
from threadllm.testing import FakeClock

SLOW = {"requests_per_minute": 60}  # one a second, less a hundredth


class Pool(ThreadPoolExecutor):
    """Threads for guests, who are called off in the end: a test that fails does not hang."""

    def __init__(self):
        super().__init__(64)
        self.guests = []

    def call_off(self):
        for line, guest in self.guests:
            guest.called_off = True
            guest.slots.look_again()
            with line.lock:
                line.entrance.wake_all()


@pytest.fixture
def pool():
    with Pool() as threads:
        yield threads
        threads.call_off()


def enters(pool, line, guest, need=NOTHING, *, is_retry=False):
    pool.guests.append((line, guest))
    return pool.submit(line.entrance.enter, guest, need, is_retry=is_retry)


def queued(pool, line, guests):
    """What each gets, when all have come one after another and wait."""
    futures = []
    for guest in guests:
        futures.append(enters(pool, line, guest))
        guest.sleeps(line)
    return futures


def test_first_come_first_served(pool):
    """They are let in just as they came, and each at the moment that is its."""
    quota, clock = Quota(32, **SLOW), FakeClock(start=0.0)
    line = a_line(quota)
    let_in(line)
    futures = queued(pool, line, [Guest(quota, clock) for _ in range(10)])
    for _ in range(10):
        clock.advance_to_next()
    permits = [future.result(PATIENCE) for future in futures]
    assert [permit.number for permit in permits] == [*range(2, 12)]
    assert [permit.at for permit in permits] == pytest.approx([n / 0.99 for n in range(1, 11)])


def test_nobody_passes_by_those_who_wait(pool):
    """Though there would be something for a request that needs less."""
    quota, clock = Quota(32, tokens_per_minute=600), FakeClock(start=0.0)
    line = a_line(quota)
    let_in(line, need=Need(500))
    guest = Guest(quota, clock)
    future = enters(pool, line, guest, Need(300))
    guest.sleeps(line)
    assert line.entrance.pass_by(Need(1), 0.0) is None
    clock.advance_to_next()
    assert future.result(PATIENCE).need == Need(300)


def test_only_the_first_is_woken_for_a_moment(pool):
    """The others learn that their turn has come from who was before them: no crowd wakes."""
    quota, clock = Quota(64, **SLOW), FakeClock(start=0.0)
    line = a_line(quota)
    let_in(line)
    guests = [Guest(quota, clock) for _ in range(30)]
    futures = queued(pool, line, guests)
    for _ in guests:
        assert len(clock.wait_for_sleepers()) == 1
        clock.advance_to_next()
    for future in futures:
        future.result(PATIENCE)
    assert [len(guest.told) for guest in guests] == [1] + [2] * 29
    assert [guest.told[0] for guest in guests[1:]] == [None] * 29
    assert sum(guest.wakes for guest in guests) == 2 * 30 - 1


def test_a_wait_is_reckoned_anew_on_waking(pool):
    """A pause that is prolonged meanwhile is kept."""
    quota, clock = Quota(8), FakeClock(start=0.0)
    line = a_line(quota)
    one, two = let_in(line), let_in(line)
    refuse(line, one, asked=5.0)
    guest = Guest(quota, clock)
    (future,) = queued(pool, line, [guest])
    refuse(line, two, asked=9.0)
    guest.sleeps(line)
    clock.advance(5.0)
    assert clock.wait_for_sleepers() == [4.0]
    clock.advance(4.0)
    assert future.result(PATIENCE).at == 9.0


def test_who_waits_for_a_moment_is_parked_and_has_no_slot(pool):
    """All in the line are, for as long as the first of them waits for a moment."""
    quota, clock = Quota(8, **SLOW), FakeClock(start=0.0)
    line = a_line(quota)
    let_in(line)
    guests = [Guest(quota, clock) for _ in range(3)]
    futures = queued(pool, line, guests)
    assert [(guest.is_parked, guest.holds_slot) for guest in guests] == [(True, False)] * 3
    assert [line.entrance.waiting, quota.slots.in_use] == [3, 0]
    for _ in guests:
        clock.advance_to_next()
    for future in futures:
        future.result(PATIENCE)
    assert [(guest.is_parked, guest.holds_slot) for guest in guests] == [(False, True)] * 3


def test_a_slot_is_waited_for_without_being_parked(pool):
    """And given back if a pause has come meanwhile."""
    quota, clock = Quota(1), FakeClock(start=0.0)
    line = a_line(quota)
    quota.slots.acquire()
    refused = let_in(line)
    line.stand_aside(refused)
    guest = Guest(quota, clock)
    future = enters(pool, line, guest)
    assert guest.wants_slot.wait(PATIENCE)
    assert guest.is_parked is False
    refuse(line, refused, asked=3.0)
    quota.slots.release()
    guest.sleeps(line)
    assert [guest.is_parked, quota.slots.in_use] == [True, 0]
    clock.advance(3.0)
    assert [future.result(PATIENCE).at, quota.slots.in_use] == [3.0, 1]


def test_who_waits_for_room_is_told_when_there_is_some(pool):
    """One for one that leaves."""
    quota, clock = Quota(8), FakeClock(start=0.0)
    line = a_line(quota)
    line.origin.concurrency.shrink(1)
    first = let_in(line)
    guests = [Guest(quota, clock) for _ in range(2)]
    futures = queued(pool, line, guests)
    leave(line, first)
    permit = futures[0].result(PATIENCE)
    guests[1].sleeps(line)
    assert [futures[1].done(), guests[1].told] == [False, [None, None]]
    leave(line, permit)
    assert futures[1].result(PATIENCE).number == 3


def test_who_waits_for_probes_is_told_how_they_end(pool):
    """Nobody knows the moment."""
    quota, clock = (
        Quota(8, breaker=Breaker(sliding_window=1, failure_rate=1, probes=1)),
        FakeClock(start=0),
    )
    line = a_line(quota)
    leave(line, let_in(line), ended=Ended.ANSWERED_BADLY)
    clock.advance(30.0)
    probe = let_in(line, 30.0)
    guest = Guest(quota, clock)
    (future,) = queued(pool, line, [guest])
    assert [guest.told, guest.is_parked] == [[None], True]
    leave(line, probe, 30.0)
    assert future.result(PATIENCE).is_probe is False


def test_a_pace_that_has_others_wait_is_probed(pool):
    """Whoever has waited for it shows that it holds requests back."""
    quota, clock = Quota(8), FakeClock(start=0.0)
    line = a_line(quota)
    line.pace.begin_at(2.0)
    line.entrance.pass_by(NOTHING, 0.0)
    assert line.pace._probed == 0
    guest = Guest(quota, clock)
    (future,) = queued(pool, line, [guest])
    clock.advance_to_next()
    assert future.result(PATIENCE).at == line.pace._probed == 0.5


def test_a_pace_is_not_probed_by_who_waits_for_a_slot(pool):
    """Be it that others wait as well."""
    quota, clock = Quota(1), FakeClock(start=0.0)
    line = a_line(quota)
    line.pace.begin_at(10.0)
    quota.slots.acquire()
    guests = [Guest(quota, clock) for _ in range(2)]
    first = enters(pool, line, guests[0])
    assert guests[0].wants_slot.wait(PATIENCE)
    enters(pool, line, guests[1])
    guests[1].sleeps(line)
    clock.advance(2.0)
    quota.slots.release()
    assert first.result(PATIENCE).at == 2.0
    assert line.pace._probed == 0


def test_who_rides_along_goes_first_and_without_a_slot(pool):
    """Who waits for the slot of one that reads a stream must not be waited for by it."""
    quota, clock = Quota(1), FakeClock(start=0.0)
    line = a_line(quota)
    quota.slots.acquire()
    let_in(line)
    (waiting,) = queued(pool, line, [Guest(quota, clock)])
    rider = Guest(quota, clock, rides=True)
    permit = enters(pool, line, rider).result(PATIENCE)
    assert [permit.number, permit.has_room, waiting.done()] == [2, False, False]
    rider.give_slot_back()
    quota.slots.release()
    for one in [*line.origin.in_flight]:
        leave(line, one)
    assert waiting.result(PATIENCE).number == 3


def test_who_is_called_off_leaves_the_line(pool):
    """Wherever it stands; the others go on as if it had never been."""
    quota, clock = Quota(8, **SLOW), FakeClock(start=0.0)
    line = a_line(quota)
    let_in(line)
    guests = [Guest(quota, clock) for _ in range(4)]
    futures = queued(pool, line, guests)
    for guest in (guests[0], guests[2]):
        guest.called_off = True
    quota.look_again()
    for future in (futures[0], futures[2]):
        with pytest.raises(CallCancelled):
            future.result(PATIENCE)
    clock.advance_to_next()
    assert futures[1].result(PATIENCE).at == pytest.approx(1 / 0.99)
    clock.advance_to_next()
    assert futures[3].result(PATIENCE).at == pytest.approx(2 / 0.99)
    assert [line.entrance.waiting, quota.slots.in_use] == [0, 2]


def test_who_is_called_off_while_it_waits_for_a_slot_leaves_the_line(pool):
    """The next has its turn."""
    quota, clock = Quota(1), FakeClock(start=0.0)
    line = a_line(quota)
    quota.slots.acquire()
    guests = [Guest(quota, clock) for _ in range(2)]
    first = enters(pool, line, guests[0])
    assert guests[0].wants_slot.wait(PATIENCE)
    second = enters(pool, line, guests[1])
    guests[1].sleeps(line)
    guests[0].called_off = True
    quota.look_again()
    with pytest.raises(CallCancelled):
        first.result(PATIENCE)
    assert guests[1].wants_slot.wait(PATIENCE)
    quota.slots.release()
    assert second.result(PATIENCE).number == 1


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.usefixtures("eager_switching")
def test_no_permit_is_lost_on_those_who_are_called_off(pool, seed):
    """However many are, and whenever: all that was lent is free, and only those let in are charged.

    Waiters come, are called off and leave at any moment; time jumps on whenever all sleep.
    """
    rng = random.Random(seed)
    quota, clock = Quota(4, requests_per_minute=6000, burst=3), FakeClock(start=0.0)
    line = a_line(quota)
    line.origin.concurrency.shrink(3)
    guests = [Guest(quota, clock) for _ in range(150)]
    unlucky = rng.sample(guests, 60)
    starts, lock = [], threading.Lock()

    def visit(guest):
        try:
            permit = line.entrance.enter(guest, NOTHING)
        except CallCancelled:
            return False
        with lock:
            starts.append(permit.at)
        leave(line, permit, clock.monotonic())
        guest.give_slot_back()
        return True

    def call_off():
        for guest in unlucky:
            guest.called_off = True
            quota.look_again()

    with clock.running():
        caller = threading.Thread(target=call_off)
        futures = [pool.submit(visit, guest) for guest in guests]
        caller.start()
        went = [future.result(60) for future in futures]
        caller.join()

    # So much is left as if the others had never come.
    line.origin.concurrency.acquit()
    meter = Meter(0.99 * 100, 3)
    for at in sorted(starts):
        meter.charge(1, at)
    (limit,) = line.origin.limits
    free = [line.entrance.waiting, quota.slots.in_use, line.origin.in_flight, line.origin._room.out]
    assert free == [0, 0, set(), 0]
    assert all(ok for guest, ok in zip(guests, went, strict=True) if guest not in unlucky)
    assert [len(starts), line._number] == [sum(went)] * 2
    assert limit.left(clock.monotonic()) == pytest.approx(meter.level(clock.monotonic()))
    assert most_in_any_window(starts, 100) <= 3 + 1e-6
    assert not any(guest.holds_slot or guest.is_parked for guest in guests)
    assert [line.entrance.pass_by(NOTHING, 1e6) is None for _ in range(4)] == [False] * 3 + [True]
