import threading

import pytest

from threadllm.call import Call, Limit, Terms
from threadllm.clock import Sleeper
from threadllm.exceptions import CallCancelled, CallExpired
from threadllm.progress import Tally
from threadllm.quota import Quota, Refusal
from threadllm.retry import Retry
from threadllm.testing import FakeClock

URL, ORIGIN = "http://a/b", "http://a:80"
SOON = Limit(moment=130, seconds=30)  # the clock stands at 100
TEXT = "the call's deadline of 30 s has passed"


@pytest.fixture
def clock():
    return FakeClock(start=100)


@pytest.fixture
def terms(clock):
    return Terms(
        quota=Quota(2),
        retry=Retry(),
        timeout=(1, 2),
        sleeper=Sleeper(clock),
        tally=Tally(),
        patched=True,
    )


@pytest.fixture
def call(terms):
    """A call that has begun."""
    begun = Call(terms)
    begun.begin()
    return begun


def begun(terms, limit):
    """A call whose function runs, with that deadline."""
    call = Call(terms, limit)
    call.begin()
    call.under_way = True
    return call


def free(terms):
    """How many slots nobody has."""
    return terms.quota.concurrency - terms.quota.slots.in_use


def has_slot(exchange):
    """Whether it holds a slot: what rides along does not."""
    return exchange._slots is not None


def until_waiting_for_slot(quota):
    """Returns once a thread waits for one of the quota's slots."""
    while not quota.slots._changed._waiters:
        assert quota.slots.in_use == quota.concurrency


def until_in_line(line, number=1):
    """Returns once so many threads wait in the line, each to be woken."""
    while sum(bool(place.look_again._waiters) for place in [*line.entrance._places]) < number:
        assert line.entrance.waiting <= number


def pause_calls(quota, seconds, now=100):
    """Lets no call begin for so long, as a 429 does that came from nobody knows where."""
    quota.line("").refuse(None, now, Refusal(seconds, lambda _: 1.0), now)


def in_thread(act):
    """Runs in a thread of its own; what is returned waits for it and gives its result or error."""
    found = []

    def run():
        try:
            found.append(act())
        except (CallCancelled, CallExpired) as error:
            found.append(error)

    thread = threading.Thread(target=run)
    thread.start()

    def result():
        thread.join(5)
        return found[0]

    return result


def opened(call, url=URL, origin=ORIGIN):
    """An exchange that the call has opened."""
    return call.open("GET", url, origin, retry=0)
