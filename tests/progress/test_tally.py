import dataclasses
import threading

import pytest

from threadllm.progress import Tally, Totals


def together(number, work):
    """Run `work` in so many threads that begin at once."""
    start = threading.Barrier(number)

    def run():
        start.wait()
        work()

    threads = [threading.Thread(target=run) for _ in range(number)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def test_nothing_has_been_counted_at_first():
    """All figures begin at zero."""
    assert Tally().totals() == Totals()


def test_figures_are_added_up():
    """By one, by more, by less; each for itself."""
    tally = Tally()
    tally.count("ok")
    tally.count("ok")
    tally.count("failed")
    tally.count("input_tokens", 19)
    tally.count("busy", 0.25)
    tally.count("retrying")
    tally.count("retrying", -1)

    assert tally.totals() == Totals(ok=2, failed=1, input_tokens=19, busy=0.25)
    assert tally.totals().done == 3


def test_totals_are_those_of_one_moment():
    """What was read is not changed by what is counted later, nor by hand."""
    tally = Tally()
    before = tally.totals()
    tally.count("ok")

    assert (before.ok, tally.totals().ok) == (0, 1)
    with pytest.raises(dataclasses.FrozenInstanceError):
        before.ok = 5


def test_an_unknown_figure_is_not_made_up():
    """A slip in a name is an error at once."""
    with pytest.raises(KeyError):
        Tally().count("okay")


def test_a_figure_may_be_held():
    """It counts one more for as long as the block lasts, however that ends."""
    tally = Tally()
    seen = []

    def fail():
        with tally.holding("parked"):
            with tally.holding("parked"):
                seen.append(tally.totals())
            seen.append(tally.totals())
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()

    assert [*seen, tally.totals()] == [Totals(parked=2), Totals(parked=1), Totals()]


@pytest.mark.usefixtures("eager_switching")
def test_many_threads_lose_no_count():
    """Sixteen threads that count at a time come to the exact sum."""
    tally = Tally()

    def work():
        for number in range(500):
            with tally.holding("parked"):
                tally.count("ok")
            tally.count("output_tokens", number)

    together(16, work)

    assert tally.totals() == Totals(ok=8000, output_tokens=16 * sum(range(500)))


@pytest.mark.usefixtures("eager_switching")
def test_totals_are_never_torn():
    """Whoever reads meanwhile sees no figure of another moment than the next."""
    tally = Tally()
    torn = []

    def work():
        for _ in range(500):
            tally.count("ok")
            tally.count("failed")
            totals = tally.totals()
            if not 0 <= totals.ok - totals.failed <= 8:
                torn.append(totals)

    together(8, work)

    assert torn == []
