"""The thread that knows the time: whom it tells, when it is woken, and what it keeps."""

import gc
import threading
import time
import weakref

import pytest

from tests.dispatcher.support import PATIENCE
from tests.support import until
from threadllm.call import Call
from threadllm.dispatcher.watchdog import Watchdog


class Waits:
    """A clock that stands still, and counts how often it is waited for."""

    def __init__(self):
        self.now = 0.0
        self.waits = []

    def monotonic(self):
        return self.now

    def wait(self, condition, timeout):
        self.waits.append(timeout)
        condition.wait()

    def until(self, number):
        """Wait until it was waited for so many times."""
        end = time.monotonic() + PATIENCE
        while len(self.waits) < number:
            assert time.monotonic() < end


@pytest.fixture
def call():
    return Call(None)


@pytest.fixture
def told():
    return []


@pytest.fixture
def waits():
    return Waits()


@pytest.fixture
def watchdog(clock):
    made = Watchdog(clock)
    made.start()
    yield made
    made.close()
    made.join()


def at(watchdog, moment, told, call, again=None):
    """Watches until a moment; what is told is noted."""

    def expire(watch):
        told.append(moment)
        if again is None:
            watchdog.release(watch)
        return again

    return watchdog.watch(moment, expire, call)


def test_each_is_told_at_its_moment(clock, watchdog, told, call):
    """In the order of their moments, and those of one moment in the order they came."""
    for moment in (1010.0, 1005.0, 1007.0, 1005.0):
        at(watchdog, moment, told, call)
    clock.advance(5)
    until(lambda: len(told) == 2)
    clock.advance(1.9)
    clock.advance(0.1)
    until(lambda: len(told) == 3)
    clock.advance(100)
    until(lambda: len(told) == 4)

    assert told == [1005.0, 1005.0, 1007.0, 1010.0]


def test_a_moment_that_has_passed_is_told_at_once(watchdog, told, call):
    """However late it was said."""
    at(watchdog, 900.0, told, call)

    until(lambda: told == [900.0])


def test_who_is_released_is_not_told(clock, watchdog, told, call):
    """And can be released once only."""
    watch = at(watchdog, 1005.0, told, call)
    at(watchdog, 1006.0, told, call)

    assert [watchdog.release(watch), watchdog.release(watch)] == [True, False]
    clock.advance(50)
    until(lambda: told)
    assert told == [1006.0]


def test_whose_call_is_another_by_now_is_not_released(watchdog, told, call):
    """Who would end it looks again."""
    watch, other = at(watchdog, 2000.0, told, call), Call(None)

    assert watchdog.resume(watch, other)
    assert not watchdog.release_from(watch, call)
    assert watchdog.release_from(watch, other)
    assert not watchdog.resume(watch, call)
    assert watch.call is None


def test_who_asks_for_it_is_told_again(clock, watchdog, told, call):
    """At the moment that it names, unless it was released meanwhile."""
    watch = at(watchdog, 1005.0, told, call, again=1006.0)
    clock.advance(5)
    until(lambda: len(told) == 1)
    clock.advance(1)
    until(lambda: len(told) > 1)
    watchdog.release(watch)


def test_who_was_released_while_it_was_told_is_told_no_more(clock, watchdog, told, call):
    """Though it asked to be."""

    def expire(watch):
        told.append(1)
        watchdog.release(watch)
        return 1006.0

    watchdog.watch(1005.0, expire, call)
    at(watchdog, 1007.0, told, call)
    clock.advance(50)
    until(lambda: len(told) == 2)

    assert told == [1, 1007.0]


def test_the_thread_is_woken_for_an_earlier_moment_only(waits, told, call):
    """So that a call costs no change of threads."""
    watchdog = Watchdog(waits)
    watchdog.start()
    waits.until(1)
    at(watchdog, 50.0, told, call)
    waits.until(2)
    watches = [at(watchdog, moment, told, call) for moment in (60.0, 55.0, 50.0)]
    for watch in watches:
        watchdog.release(watch)
    last = at(watchdog, 40.0, told, call)
    waits.until(3)
    watchdog.close()
    watchdog.release(last)
    assert waits.waits[:3] == [None, 50.0, 40.0]
    waits.now = 50.0
    with watchdog._changed:
        watchdog._changed.notify_all()
    watchdog.join()

    assert told == [50.0]


def test_what_is_released_leaves_nothing_behind(watchdog, call):
    """Its place in the order is cleared up as others come and go."""

    class Told:
        def __call__(self, watch):
            raise AssertionError

    told = Told()
    left = weakref.ref(told)
    for n in range(1000):
        watchdog.release(watchdog.watch(5000.0 + n, told, call))
    del told

    assert left() is None
    assert len(watchdog._moments) < 100


def test_others_stay_where_places_are_cleared_up(clock, watchdog, told, call):
    """Each is told in its turn."""
    for n in range(10):
        at(watchdog, 1009.0 - n, told, call)
        for _ in range(100):
            watchdog.release(at(watchdog, 1500.0, told, call))
    clock.advance(9)
    until(lambda: len(told) == 10)

    assert told == [1000.0 + n for n in range(10)]


@pytest.mark.parametrize("kind", [ValueError, SystemExit])
def test_an_error_is_logged_and_the_others_are_told(clock, watchdog, told, call, caplog, kind):
    """The thread goes on, whatever is raised in it."""

    def fail(watch):
        watchdog.release(watch)
        raise kind

    watchdog.watch(1001.0, fail, call)
    at(watchdog, 1002.0, told, call)
    clock.advance(5)
    until(lambda: told)

    assert [(one.name, one.msg) for one in caplog.records] == [
        ("concurrent.futures", "Exception in watchdog")
    ]


def test_it_ends_when_nothing_is_watched_any_more(clock, told, call):
    """Closing waits for nothing, and those who are watched are told still."""
    watchdog = Watchdog(clock)
    watchdog.start()
    at(watchdog, 1005.0, told, call)
    watchdog.close()
    clock.advance(5)
    watchdog.join()

    assert (told, watchdog._thread.is_alive()) == ([1005.0], False)


def test_who_comes_after_its_end_is_watched_too(clock, told, call):
    """It has a thread again, for as long as that; until then none is begun in vain."""
    watchdog = Watchdog(clock)
    watchdog.close()
    watchdog.start()
    assert watchdog._thread is None
    for moment in (1005.0, 1010.0):
        at(watchdog, moment, told, call)
        clock.advance(5)
        watchdog.join()
        assert (told[-1], watchdog._thread.is_alive()) == (moment, False)


def test_it_has_one_thread(clock, eager_switching):
    """However many ask for it at a time."""
    watchdog = Watchdog(clock)
    before = {*threading.enumerate()}
    starters = [threading.Thread(target=watchdog.start) for _ in range(20)]
    for starter in starters:
        starter.start()
    for starter in starters:
        starter.join()

    assert len({*threading.enumerate()} - before) == 1
    watchdog.close()
    watchdog.join()


def test_a_thread_that_was_never_started_is_not_waited_for(clock):
    """Nor is the one that would wait for itself."""
    watchdog = Watchdog(clock)
    watchdog.join()
    joined = []

    def expire(watch):
        watchdog.join()
        joined.append(watchdog.release(watch))

    watchdog.start()
    watchdog.watch(0.0, expire, Call(None))
    until(lambda: joined)
    watchdog.close()
    watchdog.join()

    assert joined == [True]


def test_the_collector_may_close_it_anywhere(clock, told, call):
    """Also in a thread that is just using it: the lock is taken again by the same."""

    class Cycle:
        def __init__(self, watchdog):
            self.me = self
            weakref.finalize(self, watchdog.close)

    watchdog = Watchdog(clock)
    watchdog.start()
    Cycle(watchdog)
    with watchdog._lock:
        gc.collect()
        assert watchdog._closed
    watchdog.join()
