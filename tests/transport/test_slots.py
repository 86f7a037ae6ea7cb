"""Slots: how many requests are in flight, bodies that are streamed included."""

import gc
import threading
import warnings
from contextvars import copy_context

import pytest
import requests
from requests.adapters import HTTPAdapter

import threadllm
from threadllm.call import current
from threadllm.simulator import Latency, Simulator

from .support import CHAT, call, chat_body, chunked, reply, run

BODY = b"one\ntwo\nthree\n"


@pytest.fixture
def slow():
    """A provider that takes its time, so that requests pile up as far as they may."""
    with Simulator(latency=Latency(mean=0.05, tokens_per_second=500)) as sim:
        yield sim


@pytest.mark.parametrize("concurrency", [1, 3, 6])
def test_no_more_requests_are_in_flight_than_slots(slow, concurrency):
    """However many threads there are, and however many requests a call makes."""

    def work(n):
        for part in range(2):
            body = chat_body(f"{n} {part}")
            assert requests.post(slow.url + CHAT, json=body, timeout=10).ok

    outcomes = run(work, range(12), max_workers=12, concurrency=concurrency)

    assert [outcome.error for outcome in outcomes] == [None] * 12
    assert slow.counts().max_in_flight == concurrency


def test_a_streamed_body_is_in_flight_until_it_has_come(slow):
    """The answers' headers come early, but each holds its slot to the end."""

    def work(n):
        body = chat_body(f"prompt {n}", stream=True)
        with requests.post(slow.url + CHAT, json=body, stream=True, timeout=10) as response:
            return len(list(response.iter_lines()))

    outcomes = run(work, range(12), max_workers=6, concurrency=2)

    assert [outcome.error for outcome in outcomes] == [None] * 12
    assert slow.counts().max_in_flight == 2


def test_a_call_without_requests_is_bounded_as_a_whole():
    """An SDK that never meets the transport has its slot from beginning to end."""
    entered, leave = threading.Semaphore(0), threading.Event()

    def work(_):
        entered.release()
        assert leave.wait(5)

    with threadllm.Dispatcher(6, concurrency=2) as pool:
        futures = [pool.submit(work, n) for n in range(6)]
        assert [entered.acquire(timeout=5) for _ in range(2)] == [True, True]
        assert not entered.acquire(timeout=0.05)
        leave.set()
    assert [future.result() for future in futures] == [None] * 6


class Free:
    """How many slots of a dispatcher are free, as a call sees it."""

    def __init__(self, pool):
        self.slots = pool.quota.slots
        self.seen = []

    def look(self):
        self.seen.append(2 - self.slots.in_use)


@pytest.fixture
def seen(serve):
    """What a function sees of two slots, at the points where it looks."""

    def watch(fn, answer=None):
        server = serve(answer or reply(BODY))
        with threadllm.Dispatcher(1, concurrency=2) as pool:
            free = Free(pool)
            pool.submit(fn, server.url, free.look).result(30)
            free.look()
        return free.seen

    return watch


@pytest.mark.parametrize("answer", [reply(BODY), chunked(BODY[:4], BODY[4:])])
@pytest.mark.parametrize("read", ["iter_lines", "iter_content", "content", "raw"])
def test_a_stream_read_to_its_end_gives_its_slot_back(seen, read, answer):
    """In whichever way it is read."""

    def work(url, look):
        response = requests.get(url, stream=True, timeout=5)
        look()
        if read == "content":
            assert response.content == BODY
        elif read == "raw":
            response.raw.read()
        else:
            list(getattr(response, read)())
        look()

    assert seen(work, answer) == [1, 2, 2]


@pytest.mark.parametrize("answer", [reply(BODY), chunked(BODY[:4], BODY[4:])])
def test_leaving_the_loop_is_not_the_end(seen, answer):
    """Who reads one line and leaves holds the slot until the response is closed."""

    def work(url, look):
        with requests.get(url, stream=True, timeout=5) as response:
            for _ in response.iter_lines(chunk_size=4):
                break
            look()
        look()

    assert seen(work, answer) == [1, 2, 2]


def test_closing_is_the_end_though_the_loop_is_held(seen):
    """The first line is enough for some: they close, and go on with other things."""

    def work(url, look):
        response = requests.get(url, stream=True, timeout=5)
        lines = response.iter_lines(chunk_size=4)
        assert next(lines) == b"one"
        look()
        response.close()
        look()

    assert seen(work) == [1, 2, 2]


def test_a_stream_left_in_the_middle_can_be_read_on(seen):
    """A second loop goes on where the first one left, and ends the exchange."""

    def work(url, look):
        response = requests.get(url, stream=True, timeout=5)
        for _ in response.iter_content(4):
            break
        look()
        assert b"".join(response.iter_content(4)) == BODY[4:]
        look()

    assert seen(work) == [1, 2, 2]


@pytest.mark.parametrize("answer", [reply(BODY), chunked(BODY)])
def test_a_stream_abandoned_gives_its_slot_back_at_the_calls_end(seen, answer):
    """Though nobody ever reads or closes it, and though it is kept."""
    kept = []

    def work(url, look):
        kept.append(requests.get(url, stream=True, timeout=5))
        kept.append(requests.get(url, stream=True, timeout=5))
        look()

    assert seen(work, answer) == [0, 2]
    for response in kept:
        response.close()


@pytest.fixture
def collect():
    """Has the collector strike: only then, and in the order in which things were made.

    Where it has moved things about before, it may come to a response before it comes to a
    generator that closes it; then that, too, ends with its call.
    """
    gc.freeze()  # what other tests left need not be looked through
    gc.disable()
    yield gc.collect
    gc.enable()
    gc.unfreeze()


@pytest.mark.parametrize("answer", [reply(BODY), chunked(BODY[:4], BODY[4:])])
def test_a_stream_that_the_collector_finds_takes_no_lock(seen, answer, collect):
    """It may strike in a thread that holds the very lock: such a stream ends with its call."""

    def work(url, look):
        response = requests.get(url, stream=True, timeout=5)
        lines = response.iter_lines(chunk_size=4)
        next(lines)
        lost = [response, lines]
        lost.append(lost)
        del response, lines, lost
        held = current.get().lock
        with held:
            collect()
        look()

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        assert seen(work, answer) == [1, 2]


LOCKS = {
    "the call's": lambda call: call.lock,
    "the exchange's": lambda call: call.in_flight[0]._travelling,
    "the tally's": lambda call: call.terms.tally._lock,
    "the semaphore's": lambda call: call.terms.quota.slots._room._permits._cond,
    "the waiters'": lambda call: call.terms.quota.slots._changed,
}


@pytest.mark.parametrize("lock", LOCKS)
def test_a_stream_that_the_collector_closes_waits_for_no_lock(seen, lock, collect):
    """A generator of the function's own closes it, wherever that is collected."""

    def lines(url):
        with requests.get(url, stream=True, timeout=5) as response:
            yield from response.iter_lines(chunk_size=4)

    def work(url, look):
        lost = [lines(url)]
        next(lost[0])
        lost.append(lost)
        look()
        with LOCKS[lock](current.get()):
            del lost
            collect()
        look()

    assert seen(work, reply(BODY)) == [1, 2, 2]


def test_an_adapter_that_asks_within_its_own_request_does_not_wait_for_itself(serve):
    """It fetches a token first, say, with the only slot in the hands of the request itself."""
    server = serve(reply(BODY))

    class Asking(HTTPAdapter):
        def send(self, request, **options):
            token = requests.get(server.url, timeout=5).content
            request.headers["Authorization"] = f"Bearer {len(token)}"
            return super().send(request, **options)

    def work():
        with requests.Session() as session:
            session.mount("http://", Asking())
            return session.get(server.url, timeout=5).content

    outcome = call(work, concurrency=1)

    assert outcome.value == BODY
    assert server.headers("authorization") == [None, f"Bearer {len(BODY)}"]


def test_a_response_handed_out_of_its_call_can_be_read(serve):
    """It holds no slot any more; reading it on is its reader's own affair."""
    server = serve(reply(BODY))
    with threadllm.Dispatcher(1, concurrency=1) as pool:
        responses = [
            pool.submit(requests.get, server.url, stream=True, timeout=5).result(5)
            for _ in range(3)
        ]
        assert [response.content for response in responses] == [BODY] * 3
        assert pool.totals.requests == 3


def test_answers_without_a_body_hold_no_slot(seen):
    """There is nothing to wait for after the headers of HEAD and 204."""

    def work(url, look):
        requests.head(url, stream=True, timeout=5)
        look()

    assert seen(work, reply(status=204)) == [2, 2]


def test_a_request_within_a_stream_does_not_wait_for_it(serve):
    """With a single slot, held by the stream, it rides along."""
    server = serve(reply(BODY))

    def work():
        with requests.get(server.url, stream=True, timeout=5) as response:
            return [requests.get(server.url, timeout=5).content for _ in response.iter_lines()]

    outcome = call(work, concurrency=1)

    assert outcome.value == [BODY] * 3
    assert len(outcome.requests) == 4


def test_a_request_that_rides_along_lends_nobody_a_place(serve):
    """Once the stream that it rode with has ended, the next request waits for a slot."""
    server = serve(reply(BODY))
    taken, waits = threading.Event(), threading.Event()

    def work():
        first = requests.get(server.url, stream=True, timeout=5)
        rider = requests.get(server.url, stream=True, timeout=5)
        first.close()
        taken.wait(5)
        waits.set()
        text = requests.get(server.url, timeout=5).content
        rider.close()
        return text

    with threadllm.Dispatcher(1, concurrency=1) as pool:
        future = pool.submit(work)
        slots = pool.quota.slots
        assert slots.acquire()
        taken.set()
        assert waits.wait(5)
        assert len(server.requests) == 2
        slots.release()
        assert future.result(5) == BODY


def test_threads_of_a_call_share_its_slots(slow):
    """Those that take the call's context along are bounded like the call itself."""

    def work():
        threads = [
            threading.Thread(
                target=copy_context().run,
                args=(lambda n=n: requests.post(slow.url + CHAT, json=chat_body(f"{n}")),),
            )
            for n in range(6)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    outcome = call(work, concurrency=2)

    assert [record.status for record in outcome.requests] == [200] * 6
    assert slow.counts().max_in_flight == 2


@pytest.mark.parametrize("answer", [reply(b""), reply(status=204)], ids=["empty", "204"])
def test_a_streamed_answer_without_a_body_gives_its_connection_back_with_its_slot(serve, answer):
    """Though the response is kept and never read: the next request finds that connection."""
    server, kept = serve(answer), []

    def work(_):
        kept.append(requests.get(server.url, stream=True))

    assert [outcome.ok for outcome in run(work, range(5))] == [True] * 5
    assert server.connections == 1


def test_a_stream_that_outlives_its_call_holds_no_slot(sim):
    """Though it is opened after the call has ended, and dropped unread."""
    contexts, body = [], chat_body(stream=True)
    with threadllm.Dispatcher(1) as pool:
        pool.submit(lambda: contexts.append(copy_context())).result()

        def leave():
            threadllm.session().post(sim.url + CHAT, json=body, stream=True, timeout=5)

        for _ in range(3):
            contexts[0].copy().run(leave)
        assert pool.quota.slots.in_use == 0
    gc.collect()
