import threading
from concurrent.futures import ThreadPoolExecutor
from queue import SimpleQueue

import pytest

from threadllm import testing
from threadllm.clock import Sleeper
from threadllm.testing import FakeClock


@pytest.fixture
def pool():
    with ThreadPoolExecutor(4) as pool:
        yield pool


def test_time_stands_still_until_it_is_advanced():
    """Both times go on by what they are advanced, and by nothing else."""
    clock = FakeClock(start=5, wall=1_000)
    told = [(clock.monotonic(), clock.time()), (clock.monotonic(), clock.time())]
    clock.advance(2.5)

    assert [*told, (clock.monotonic(), clock.time())] == [(5, 1000), (5, 1000), (7.5, 1002.5)]


@pytest.mark.parametrize("timeout", [0, -1, 1e-300])
def test_no_time_is_not_waited_for(timeout):
    """A wait of nothing, or of less than the clock can tell, returns as a condition's does."""
    clock = FakeClock()
    condition = threading.Condition()

    with condition:
        clock.wait(condition, timeout)

    assert clock.monotonic() == 1000


def test_time_that_passes_before_a_wait_counts(pool):
    """It is reckoned from what its thread has read, once: who reads nothing waits for all of it."""
    clock = FakeClock()
    condition = threading.Condition()
    deadline = clock.monotonic() + 5
    left = deadline - clock.monotonic()
    clock.advance(5)
    with condition:
        clock.wait(condition, left)

    def wait():
        clock.monotonic()
        with condition:
            clock.wait(condition, 0)
            clock.wait(condition, 7)

    waiting = pool.submit(wait)
    assert clock.wait_for_sleepers() == [7]
    clock.advance(7)
    waiting.result(10)


def test_a_wait_without_end_is_no_sleep(pool):
    """Whoever waits for a notice alone is woken by it, and no passing of time is asked for."""
    clock = FakeClock()
    condition = threading.Condition()
    waits = threading.Event()

    def wait():
        with condition:
            waits.set()
            clock.wait(condition, None)

    waited = pool.submit(wait)
    waits.wait()
    with condition:
        condition.notify()

    assert waited.result() is None


def test_each_sleeper_awakes_in_its_turn(pool):
    """Time is advanced to the earliest, again and again, and only those are woken."""
    clock = FakeClock(start=0)
    order = SimpleQueue()

    def sleep(seconds):
        Sleeper(clock).sleep_until(lambda: seconds)
        order.put((seconds, clock.monotonic()))

    sleeps = [pool.submit(sleep, seconds) for seconds in (30, 10, 20)]
    assert clock.wait_for_sleepers(3) == [10, 20, 30]
    awoken = [(clock.advance_to_next(), *order.get()) for _ in sleeps]

    assert awoken == [(10, 10, 10), (10, 20, 20), (10, 30, 30)]


def test_who_was_woken_is_no_sleeper(pool):
    """Advancing twice in a row passes two sleeps, not one sleep and its shadow."""
    clock = FakeClock(start=0)
    sleeper = Sleeper(clock)

    def sleep_on():
        return [sleeper.sleep_until(lambda end=end: end) for end in range(1, 101)]

    slept = pool.submit(sleep_on)

    assert [clock.advance_to_next() for _ in range(100)] == [1] * 100
    assert slept.result() == [True] * 100


def test_one_condition_wakes_all_who_share_it(pool):
    """Those whose time has not come sleep on for what is left."""
    clock = FakeClock(start=0)
    sleeper = Sleeper(clock)
    sleeps = [pool.submit(sleeper.sleep_until, lambda end=end: end) for end in (10, 10, 25)]
    clock.wait_for_sleepers(3)
    clock.advance(10)
    assert [slept.result() for slept in sleeps[:2]] == [True, True]
    assert clock.wait_for_sleepers() == [15]
    clock.advance(15)

    assert sleeps[2].result() is True


def test_sleepers_that_do_not_come_fail_the_test(monkeypatch, pool):
    """After the patience the error says how many came."""
    clock = FakeClock()
    sleeper = Sleeper(clock)
    slept = pool.submit(sleeper.sleep_until, lambda: 2000)
    clock.wait_for_sleepers()
    monkeypatch.setattr(testing, "_PATIENCE", 0.01)

    with pytest.raises(TimeoutError) as caught:
        clock.wait_for_sleepers(3)
    sleeper.wake()
    assert slept.result() is False
    with pytest.raises(TimeoutError) as none:
        clock.advance_to_next()

    assert str(caught.value) == "1 of 3 threads sleep"
    assert str(none.value) == "0 of 1 threads sleep"


def test_running_jumps_from_sleep_to_sleep(pool):
    """For as long as the block lasts, nobody waits in real time; afterwards time stands again."""
    clock = FakeClock(start=0)
    sleeper = Sleeper(clock)

    def nap(times):
        return [sleeper.sleep_until(lambda end=end: end * 3600) for end in range(1, times + 1)]

    with clock.running():
        naps = [pool.submit(nap, 50) for _ in range(4)]
        assert [slept.result() for slept in naps] == [[True] * 50] * 4
    assert clock.monotonic() == 50 * 3600

    slept = pool.submit(sleeper.sleep_until, lambda: 10**6)
    assert clock.wait_for_sleepers() == [10**6 - 50 * 3600]
    sleeper.wake()
    assert slept.result() is False


def test_running_ends_with_its_block():
    """The thread that turns the clock is gone, also after an error."""
    clock = FakeClock()
    before = threading.enumerate()

    with pytest.raises(ZeroDivisionError), clock.running():
        raise ZeroDivisionError

    assert threading.enumerate() == before
