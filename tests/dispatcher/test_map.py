"""`Dispatcher.map`: begun at once, in order, and no further ahead than its window."""

import sys
import threading
from concurrent.futures import CancelledError
from concurrent.futures import TimeoutError as LateError
from itertools import count

import pytest

from tests.dispatcher.support import PATIENCE
from threadllm import Dispatcher, OptionError


@pytest.mark.parametrize(("options", "window"), [({}, 6), ({"buffersize": 4}, 4)])
def test_no_more_is_pulled_than_the_window(options, window):
    """Twice the workers, or what was asked for, are pulled and not yet handed back."""
    pulled, ahead = 0, []
    handed_back = 0

    def items():
        nonlocal pulled
        for n in range(40):
            pulled += 1
            ahead.append(pulled - handed_back)
            yield n

    with Dispatcher(3) as pool:
        results = pool.map(str, items(), **options)
        assert pulled == window
        for n, value in enumerate(results):
            handed_back += 1
            assert value == str(n)

    assert (max(ahead), pulled, handed_back) == (window, 40, 40)


def test_values_wait_for_those_before_them():
    """A call that ends early is handed back in its turn."""
    second = threading.Event()

    def call(n):
        if n == 0:
            second.wait()
        else:
            second.set()
        return n

    with Dispatcher(2) as pool:
        assert [*pool.map(call, range(5))] == [0, 1, 2, 3, 4]


def test_a_window_wider_than_the_input_is_as_wide_as_the_input():
    """Any size may be given; it costs nothing."""
    with Dispatcher(2) as pool:
        assert [*pool.map(str, range(3), buffersize=sys.maxsize)] == ["0", "1", "2"]


def test_an_endless_input_can_be_left():
    """After a close nothing is pulled, and the block ends."""
    items = count()
    with Dispatcher(2) as pool:
        results = pool.map(str, items)
        assert [next(results) for _ in range(3)] == ["0", "1", "2"]
        results.close()

    assert next(items) == 6  # four at once, and one more before each of the second and the third


def test_an_endless_input_can_be_left_by_an_error():
    """An error in the block ends it, though an iterator over endless input is still at hand."""
    read = []

    def body():
        with Dispatcher(2) as pool:
            read.append(pool.map(str, count()))
            assert next(read[0]) == "0"
            raise ValueError("mine")

    with pytest.raises(ValueError, match="mine"):
        body()
    with pytest.raises(RuntimeError, match="cannot schedule new futures after shutdown"):
        list(read[0])


def broken(*items):
    yield from items
    raise ValueError("input")


def test_an_input_that_breaks_is_raised_after_what_it_gave():
    """Finished work is handed over first, then the input's error."""
    with Dispatcher(2) as pool:
        results = pool.map(str, broken(0, 1, 2))
        assert [next(results) for _ in range(3)] == ["0", "1", "2"]
        with pytest.raises(ValueError, match="input"):
            next(results)


def test_an_input_that_breaks_at_once_is_raised_at_once():
    """With nothing to hand over there is nothing to wait for."""
    with Dispatcher(2) as pool, pytest.raises(ValueError, match="input"):
        pool.map(str, broken())


def test_a_value_is_handed_back_before_the_next_item_is_pulled():
    """An input that waits for what became of its items is no deadlock."""
    seen = []

    def items():
        yield from "ab"
        assert seen == ["A"]
        yield "c"

    with Dispatcher(2) as pool:
        seen.extend(pool.map(str.upper, items(), buffersize=2))

    assert seen == ["A", "B", "C"]


def test_items_can_be_unpacked():
    """An item may be a call's arguments, by position or by name."""
    with Dispatcher(2) as pool:
        assert [*pool.map(pow, [(2, 5), (3, 2)], unpack="args")] == [32, 9]
        assert [*pool.map(dict, [{"a": 1}], unpack="kwargs")] == [{"a": 1}]
        with pytest.raises(OptionError) as refused:
            pool.map(pow, [2], [5], unpack="args")

    assert str(refused.value) == ("unpack='args': it takes one iterable, of what is to be unpacked")


def test_the_timeout_is_told_by_the_dispatchers_clock(clock):
    """Time that passed before an iterator is read counts; a value that is there is not late."""
    held = threading.Event()
    with Dispatcher(1, clock=clock) as pool:
        results = pool.map(lambda n: n and held.wait(), range(2), timeout=5)
        clock.advance(5)
        assert next(results) == 0
        with pytest.raises(LateError):
            next(results)
        held.set()


def test_cancelling_leaves_the_rest_of_the_input_alone():
    """After a shutdown that cancels, what was finished is handed over, and no more is run."""
    held, begun = threading.Event(), threading.Event()
    ran = []

    def call(n):
        ran.append(n)
        begun.set()
        return held.wait()

    pool = Dispatcher(1)
    results = pool.map(call, range(40))
    begun.wait()
    pool.shutdown(wait=False, cancel_futures=True)
    held.set()

    assert next(results) is True
    with pytest.raises(CancelledError):
        next(results)
    assert ran == [0]


def test_another_thread_may_shut_down_while_it_is_read(eager_switching):
    """What the shutdown submits and what the reader submits keep their order."""
    for _ in range(20):
        pool = Dispatcher(4)
        results = pool.map(int, range(400))
        closer = threading.Thread(target=pool.shutdown)
        values = [next(results)]
        closer.start()
        values += results
        closer.join(PATIENCE)

        assert values == [*range(400)]
