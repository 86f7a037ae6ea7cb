import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.quota.support import PATIENCE
from threadllm.quota.slots import Room, Slots


def test_slots_in_use_are_counted():
    """Those that are out, whoever has them."""
    slots, counts = Slots(3), []
    for act in (slots.acquire, slots.acquire, slots.release, slots.release):
        act()
        counts.append(slots.in_use)
    assert counts == [1, 2, 1, 0]


def test_who_does_not_wait_is_told_that_there_is_none():
    """At once."""
    slots = Slots(1)
    assert [slots.acquire(blocking=False) for _ in range(2)] == [True, False]


def test_who_was_called_off_does_not_wait():
    """But takes a slot if there is one."""
    slots = Slots(1)
    assert [slots.acquire(called_off=lambda: True) for _ in range(2)] == [True, False]
    slots.release()
    assert slots.in_use == 0


@pytest.mark.usefixtures("eager_switching")
def test_no_slot_is_lost_or_made_by_waiters_that_are_called_off():
    """However threads take turns, as many are free in the end as at first, and never more out."""
    slots, lock = Slots(3), threading.Lock()
    out, most = 0, 0

    def use(number):
        nonlocal out, most
        looks = iter(range(1 + number % 3))
        if not slots.acquire(called_off=lambda: next(looks, None) is None):
            return False
        with lock:
            out += 1
            most = max(most, out)
        with lock:
            out -= 1
        slots.release()
        return True

    with ThreadPoolExecutor(12) as pool:
        futures = [pool.submit(use, number) for number in range(600)]
        while not all(future.done() for future in futures):
            slots.look_again()
        had = [future.result(PATIENCE) for future in futures]

    assert [slots.in_use, most <= 3, any(had)] == [0, True, True]
    assert [slots.acquire(blocking=False) for _ in range(4)] == [True, True, True, False]


def test_slots_can_be_for_others_to_use():
    """Who waits is told when there are more."""
    slots = Slots(3)
    slots.allow(0)
    assert not slots.acquire(blocking=False)
    with ThreadPoolExecutor(3) as pool:
        futures = [pool.submit(slots.acquire) for _ in range(3)]
        while slots.waiting < 3:
            pass
        slots.allow(2)
        while slots.waiting > 1:
            pass
        assert (slots.in_use, [future.done() for future in futures].count(True) <= 2) == (2, True)
        slots.release()
        assert all(future.result(PATIENCE) for future in futures)
    assert (slots.in_use, slots.waiting) == (2, 0)


def test_a_room_lends_as_many_as_it_has():
    """And takes them back."""
    room = Room(2)
    assert [room.take() for _ in range(3)] == [True, True, False]
    assert [room.out, room.has_more] == [2, False]
    room.give_back()
    assert [room.out, room.has_more, room.take()] == [1, True, True]


def test_a_room_shrinks_as_permits_come_free():
    """Those that are out stay out; what comes back is held until few enough are."""
    room = Room(4)
    for _ in range(4):
        room.take()
    room.allow(2)
    seen = []
    for _ in range(3):
        room.give_back()
        seen.append((room.out, room.has_more))
    assert seen == [(3, False), (2, False), (1, True)]


def test_a_room_grows_by_giving_permits_out_again():
    """At once, and no further than it was made."""
    room = Room(4)
    room.allow(1)
    assert [room.take(), room.take()] == [True, False]
    room.allow(3)
    assert [room.take() for _ in range(3)] == [True, True, False]
    room.allow(4)
    assert [room.take() for _ in range(2)] == [True, False]


def test_what_is_no_longer_to_be_held_is_given_back():
    """Also where fewer had come free than were to be held."""
    room = Room(4)
    for _ in range(4):
        room.take()
    room.allow(1)
    room.give_back()
    room.allow(4)
    assert [room.take(), room.take(), room.out] == [True, False, 4]


def test_no_permit_can_be_made_up():
    """The semaphore is bounded."""
    room = Room(1)
    with pytest.raises(ValueError, match="released too many times"):
        room.give_back()


acts = st.one_of(st.just("take"), st.just("give back"), st.integers(1, 8))


@given(st.lists(acts, max_size=60))
def test_never_more_are_lent_than_allowed(course):
    """Whatever is allowed when: permits are lent up to that, and none is lost on the way."""
    room, allowed, out = Room(8), 8, 0
    for act in course:
        if act == "take":
            expected = out < allowed
            assert [room.has_more, room.take()] == [expected, expected]
            out += expected
        elif act == "give back" and out:
            room.give_back()
            out -= 1
        elif isinstance(act, int):
            allowed = act
            room.allow(allowed)
        assert room.out == out
    for _ in range(out):
        room.give_back()
    room.allow(8)
    assert [room.take() for _ in range(9)] == [True] * 8 + [False]
