import threading
from functools import partial
from queue import SimpleQueue

import pytest

from threadllm.progress import Painter, Tally, display
from threadllm.progress.displays import Lines
from threadllm.testing import FakeClock


class Canvas:
    """A display that keeps what it is shown, and hands it to whoever waits for it."""

    def __init__(self, interval=10.0):
        self.interval = interval
        self.shown = SimpleQueue()
        self.closed = 0

    def show(self, totals, expected, note=""):
        self.shown.put((totals.done, expected))

    def close(self):
        self.closed += 1

    def so_far(self):
        return [self.shown.get() for _ in range(self.shown.qsize())]


@pytest.fixture
def clock():
    return FakeClock()


@pytest.fixture
def tally():
    return Tally()


@pytest.fixture
def canvas():
    return Canvas()


@pytest.fixture
def painter(tally, canvas, clock):
    painter = Painter(tally, lambda: canvas, clock)
    yield painter
    painter.close()
    assert painters() == []


def painters():
    """The threads that paint."""
    return [thread for thread in threading.enumerate() if thread.name == "threadllm-progress"]


def test_nothing_is_painted_before_something_is_expected(painter, canvas, clock):
    """Without an item there is no thread, and closing leaves nothing to be done."""
    assert painters() == []
    painter.close()
    painter.expect(1)

    assert painters() == []
    assert (canvas.so_far(), canvas.closed) == ([], 0)


def test_it_is_painted_at_intervals(painter, canvas, clock, tally):
    """Whenever the interval has passed, and not before, the figures of that moment are shown."""
    painter.expect(5)
    assert clock.wait_for_sleepers() == [10]
    shown = []
    for _ in range(3):
        tally.count("ok")
        clock.wait_for_sleepers()
        clock.advance(9.9)
        clock.wait_for_sleepers()
        shown += canvas.so_far()
        clock.advance(0.2)
        shown.append(canvas.shown.get())

    assert shown == [(1, 5), (2, 5), (3, 5)]


def test_the_display_sets_the_interval(tally, clock):
    """A bar is painted more often than a line is written."""
    canvas = Canvas(interval=0.25)
    painter = Painter(tally, lambda: canvas, clock)
    painter.expect(1)

    assert clock.wait_for_sleepers() == [0.25]
    painter.close()


@pytest.mark.parametrize(
    ("announced", "expected"),
    [
        ([0], 0),
        ([3], 3),
        ([3, 4], 7),
        ([None], None),
        ([3, None], None),
        ([None, 4], None),
    ],
)
def test_what_is_expected_adds_up(painter, canvas, announced, expected):
    """Inputs are added; with one of unknown length the whole is unknown for good."""
    for items in announced:
        painter.expect(items)
    painter.close()

    assert canvas.so_far() == [(0, expected)]


def test_closing_paints_a_last_time(painter, canvas, clock, tally):
    """The figures at the end are shown, at once and once, and the display is closed."""
    painter.expect(2)
    clock.wait_for_sleepers()
    tally.count("ok", 2)
    for _ in range(3):
        painter.close()
    painter.expect(5)

    assert (canvas.so_far(), canvas.closed) == ([(2, 2)], 1)
    assert clock.monotonic() == 1000


def test_one_thread_paints_for_all(painter, canvas):
    """It is a daemon, made on the first announcement, and gone after the close."""
    for _ in range(5):
        painter.expect(1)
    found = painters()
    painter.close()

    assert [(thread.daemon, thread.is_alive()) for thread in found] == [(True, False)]


def test_it_may_be_closed_by_several_at_a_time(painter, canvas):
    """Each returns when the last painting is done."""
    painter.expect(1)
    after = []

    def close():
        painter.close()
        after.append(canvas.closed)

    threads = [threading.Thread(target=close) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert after == [1, 1, 1, 1]


def test_the_painting_thread_may_close_it(tally, clock):
    """A collector that runs there may end the dispatcher: it does not wait for itself."""
    canvas = Canvas()
    painter = Painter(tally, lambda: canvas, clock)
    show = canvas.show

    def show_and_close(totals, expected, note):
        show(totals, expected)
        painter.close()

    canvas.show = show_and_close
    painter.expect(1)
    (thread,) = painters()
    clock.advance_to_next()
    thread.join()

    assert (canvas.so_far(), canvas.closed) == ([(0, 1), (0, 1)], 1)


def test_off_a_terminal_a_run_leaves_a_line_every_ten_seconds(capsys, clock, tally):
    """The whole of what is written, an input of unknown length included."""
    painter = Painter(tally, partial(display, progress=True, clock=clock), clock)
    painter.expect(None)
    for _ in range(2):
        clock.wait_for_sleepers()
        tally.count("ok", 5)
        tally.count("throttled")
        assert clock.advance_to_next() == Lines.interval
    clock.wait_for_sleepers()
    tally.count("failed")
    painter.close()

    lines = """\
5/? 0.5 items/s ok=5 failed=0 429s=1
10/? 0.5 items/s ok=10 failed=0 429s=2
11/? 0.6 items/s ok=10 failed=1 429s=2
"""
    assert capsys.readouterr() == ("", lines)
