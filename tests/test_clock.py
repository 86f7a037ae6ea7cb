import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from threadllm.clock import SYSTEM, Sleeper, SystemClock
from threadllm.testing import FakeClock


class Recorder:
    """A condition that keeps what it was asked to wait for."""

    def __init__(self):
        self.timeouts = []

    def wait(self, timeout):
        self.timeouts.append(timeout)


def test_the_system_clock_tells_the_machines_time():
    """Monotonic and wall time are those of the time module."""
    before = time.monotonic(), time.time()
    told = SYSTEM.monotonic(), SYSTEM.time()
    after = time.monotonic(), time.time()

    assert before[0] <= told[0] <= after[0]
    assert before[1] <= told[1] <= after[1]


@pytest.mark.parametrize(
    ("timeout", "waited"),
    [
        (None, None),
        (0.5, 0.5),
        (1e10, threading.TIMEOUT_MAX),
        (1e19, threading.TIMEOUT_MAX),
        (float("inf"), threading.TIMEOUT_MAX),
    ],
)
def test_a_wait_is_cut_to_what_the_platform_can(timeout, waited):
    """A timeout goes to the condition as it is, unless that would overflow."""
    condition = Recorder()

    SystemClock().wait(condition, timeout)

    assert condition.timeouts == [waited]


def test_a_wait_of_ages_can_be_begun_and_ended():
    """A real condition takes the longest timeout, and is woken out of it."""
    condition = threading.Condition()
    woken = threading.Event()

    def sleep():
        with condition:
            entered.release()
            SYSTEM.wait(condition, 1e19)
        woken.set()

    entered = threading.Semaphore(0)
    thread = threading.Thread(target=sleep)
    thread.start()
    entered.acquire()
    with condition:
        condition.notify()
    thread.join()

    assert woken.is_set()


def test_a_moment_that_has_come_is_not_slept_for():
    """Now and the past return at once, without a look at the clock's waiting."""
    clock = FakeClock(start=100)
    sleeper = Sleeper(clock)

    assert [sleeper.sleep_until(lambda: 100), sleeper.sleep_until(lambda: 99)] == [True, True]


def test_a_sleeper_wakes_at_the_moment():
    """It sleeps for as long as there is to go, and not a second less."""
    clock = FakeClock(start=100)
    sleeper = Sleeper(clock)
    with ThreadPoolExecutor(1) as pool:
        slept = pool.submit(sleeper.sleep_until, lambda: 107)
        assert clock.wait_for_sleepers() == [7]
        clock.advance(6.5)
        assert clock.wait_for_sleepers() == [0.5]
        assert not slept.done()
        clock.advance(0.5)

        assert slept.result() is True
    assert clock.monotonic() == 107


def test_the_moment_is_asked_again_on_waking():
    """A moment put off meanwhile is slept for, as far as it was put off."""
    clock = FakeClock(start=100)
    moments = [110]
    with ThreadPoolExecutor(1) as pool:
        slept = pool.submit(Sleeper(clock).sleep_until, lambda: moments[-1])
        clock.wait_for_sleepers()
        moments.append(130)
        assert [clock.advance_to_next(), clock.advance_to_next()] == [10, 20]

        assert slept.result() is True


def test_waking_ends_every_sleep_now_and_later():
    """All who sleep are told that the moment has not come, and so are those who come later."""
    clock = FakeClock(start=100)
    sleeper = Sleeper(clock)
    assert sleeper.awake is False
    with ThreadPoolExecutor(3) as pool:
        sleeps = [pool.submit(sleeper.sleep_until, lambda: 200) for _ in range(3)]
        assert clock.wait_for_sleepers(3) == [100, 100, 100]
        sleeper.wake()

        assert [slept.result() for slept in sleeps] == [False, False, False]
    assert sleeper.awake is True
    assert [sleeper.sleep_until(lambda: 200), sleeper.sleep_until(lambda: 0)] == [False, False]


def test_a_sleeper_takes_the_machines_clock_unless_given_another():
    """Without a clock the sleep is a real one."""
    sleeper = Sleeper()

    assert sleeper.clock is SYSTEM
    assert sleeper.sleep_until(SYSTEM.monotonic) is True
