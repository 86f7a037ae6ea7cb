"""Workers that come late or never, that do not answer, or have too much."""

import random
import threading
import time
from types import SimpleNamespace

import pytest

import threadllm
from tests.dispatcher.support import PATIENCE
from tests.engines import jobs
from tests.engines.local import Local, LocalLink
from tests.support import until
from threadllm import Dispatcher, Quota, WorkerLost
from threadllm.engines import hand as hands
from threadllm.engines import stopping
from threadllm.engines.backlog import Backlog
from threadllm.engines.hand import Hand
from threadllm.engines.travel import pack
from threadllm.engines.wire import Order, Parcel
from threadllm.engines.worker import Spec, Worker

NOTHING = {}


def test_a_worker_that_does_not_answer_is_ended(monkeypatch):
    """Some time after the last moment for its calls."""
    monkeypatch.setattr(stopping, "_LAST_GRACE", 0.05)
    killed = threading.Event()

    class Hanging(LocalLink):
        def exchange(self, order):
            if not order.parcels:  # it is asked to come
                return super().exchange(order)
            killed.wait(PATIENCE)
            self.close()
            raise WorkerLost("killed")

        def kill(self):
            killed.set()

    with Dispatcher(2, engine=Local(Hanging), grace=0.0) as pool:
        future = pool.submit(jobs.double, 1)
        while not future.running():
            time.sleep(0.001)
        pool.cancel()
        pool.cancel(grace=0.01)
        with pytest.raises(threadllm.RunStopped):
            future.result(PATIENCE)
    assert killed.is_set()


def test_what_workers_have_died_of_is_found_out():
    """Apart from others, and by halves: what is left in the end was it."""
    backlog, hand = Backlog([]), SimpleNamespace(in_flight={}, has_suspects=False, window=3)
    hand.free_threads = 3
    for name in "abcd":
        backlog.add(name)
    for _ in range(2):
        taken = backlog.take_for(hand)
        assert taken == ["a", "b", "c"]
        assert not hand.has_suspects
        assert backlog.take_back(taken, apart=False) is None
    hand.in_flight = {1: "x"}
    assert backlog.take_for(hand) == []
    hand.in_flight = {}
    assert backlog.take_for(hand) == ["a", "b", "c"]
    hand.in_flight = {2: "a"}
    assert hand.has_suspects
    assert backlog.take_for(hand) == []
    assert backlog.take_back(["a", "b", "c"], apart=True) is None
    hand.in_flight = {}
    assert backlog.take_for(hand) == ["a"]
    assert backlog.take_back(["a"], apart=True) == "a"
    backlog.put_back("z")
    assert len(backlog) == 4
    assert backlog.take_away(lambda name: name in "cz") == ["c", "z"]
    assert backlog.take_for(hand) == ["b"]
    assert backlog.take_back([], apart=True) is None
    assert backlog.take_for(hand) == ["d"]
    assert not hand.has_suspects
    assert len(backlog) == 0


def test_an_end_before_the_beginning_needs_no_link():
    """There is nobody to be ended."""
    hand = Hand(None, lambda: None, 0, 1)
    hand.kill()
    hand.nudge()


def test_a_worker_that_is_not_needed_any_more_need_not_come():
    """It might never."""
    killed = threading.Event()

    class NeverComing(LocalLink):
        def start(self):
            coming.set()
            killed.wait(PATIENCE)
            raise WorkerLost("killed")

        def kill(self):
            killed.set()

    coming = threading.Event()
    with Dispatcher(1, engine=Local(NeverComing)) as pool:
        future = pool.submit(jobs.double, 1)
        coming.wait(PATIENCE)
        pool.shutdown(wait=False, cancel_futures=True)
        assert future.cancelled()
    assert killed.is_set()


def test_one_nudge_is_enough_for_an_exchange():
    """The next one may need another."""
    nudges = []

    class Boss:
        def __init__(self):
            self.orders = [*range(3)]

        def next_order(self, hand):
            return self.orders.pop() if self.orders else None

        def take_in(self, hand, report):
            assert nudges == [report]
            nudges.clear()

        def leave(self, hand):
            hand.has_left = True

    class Link:
        start = close = lambda _: None

        def nudge(self):
            nudges.append(self.order)

        def exchange(self, order):
            self.order = order
            hand.nudge()
            hand.nudge()
            return order

    hand = Hand(Boss(), Link, 0, 1)
    hand.start()
    hand.join()
    assert hand.has_left


def test_one_that_is_ended_before_it_is_there_is_ended_then():
    """There was nobody to be told."""
    told = []
    link = SimpleNamespace(kill=lambda: told.append("kill"), start=lambda: told.append("start"))
    hand = Hand(None, lambda: link, 0, 1)
    hand.kill()
    hand._start()
    assert told == ["kill", "start"]


@pytest.mark.parametrize("times", [2, 3])
def test_some_starts_may_come_to_nothing(monkeypatch, times):
    """A machine may have gone; but where they always do, the run ends."""
    monkeypatch.setattr(hands, "_PAUSE", 0.01)

    class Failing(LocalLink):
        starts = 0

        def start(self):
            Failing.starts += 1
            if Failing.starts <= times:
                raise WorkerLost("it did not come")

    with Dispatcher(1, engine=Local(Failing)) as pool:
        future = pool.submit(jobs.double, 1)
        if times < 3:
            assert future.result(PATIENCE) == 2
        else:
            with pytest.raises(WorkerLost, match="it did not come"):
                future.result(PATIENCE)


@pytest.mark.parametrize("when", ["open", "exchange"])
def test_whatever_goes_wrong_with_a_link_nobody_waits_for_ever(monkeypatch, when):
    """What it had is given out again."""
    monkeypatch.setattr(hands, "_PAUSE", 0.01)
    wrong, killed = [when], []

    class Wrong(LocalLink):
        def __init__(self, spec):
            self.fail("open")
            super().__init__(spec)

        def fail(self, at):
            if wrong == [at]:
                wrong.clear()
                raise OSError("no")

        def exchange(self, order):
            if order.parcels:
                self.fail("exchange")
            return super().exchange(order)

        def kill(self):
            killed.append(self)
            super().kill()

    with Dispatcher(2, engine=Local(Wrong)) as pool:
        assert [*pool.map(jobs.double, range(5))] == [0, 2, 4, 6, 8]
    assert len(killed) == (when == "exchange")


def test_what_a_worker_has_not_begun_goes_to_one_that_is_free():
    """However it was given out at first."""
    began = time.monotonic()
    with Dispatcher(4, engine=Local(LateLink, workers=2)) as pool:
        slow = [pool.submit(jobs.after, 3.0) for _ in range(3)]
        quick = [pool.submit(jobs.after, 0.01) for _ in range(3)]
        assert [future.result(PATIENCE) for future in quick] == [0.01] * 3
        assert time.monotonic() - began < 2.9
        assert [future.result(PATIENCE) for future in slow] == [3.0] * 3


class LateLink(LocalLink):
    """The second one comes late: the first has all that it may have."""

    made = 0

    def start(self):
        LateLink.made += 1
        if LateLink.made == 2:
            time.sleep(0.3)
        super().start()


def test_where_one_cannot_be_had_the_others_go_on():
    """Not all machines of a cluster may be of use."""
    is_at_work = threading.Event()

    class Lame(LocalLink):
        made = 0

        def __init__(self, spec):
            Lame.made += 1
            self.is_lame = Lame.made == 2
            super().__init__(spec)

        def start(self):
            if self.is_lame:
                assert is_at_work.wait(PATIENCE)
                raise WorkerLost("no place for it", while_starting=True)

        def exchange(self, order):
            is_at_work.set()
            return super().exchange(order)

    with Dispatcher(4, engine=Local(Lame, workers=2)) as pool:
        assert [*pool.map(jobs.double, range(40))] == [2 * n for n in range(40)]
        futures = [pool.submit(jobs.after, 0.2) for _ in range(8)]
        assert [future.result(PATIENCE) for future in futures] == [0.2] * 8
    assert Lame.made == 2


def test_whatever_happens_to_workers_each_item_has_its_value(eager_switching, monkeypatch):
    """They come late and answer late, and two of them die; threads switch as often as they can."""
    monkeypatch.setattr(hands, "_PAUSE", 0.001)
    chance, deaths = random.Random(), [*range(2)]

    class Shaky(LocalLink):
        def start(self):
            time.sleep(chance.random() / 50)
            super().start()

        def exchange(self, order):
            report = super().exchange(order)
            time.sleep(chance.random() / 500)
            if deaths and chance.random() < 0.1:
                deaths.pop()
                self.worker.abandon()
                self.worker.close()
                raise WorkerLost("shaky")
            return report

    with Dispatcher(6, engine=Local(Shaky, workers=3)) as pool:
        outcomes = pool.outcomes(jobs.after, [n / 100_000 for n in range(300)])
        assert sorted(one.unwrap() for one in outcomes) == [n / 100_000 for n in range(300)]
        futures = [pool.submit(jobs.double, n) for n in range(60)]
        assert [future.result(PATIENCE) for future in futures] == [2 * n for n in range(60)]


@pytest.mark.parametrize("lacking", ["slots", "units"])
def test_a_worker_ends_though_what_it_gave_back_waits(lacking):
    """For a slot, or for units of a limit: nobody gives it any, as it is to do nothing."""
    quota = Quota(1, requests_per_minute=None if lacking == "slots" else 60)
    worker = Worker(Spec(None, 1, pack({}), {"": quota.settings}))
    part = worker._quotas[""]
    parcel = Parcel(1, 0, 0, pack(((4,), {}, None)), None)
    worker.exchange(Order([parcel], {0: pack(jobs.double)}, [], 0.0))
    until(lambda: part.slots.waiting or part.wanted())
    [envelope] = worker.exchange(Order([], NOTHING, [], 0.0, recalls=[1])).envelopes
    closing = threading.Thread(target=worker.close)
    closing.start()
    closing.join(PATIENCE)
    has_ended = not closing.is_alive()
    worker.abandon()
    assert envelope.undone
    assert has_ended


def test_those_who_share_a_quota_keep_to_its_slots(eager_switching, monkeypatch):
    """Workers of two dispatchers and threads here, however late they hear; all are done at last."""
    monkeypatch.setattr(jobs.Together, "most", 0)
    chance, quota, seconds = random.Random(), Quota(3), [n / 50_000 for n in range(60)]

    class Late(LocalLink):
        def exchange(self, order):
            time.sleep(chance.random() / 500)
            report = super().exchange(order)
            time.sleep(chance.random() / 500)
            return report

    with (
        Dispatcher(5, quota=quota, engine=Local(Late, workers=3)) as three,
        Dispatcher(4, quota=quota, engine=Local(Late)) as one,
        Dispatcher(2, quota=quota) as here,
    ):
        futures = [
            pool.submit(jobs.counted, some) for some in seconds for pool in (three, one, here)
        ]
        assert [future.result(PATIENCE) for future in futures] == [
            some for some in seconds for _ in range(3)
        ]
    assert (jobs.Together.most, quota.slots.in_use, quota.sharing.in_use) == (3, 0, 0)
