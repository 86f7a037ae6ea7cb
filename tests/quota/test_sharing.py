"""Slots that workers elsewhere share: never more in use than there are, and to each a fair part."""

import random
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from threadllm.quota.sharing import Sharing
from threadllm.quota.slots import Slots


class Elsewhere:
    """A worker: so many calls of it want a slot, for as long as they last."""

    def __init__(self, sharing, number, usual, calls=0):
        self.sharing = sharing
        self.slots = Slots(number)
        self.slots.allow(0)
        self.calls = calls
        self.is_told = False
        self.share = sharing.join(usual, self.tell)
        self.report = None  # on its way

    def tell(self):
        self.is_told = True

    def ask(self):
        """What begins an exchange."""
        self.is_told = False
        self.slots.allow(self.sharing.ask(self.share, self.calls))
        self.report = None

    def answer(self):
        """What is said, and on its way."""
        self.report = self.slots.in_use, max(0, self.calls - self.slots.in_use)

    def arrive(self):
        """What ends an exchange."""
        if self.report is not None:
            self.sharing.hear(self.share, *self.report)
            self.report = None

    def exchange(self):
        self.ask()
        self.begin()
        self.answer()
        self.arrive()

    def begin(self):
        while self.in_use < self.calls and self.slots.acquire(blocking=False):
            continue

    def end(self):
        if self.in_use:
            self.slots.release()

    @property
    def in_use(self):
        return self.slots.in_use


class Shop:
    """A quota's slots, their sharing, and so many workers who have an equal part each."""

    def __init__(self, number, *calls):
        self.slots = Slots(number)
        self.sharing = Sharing(self.slots, number)
        self.number = number
        self.workers = [
            Elsewhere(self.sharing, number, number // len(calls), some) for some in calls
        ]

    @property
    def in_use(self):
        return self.slots.in_use + sum(one.in_use for one in self.workers)

    def rounds(self, number):
        """Have all answer and ask again, so many times, each after one of its requests ended."""
        for _ in range(number):
            for one in self.workers:
                one.end()
                one.exchange()
                assert self.in_use <= self.number

    @property
    def allowed(self):
        return [one.share.allowed for one in self.workers]


def shop(number, *calls):
    made = Shop(number, *calls)
    for one in made.workers:
        one.exchange()
    return made


def test_each_has_its_usual_part_as_long_as_nobody_lacks_some():
    """Though it has no calls for all of it."""
    made = shop(8, 1, 2)
    assert made.allowed == [4, 4]
    made.rounds(3)
    assert made.allowed == [4, 4]
    assert not any(one.is_told for one in made.workers)


def test_what_one_does_not_need_another_has():
    """Once the first was told, and has said that it uses no more."""
    made = shop(8, 2, 4)
    first, second = made.workers
    second.calls = 20
    second.exchange()
    assert (made.allowed, first.is_told) == ([2, 4], True)
    first.exchange()
    assert (second.is_told, second.share.lent) == (True, 6)
    second.exchange()
    assert (made.allowed, second.in_use, first.in_use) == ([2, 6], 6, 2)


def test_who_needs_its_part_again_has_it_as_requests_end():
    """Not before."""
    made = shop(8, 2, 20)
    made.rounds(3)
    first, second = made.workers
    assert made.allowed == [2, 6]
    first.calls = 20
    first.exchange()
    second.exchange()
    assert (made.allowed, second.in_use) == ([2, 4], 6)
    made.rounds(4)
    assert (made.allowed, first.in_use, second.in_use) == ([4, 4], 4, 4)


def test_nothing_changes_while_all_need_more_than_there_is():
    """Nobody is told anything, whatever comes and goes."""
    made = shop(9, 20, 30)
    made.rounds(6)
    before = made.allowed
    assert sorted(before) == [4, 5]
    deals = made.sharing._deals
    for one in made.workers:
        one.is_told = False
        one.calls += 5
    made.rounds(5)
    assert (made.allowed, made.sharing._deals) == (before, deals)
    assert not any(one.is_told for one in made.workers)


def test_who_leaves_gives_all_back():
    """Be it dead."""
    made = shop(8, 20, 20)
    first, second = made.workers
    made.sharing.leave(first.share)
    assert second.is_told
    second.exchange()
    assert second.in_use == 8
    made.sharing.leave(second.share)
    assert [made.slots.acquire(blocking=False) for _ in range(9)] == [True] * 8 + [False]


def test_threads_here_have_what_is_left():
    """And their fair part, where all need more."""
    made = shop(8, 2, 2)
    assert not made.slots.acquire(blocking=False)  # each has its usual part
    [first, second] = made.workers
    made.sharing.leave(first.share)
    made.workers = [second]
    assert [made.slots.acquire(blocking=False) for _ in range(5)] == [True] * 4 + [False]
    second.calls = 20
    for _ in range(4):
        made.rounds(1)
    assert (second.in_use, second.share.lacks) == (4, False)  # four are in use here
    made.slots.release()
    made.rounds(1)
    assert second.in_use == 5


def test_threads_here_that_wait_have_a_part(monkeypatch):
    """As workers ask, and give back what is too much."""
    made = shop(8, 20)
    assert made.workers[0].in_use == 8
    monkeypatch.setattr(Slots, "waiting", 5)
    made.rounds(6)
    assert [made.slots.acquire(blocking=False) for _ in range(5)] == [True] * 4 + [False]
    assert made.workers[0].in_use == 4


def test_where_there_are_too_few_they_take_turns():
    """Each has one, and then the next."""
    made, had = shop(2, 5, 5, 5, 5, 5), [0] * 5
    for _ in range(60):
        for place, one in enumerate(made.workers):
            one.exchange()
            had[place] += one.in_use
            one.end()
            one.exchange()
    assert min(had) > 0.5 * max(had) > 5


@pytest.mark.parametrize("greedy", [False, True])
def test_threads_here_take_turns_with_them(monkeypatch, greedy):
    """Be it that they want the next as soon as they have given one back."""
    made, had, here, has = shop(1, 5, 5), [0, 0], 0, False
    monkeypatch.setattr(Slots, "waiting", 4)
    for _ in range(90):
        for place, one in enumerate(made.workers):
            had[place] += one.in_use
            one.end()
            one.exchange()
        if has:
            made.slots.release()
            has = False
            if not greedy:
                continue
        has = made.slots.acquire(blocking=False)
        here += has
        assert made.in_use <= 1
    assert min(*had, here) > 0.4 * max(*had, here) > 5


@pytest.mark.parametrize("seed", range(60))
def test_never_more_are_in_use_than_there_are(seed):
    """Whatever is asked, told and used when; and in the end each has its fair part."""
    chance = random.Random(seed)
    number, workers = chance.randint(4, 9), chance.randint(2, 4)
    made, here = Shop(number, *[0] * workers), 0
    for one in made.workers:
        one.share.usual = chance.randint(0, number)
    for _ in range(400):
        one = chance.choice(made.workers)
        act = chance.choice(["begin", "end", "ask", "answer", "arrive", "exchange", "want", "here"])
        if act == "want":
            one.calls = chance.randint(0, 12)
        elif act != "here":
            getattr(one, act)()
        elif here and chance.random() < 0.5:
            made.slots.release()
            here -= 1
        else:
            here += made.slots.acquire(blocking=False)
        assert made.in_use <= number
    for _ in range(here):
        made.slots.release()
    for one in made.workers:
        one.calls = 20
    made.rounds(3 * number + 12)
    assert {number // workers, -(-number // workers)} >= set(made.allowed)
    assert made.in_use == number


@pytest.mark.usefixtures("eager_switching")
def test_threads_here_take_none_that_were_lent():
    """However threads take turns."""
    made, lock, over = Shop(3, 9, 9), threading.Lock(), []
    until = time.monotonic() + 1

    def look():
        with lock:
            if made.in_use > 3:
                over.append(made.in_use)

    def take_here():
        while time.monotonic() < until:
            if made.slots.acquire(blocking=False):
                look()
                made.slots.release()

    def work(one):
        while time.monotonic() < until:
            one.exchange()
            look()
            one.end()

    with ThreadPoolExecutor(4) as pool:
        for future in [
            pool.submit(take_here),
            pool.submit(take_here),
            *(pool.submit(work, one) for one in made.workers),
        ]:
            future.result()
    assert over == []


def test_what_threads_here_give_back_is_had_by_who_lacks_it(monkeypatch):
    """Though others here wait for it, who have their part."""
    made = Shop(8, 20)
    assert [made.slots.acquire(blocking=False) for _ in range(8)] == [True] * 8
    monkeypatch.setattr(Slots, "waiting", 9)
    [one] = made.workers
    one.exchange()
    assert (one.in_use, one.share.lacks) == (0, True)
    for _ in range(5):
        made.slots.release()
        one.exchange()
    assert (one.in_use, one.share.lacks, made.slots.in_use) == (4, False, 3)
    assert [made.slots.acquire(blocking=False) for _ in range(2)] == [True, False]


def test_a_call_may_have_many_requests():
    """What its threads wait for counts as well."""
    made = shop(8, 20, 1)
    first, second = made.workers
    for _ in range(6):
        first.end()
        first.exchange()
        second.sharing.hear(second.share, second.in_use, 5)
        second.ask()
    assert made.allowed == [4, 4]


def test_the_first_to_ask_leave_some_to_those_who_come():
    """A worker that joins has its part, as others give it back."""
    made = shop(8, 20)
    late = Elsewhere(made.sharing, 8, 4, 20)
    made.workers.append(late)
    late.exchange()
    assert late.in_use == 0
    made.rounds(5)
    assert made.allowed == [4, 4]


def test_nobody_is_owed_anything_who_asks_for_nothing():
    """A worker may have nothing to do."""
    made = shop(8, 0, 20)
    assert made.workers[0].share.told == 0
    assert not made.workers[0].share.lacks


def test_what_a_worker_is_to_be_told_is_kept_for_it():
    """A report that was on its way meanwhile does not know of it."""
    made = shop(8, 1, 20)
    made.rounds(8)
    first, second = made.workers
    assert made.allowed == [1, 7]
    first.ask()
    first.answer()
    made.sharing.leave(second.share)
    assert (first.share.allowed, first.share.told) == (4, 1)
    first.arrive()
    assert [made.slots.acquire(blocking=False) for _ in range(5)] == [True] * 4 + [False]
