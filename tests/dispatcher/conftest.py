"""No test here hangs, and none leaves a thread."""

import signal
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.dispatcher.support import PATIENCE
from threadllm import Dispatcher
from threadllm.testing import FakeClock


@pytest.fixture(autouse=True)
def guard():
    """Fails a test that leaves a thread."""
    before = {*threading.enumerate()}
    yield
    left = [thread for thread in threading.enumerate() if thread not in before]
    for thread in left:
        thread.join(PATIENCE)
    assert [thread.name for thread in left if thread.is_alive()] == []


@pytest.fixture
def plain_handlers():
    """Python's own for signals at the beginning, and at the end those that there were."""
    numbers = [signal.SIGINT, signal.SIGTERM]
    before = [signal.signal(number, signal.SIG_DFL) for number in numbers]
    signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    assert signal.getsignal(signal.SIGURG) is signal.SIG_DFL
    for number, handler in zip(numbers, before, strict=True):
        signal.signal(number, handler)


@pytest.fixture
def clock():
    return FakeClock()


@pytest.fixture(params=[ThreadPoolExecutor, Dispatcher], ids=lambda made: made.__name__)
def executor(request):
    """The standard library's executor, and ours: what holds for one holds for the other."""
    return request.param


@pytest.fixture
def pool(clock, held):
    """One thread, whose calls have five seconds; at the end those that are held are let go."""
    made = Dispatcher(1, deadline=5, clock=clock)
    yield made
    held.set()
    made.shutdown()
