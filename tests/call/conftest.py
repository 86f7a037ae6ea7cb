import threading

import pytest

from threadllm.call import Call, Limit, Terms
from threadllm.clock import Sleeper
from threadllm.exceptions import CallCancelled, CallExpired
from threadllm.progress import Tally
from threadllm.quota import Quota
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
    return terms.quota.slots._permits._value


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
