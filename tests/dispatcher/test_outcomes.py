"""`Dispatcher.outcomes`: lazily, each item once, whatever becomes of it."""

import threading
from collections import Counter
from itertools import count

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.dispatcher.support import BusyError, Calls
from threadllm import Dispatcher, Retry

AT_ONCE = Retry(attempts=2, wait_initial=0)
BOTH = pytest.mark.parametrize("ordered", [False, True])


def facts(outcomes):
    """Index, value and error of each outcome."""
    return [(outcome.index, outcome.value, outcome.error) for outcome in outcomes]


def noted(outcomes, indexes):
    """Reads to the end, or to an error, and notes the index of each outcome."""
    indexes.extend(outcome.index for outcome in outcomes)


@BOTH
def test_nothing_is_pulled_before_it_is_asked_for(ordered):
    """To make the iterator touches no input."""
    items = count()
    with Dispatcher(2) as pool:
        outcomes = pool.outcomes(str, items, ordered=ordered)
        assert next(items) == 0
        assert next(outcomes).value == "1"
        outcomes.close()


def test_they_come_as_they_finish():
    """A slow call holds no quick one back."""
    held = threading.Event()
    with Dispatcher(2) as pool:
        outcomes = pool.outcomes(lambda n: n or held.wait(), range(4))
        quick = [next(outcomes).index for _ in range(3)]
        held.set()
        assert (quick, facts(outcomes)) == ([1, 2, 3], [(0, True, None)])


def test_they_come_in_order_if_asked():
    """Quick calls wait for the slow one before them."""
    second = threading.Event()
    with Dispatcher(2) as pool:
        outcomes = pool.outcomes(
            lambda n: second.set() if n else second.wait(), range(4), ordered=True
        )
        assert [outcome.index for outcome in outcomes] == [0, 1, 2, 3]


@settings(max_examples=60, deadline=None)
@given(
    workers=st.integers(1, 5),
    window=st.none() | st.integers(1, 12),
    fates=st.lists(st.sampled_from(["ok", "fails", "fails once"]), max_size=40),
    ordered=st.booleans(),
)
def test_every_item_comes_once_and_within_the_window(workers, window, fates, ordered):
    """Whatever fails, each index comes once with its own fate, and never too much is pulled."""
    handed_back, ahead = 0, []
    errors = {"ok": [], "fails": [ValueError()], "fails once": [BusyError()]}
    calls = Calls({n: errors[fate].copy() for n, fate in enumerate(fates)})

    def items():
        for n in range(len(fates)):
            ahead.append(n + 1 - handed_back)
            yield n

    outcomes = []
    with Dispatcher(workers, retry=AT_ONCE) as pool:
        for outcome in pool.outcomes(calls, items(), ordered=ordered, buffersize=window):
            handed_back += 1
            outcomes.append((outcome.index, outcome.value, type(outcome.error), outcome.attempts))

    ends = {"ok": (type(None), 1), "fails": (ValueError, 1), "fails once": (type(None), 2)}
    expected = [(n, None if fate == "fails" else n, *ends[fate]) for n, fate in enumerate(fates)]
    assert (outcomes if ordered else sorted(outcomes, key=lambda one: one[0])) == expected
    assert max(ahead, default=0) <= (window or 2 * workers)
    assert Counter(calls.seen) == Counter(
        {n: 1 + (fate == "fails once") for n, fate in enumerate(fates)}
    )


@BOTH
def test_a_slow_input_holds_no_finished_outcome_back(ordered):
    """What is ready is handed over before the next item is pulled."""
    begun = [threading.Event() for _ in range(4)]
    released = threading.Event()

    def items():
        yield 0
        yield 1
        begun[1].wait()  # by the one thread there is: so the first has ended
        yield 2
        begun[2].wait()
        yield 3
        released.wait()

    with Dispatcher(1) as pool:
        outcomes = pool.outcomes(lambda n: begun[n].set(), items(), ordered=ordered, buffersize=9)
        assert [next(outcomes).index for _ in range(2)] == [0, 1]
        released.set()
        assert [outcome.index for outcome in outcomes] == [2, 3]


def test_keys_name_items():
    """Without a key an item goes by its index."""
    with Dispatcher(2) as pool:
        named = [(o.index, o.key) for o in pool.outcomes(str, "ab", key=str.upper, ordered=True)]
        plain = [(o.index, o.key) for o in pool.outcomes(str, "ab", ordered=True)]

    assert (named, plain) == ([(0, "A"), (1, "B")], [(0, 0), (1, 1)])


@pytest.mark.parametrize(
    ("unpack", "items", "told"),
    [
        ("args", [(2, 5), 7, (1, 2, 3, 4)], ["must be an iterable", "at most 3"]),
        ("kwargs", [{"base": 2, "exp": 5}, "text", {1: 2}], ["must be a mapping", "keywords must"]),
    ],
)
def test_an_item_that_does_not_fit_fails_alone(unpack, items, told):
    """Unpacked wrongly an item is a failed outcome, and the others are called."""
    with Dispatcher(2) as pool:
        fine, *failed = pool.outcomes(pow, items, unpack=unpack, ordered=True)

    assert (fine.value, [type(outcome.error) for outcome in failed]) == (32, [TypeError] * 2)
    assert [text in str(outcome.error) for outcome, text in zip(failed, told, strict=True)] == [
        True
    ] * 2


@BOTH
def test_an_input_that_breaks_is_raised_after_what_it_gave(ordered):
    """Finished work is handed over first."""

    def items():
        yield from range(5)
        raise ValueError("input")

    seen = []
    with Dispatcher(2) as pool, pytest.raises(ValueError, match="input"):
        noted(pool.outcomes(str, items(), ordered=ordered), seen)

    assert sorted(seen) == [0, 1, 2, 3, 4]


@pytest.mark.parametrize(("kind", "raised"), [(KeyError, KeyError), (StopIteration, RuntimeError)])
def test_a_key_that_breaks_is_no_end_of_the_input(kind, raised):
    """Whatever `key` raises is raised after what came before, a StopIteration included."""

    def key(item):
        if item == 3:
            raise kind
        return item

    seen = []
    with Dispatcher(2) as pool, pytest.raises(raised):
        noted(pool.outcomes(str, range(9), key=key), seen)

    assert sorted(seen) == [0, 1, 2]


@BOTH
def test_leaving_early_cancels_the_rest(ordered):
    """What is queued is not called, and nothing more is pulled."""
    held, full, second = threading.Event(), threading.Event(), threading.Event()
    ran, pulled = [], []

    def call(n):
        ran.append(n)
        if n == 0:
            full.wait()
        else:
            second.set()
            held.wait()

    def items():
        for n in count():
            pulled.append(n)
            if n == 4:
                full.set()
            yield n

    with Dispatcher(1) as pool:
        outcomes = pool.outcomes(call, items(), ordered=ordered, buffersize=5)
        assert next(outcomes).index == 0
        second.wait()
        outcomes.close()
        held.set()

    assert (ran, pulled) == ([0, 1], [0, 1, 2, 3, 4])


def test_leaving_early_gives_retries_up(clock):
    """Nobody waits for a retry whose reader has left: neither the block nor the provider."""
    calls = Calls({1: [BusyError(after=600)]}, clock)
    with Dispatcher(1, clock=clock) as pool:
        outcomes = pool.outcomes(calls, [1, 2])
        assert next(outcomes).item == 2
        clock.wait_for_sleepers()
        outcomes.close()

    assert (calls.seen, clock.monotonic()) == ([(1, 1000.0), (2, 1000.0)], 1000.0)


def test_a_call_whose_reader_left_is_not_tried_again():
    """A call that fails after its reader left has failed for good."""
    held, begun = threading.Event(), threading.Event()
    ran = []

    def call(n):
        ran.append(n)
        if n == 0:
            begun.set()
            held.wait()
            raise BusyError
        begun.wait()

    with Dispatcher(2, retry=AT_ONCE) as pool:
        outcomes = pool.outcomes(call, range(2))
        assert next(outcomes).index == 1
        outcomes.close()
        held.set()

    assert (sorted(ran), pool.totals.failed) == ([0, 1], 1)


@BOTH
def test_a_shutdown_meanwhile_loses_nothing_finished(ordered):
    """What was pulled is handed over, then it is raised that no more can be submitted."""
    full, pulled = threading.Event(), []

    def items():
        for n in count():
            pulled.append(n)
            if n == 2:
                full.set()
            yield n

    with Dispatcher(1) as pool:
        outcomes = pool.outcomes(lambda _: full.wait(), items(), ordered=ordered, buffersize=3)
        seen = [next(outcomes).index]
        pool.shutdown()
        with pytest.raises(RuntimeError, match="cannot schedule new futures after shutdown"):
            noted(outcomes, seen)

    assert (sorted(seen), pulled) == ([0, 1, 2], [0, 1, 2, 3])  # the last could not be submitted


def test_a_reader_may_change_what_it_is_handed():
    """Items are handed back as they are, the same objects."""
    items = [{"n": n} for n in range(4)]
    with Dispatcher(2) as pool:
        for outcome in pool.outcomes(lambda item: item["n"], items, ordered=True):
            assert outcome.item is items[outcome.index]
            outcome.item.clear()
            items.append({"n": -1}) if len(items) < 6 else None

    assert items == [{}] * 6


@BOTH
def test_no_item_and_no_value_is_special(ordered):
    """Equal items, None, errors and whatever else may be a value all come back as they are."""
    values = [None, None, 0, "", StopIteration, StopIteration(), ValueError("value"), ..., object()]
    with Dispatcher(3) as pool:
        outcomes = [*pool.outcomes(lambda item: item, values, ordered=ordered)]

    assert [(o.value is o.item, o.ok) for o in outcomes] == [(True, True)] * len(values)
    assert sorted(o.index for o in outcomes) == [*range(len(values))]


def test_an_input_is_not_asked_for_its_length():
    """Without a bar nobody needs it; some inputs load all they have to tell it, or cannot."""
    with Dispatcher(2) as pool:
        outcomes = pool.outcomes(str, range(10**30), ordered=True)
        assert next(outcomes).value == "0"
        outcomes.close()
