"""The one-liner and the decorator."""

import inspect
import pickle
import threading
import time
from itertools import count

import pytest

import threadllm
from tests.dispatcher.support import PATIENCE, Gauge
from tests.support import until
from threadllm import Dispatcher, concurrent


@concurrent(max_workers=2)
def shout(text: str, mark: str = "!") -> str:
    """Say it loudly."""
    return text.upper() + mark


def test_a_list_in_order_comes_of_one_line():
    """`threadllm.map` takes any input, and the options of a dispatcher."""
    assert threadllm.map(str, (n for n in range(50)), max_workers=4) == [str(n) for n in range(50)]
    assert threadllm.map(pow, [(2, 5)], unpack="args") == [32]


def test_the_first_failure_ends_the_line():
    """It is raised, and an endless input is not read further."""
    with pytest.raises(ZeroDivisionError):
        threadllm.map(lambda n: 1 // (3 - n), count(), max_workers=2)


def test_a_decorated_function_is_what_it_was():
    """Name, docstring, signature and plain calls, and it travels by name."""
    assert (shout.__name__, shout.__doc__) == ("shout", "Say it loudly.")
    assert shout.__module__ == __name__
    assert str(inspect.signature(shout)) == "(text: str, mark: str = '!') -> str"
    assert (shout("a"), shout("b", mark="?")) == ("A!", "B?")
    assert pickle.loads(pickle.dumps(shout)) is shout


def test_a_decorator_needs_no_settings():
    """Written without parentheses it has the default ones."""
    assert concurrent(str.upper).map("ab") == ["A", "B"]


def test_a_plain_call_runs_here():
    """No thread is taken, and an error is the function's own."""

    @concurrent()
    def where():
        return threading.current_thread()

    assert where() is threading.current_thread()


def test_it_has_the_three_ways_to_run():
    """A list, outcomes and a future."""

    @concurrent(max_workers=2, thread_name_prefix="shouting")
    def shouted(text, mark="!"):
        return text.upper() + mark, threading.current_thread().name[:8]

    outcomes = shouted.outcomes("ab", key=ord, ordered=True)
    assert shouted.map("ab") == [("A!", "shouting"), ("B!", "shouting")]
    assert shouted.map([("a", "?")], unpack="args") == [("A?", "shouting")]
    assert [(o.key, o.value) for o in outcomes] == [
        (97, ("A!", "shouting")),
        (98, ("B!", "shouting")),
    ]
    assert shouted.submit("c", mark=".").result() == ("C.", "shouting")


def test_leaving_its_outcomes_early_ends_the_run():
    """The threads made for a run end with it."""
    outcomes = shout.outcomes(map(str, count()))
    assert next(outcomes).value == "0!"
    outcomes.close()
    assert [*outcomes] == []


def test_all_its_runs_share_its_slots():
    """Two runs at a time, and single calls, are bounded as one."""
    inside, two = Gauge(), threading.Barrier(2)

    @concurrent(max_workers=4, concurrency=2)
    def call(_):
        with inside:
            two.wait(PATIENCE)
            two.wait(PATIENCE)

    with Dispatcher(2) as pool:
        runs = [pool.submit(call.map, range(8)), pool.submit(lambda: [*call.outcomes(range(8))])]
        singles = [call.submit(n) for n in range(20)]
        assert [len(run.result(PATIENCE)) for run in runs] == [8, 8]
        assert [single.result(PATIENCE) for single in singles] == [None] * 20

    assert inside.peak == 2


def test_runs_within_runs_share_slots_without_waiting_for_each_other():
    """A call that submits to its own quota and waits gives its unused slot to what it waits for."""
    quota = threadllm.Quota(2)

    def inner(n):
        return n * n

    def outer(n):
        return sum(threadllm.map(inner, range(n), quota=quota))

    assert threadllm.map(outer, [3, 4, 5], quota=quota) == [5, 14, 30]


def test_a_list_does_not_wait_for_its_slowest(held):
    """Many others go on beside an item that takes its time, and no endless number of them."""
    begun = []

    def work(n):
        begun.append(n)
        if n == 0:
            assert held.wait(PATIENCE)
        if n == 15:  # the last that may be pulled before the first is read
            held.set()
        return n

    assert threadllm.map(work, range(100), max_workers=2) == [*range(100)]
    assert sorted(begun[:16]) == [*range(16)]
    held.clear()
    stuck = []

    def stick(n):
        stuck.append(n)
        assert n or held.wait(PATIENCE)

    reader = threading.Thread(target=lambda: threadllm.map(stick, range(100), max_workers=2))
    reader.start()
    until(lambda: len(stuck) == 16)
    time.sleep(0.05)
    assert len(stuck) == 16
    held.set()
    reader.join(PATIENCE)
