import pytest

from threadllm.call import Call, Terms
from threadllm.clock import Sleeper
from threadllm.progress import Tally
from threadllm.quota import Quota
from threadllm.retry import Retry
from threadllm.testing import FakeClock

URL, ORIGIN = "http://a/b", "http://a:80"


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


def opened(call, url=URL, origin=ORIGIN):
    """An exchange that the call has opened."""
    return call.open("GET", url, origin, retry=0)
