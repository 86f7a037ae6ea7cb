from concurrent.futures import ThreadPoolExecutor
from threading import Event

import pytest

from threadllm.quota import Quota


def test_there_are_as_many_slots_as_said():
    """Each can be taken once, and what comes back can be taken again."""
    quota = Quota(2)
    taken = [quota.slots.acquire(blocking=False) for _ in range(3)]
    quota.slots.release()

    assert quota.concurrency == 2
    assert [*taken, quota.slots.acquire(blocking=False)] == [True, True, False, True]


def test_a_slot_that_was_not_taken_cannot_be_given_back():
    """The semaphore is bounded: a slot too many would be a request too many."""
    with pytest.raises(ValueError, match="released too many times"):
        Quota(1).slots.release()


def test_who_waits_for_a_slot_can_be_called_off():
    """A look again ends the wait of those who were called off, and of nobody else."""
    slots = Quota(1).slots
    slots.acquire()
    stopped = Event()
    with ThreadPoolExecutor(2) as pool:
        off = pool.submit(slots.acquire, called_off=stopped.is_set)
        on = pool.submit(slots.acquire)
        while len(slots._changed._waiters) < 2:
            assert (off.done(), on.done()) == (False, False)
        slots.look_again()
        while len(slots._changed._waiters) < 2:
            assert (off.done(), on.done()) == (False, False)
        stopped.set()
        slots.look_again()
        assert off.result(5) is False
        slots.release()
        assert on.result(5) is True


def test_each_origin_has_a_gate_of_its_own():
    """What one host asks for does not hold up another."""
    quota = Quota(1)
    quota.line("https://a:443").gate.shut(10, now=0, sent=0, asked=True)

    assert quota.line("https://a:443").gate.opens_at == 10
    assert [quota.line(origin).gate.opens_at < 0 for origin in ("", "https://b:443")] == [
        True,
        True,
    ]


def test_a_thread_that_was_slower_finds_the_line_of_the_faster():
    """Who has looked before another made the line does not make one more."""

    class Lines(dict):
        def get(self, names):
            return None

    quota = Quota(1)
    quota._lines = Lines()
    assert quota.line("https://a:443") is quota.line("https://a:443")
    assert len(quota.snapshot().lines) == 1


def test_lines_of_one_origin_share_it():
    """And no other origin does."""
    quota = Quota(1)
    one, other = quota.line("https://a:443", "m"), quota.line("https://a:443", "n")
    assert one.origin is other.origin is not quota.line("https://b:443", "m").origin
    assert [one.name, quota.line("").name, quota.line("", "m").name] == [
        "https://a:443 m",
        "calls",
        "calls m",
    ]


def test_threads_find_the_same_line():
    """However many ask at a time, there is one for each origin."""
    quota = Quota(1)
    with ThreadPoolExecutor(16) as pool:
        lines = [*pool.map(quota.line, ["a", "b"] * 200)]

    assert {id(line) for line in lines} == {id(quota.line("a")), id(quota.line("b"))}
