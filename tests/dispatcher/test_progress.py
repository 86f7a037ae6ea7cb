"""The bar of a dispatcher: what it is told, and when it ends."""

import threading

import pytest

from tests.dispatcher.support import PATIENCE, BusyError, Calls
from threadllm import Dispatcher, Retry


class Bar:
    """What tqdm is to a dispatcher: it keeps what it was last shown."""

    made = ()

    def __init__(self, total, unit):
        self.total, self.unit, self.n, self.text = total, unit, 0, ""
        self.closed = threading.Event()
        Bar.made = (*Bar.made, self)

    def set_postfix_str(self, text, refresh):
        self.text = text

    def update(self, by):
        self.n += by

    def refresh(self):
        assert not self.closed.is_set()

    def close(self):
        self.closed.set()


@pytest.fixture(autouse=True)
def no_bar():
    Bar.made = ()


def test_a_bar_is_told_what_became_of_the_items():
    """Items, ended ones, and of which fate; it is closed with the block."""
    with Dispatcher(2, progress=Bar, retry=Retry(wait_initial=0)) as pool:
        [*pool.outcomes(Calls({1: [ValueError()], 2: [BusyError()]}), range(4))]
        pool.submit(str)
        pool.map(pow, [2, 3], (4, 5, 6))

    (bar,) = Bar.made
    assert (bar.total, bar.n, bar.unit, bar.text) == (7, 7, "item", "ok=6 failed=1")
    assert bar.closed.is_set()


@pytest.mark.parametrize("items", [iter("abc"), range(10**30)], ids=["generator", "astronomic"])
def test_without_a_length_no_total_is_claimed(items):
    """An input that does not know its length is counted as it goes."""
    with Dispatcher(2, progress=Bar) as pool:
        outcomes = pool.outcomes(str, items)
        for _ in range(3):
            next(outcomes)
        outcomes.close()

    (bar,) = Bar.made
    assert (bar.total, bar.n >= 3, bar.closed.is_set()) == (None, True, True)


def test_it_is_closed_when_the_last_call_ends():
    """A shutdown that does not wait leaves the bar to the calls that still run."""
    held = threading.Event()
    pool = Dispatcher(2, progress=Bar)
    futures = [pool.submit(held.wait) for _ in range(4)]
    pool.shutdown(wait=False)
    held.set()
    for future in futures:
        future.result(PATIENCE)
    (bar,) = Bar.made

    assert bar.closed.wait(PATIENCE)
    assert (bar.total, bar.n) == (4, 4)


def test_it_is_closed_with_a_dispatcher_that_is_dropped():
    """Without a shutdown it ends with its dispatcher."""
    pool = Dispatcher(1, progress=Bar)
    pool.submit(str).result()
    (bar,) = Bar.made
    del pool

    assert bar.closed.wait(PATIENCE)


def test_it_is_closed_where_the_initializer_failed(caplog):
    """A pool that broke has nothing more to show."""
    with Dispatcher(1, "", lambda: 1 / 0, progress=Bar) as pool:
        future = pool.submit(str)
        assert future.exception(PATIENCE) is not None

    (bar,) = Bar.made
    assert (bar.n, bar.text, bar.closed.is_set()) == (1, "ok=0 failed=1", True)


def test_off_a_terminal_lines_are_printed(clock, capsys):
    """One line when it ends, as ten seconds have not passed."""
    with Dispatcher(2, progress=True, clock=clock) as pool:
        clock.advance(0)
        [*pool.outcomes(lambda n: n, range(3))]
        clock.wait_for_sleepers()

    assert capsys.readouterr().err == "3/3 0.0 items/s ok=3 failed=0\n"


def test_nothing_to_do_shows_nothing(capsys):
    """No bar is made for a dispatcher that runs nothing."""
    with Dispatcher(2, progress=Bar):
        pass

    assert (Bar.made, capsys.readouterr().err) == ((), "")


@pytest.mark.parametrize("run", ["map", "outcomes"])
def test_a_dispatcher_stays_for_who_reads_its_run(run):
    """Though nobody else has it: the bar goes on to the last item, and ends with the reading."""
    going_on = getattr(Dispatcher(2, progress=Bar), run)(str, range(9))
    shown = [next(going_on)]
    (bar,) = Bar.made
    assert not bar.closed.is_set()
    shown += going_on

    assert (len(shown), bar.n, bar.text) == (9, 9, "ok=9 failed=0")
    assert bar.closed.is_set()
