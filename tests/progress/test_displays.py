import io
import re
import sys

import pytest
import tqdm.auto
import tqdm.std

from threadllm.progress import Totals, display
from threadllm.progress.displays import Bar, Lines, bar_on, figures
from threadllm.testing import FakeClock


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self):
        return True


class FakeBar:
    """What tqdm makes, and what is done to it, in order."""

    def __init__(self, **options):
        self.did = [("made", options)]
        self.total = options["total"]
        self.n = 0

    def set_postfix_str(self, text, refresh):
        self.did.append((text, refresh))

    def update(self, by):
        self.n += by
        self.did.append(("update", by))

    def refresh(self):
        self.did.append(("refresh", self.n, self.total))

    def close(self):
        self.did.append("close")


@pytest.fixture
def clock():
    return FakeClock()


@pytest.mark.parametrize(
    ("totals", "text"),
    [
        (Totals(), "ok=0 failed=0"),
        (Totals(ok=3, failed=1), "ok=3 failed=1"),
        (Totals(retrying=2), "ok=0 failed=0 retrying=2"),
        (Totals(parked=4), "ok=0 failed=0 parked=4"),
        (Totals(throttled=5), "ok=0 failed=0 429s=5"),
        (Totals(input_tokens=6), "ok=0 failed=0 tokens=6"),
        (Totals(output_tokens=7), "ok=0 failed=0 tokens=7"),
        (
            Totals(1, 2, 3, 4, 5, 6, 7, 8, 9, 10.5),
            "ok=1 failed=2 retrying=3 parked=4 429s=7 tokens=17",
        ),
    ],
)
def test_figures_are_shown_where_there_are_any(totals, text):
    """Ok and failed always, the rest when it is not zero."""
    assert figures(totals) == text


def test_what_all_wait_for_is_not_cut_off():
    """It comes before all that is of less worth in a narrow terminal."""
    assert figures(Totals(ok=1, parked=4), "breaker open") == "ok=1 failed=0 breaker open parked=4"


# Lines


@pytest.mark.parametrize(
    ("seconds", "totals", "expected", "line"),
    [
        (0, Totals(), 10, "0/10 0.0 items/s ok=0 failed=0\n"),
        (0, Totals(ok=5), 10, "5/10 0.0 items/s ok=5 failed=0\n"),
        (10, Totals(ok=4, failed=1), 10, "5/10 0.5 items/s ok=4 failed=1\n"),
        (4, Totals(ok=1000), 1000, "1000/1000 250.0 items/s ok=1000 failed=0\n"),
        (10, Totals(ok=5), None, "5/? 0.5 items/s ok=5 failed=0\n"),
        (10, Totals(parked=2), 0, "0/0 0.0 items/s ok=0 failed=0 parked=2\n"),
    ],
)
def test_a_line_tells_how_far_it_is(clock, capsys, seconds, totals, expected, line):
    """Done, expected (a question mark where unknown), the rate since the beginning, the figures."""
    lines = Lines(clock)
    clock.advance(seconds)
    lines.show(totals, expected)
    lines.close()

    assert capsys.readouterr() == ("", line)


# Bars


def test_a_factory_makes_the_bar(clock):
    """What it gives is used as tqdm's is: total, figures, how many more, and at last closed."""
    bars = []

    def factory(**options):
        bars.append(FakeBar(**options))
        return bars[-1]

    shown = display(factory, clock)
    shown.show(Totals(ok=2), None)
    shown.show(Totals(ok=4, failed=1), 5)
    shown.close()

    assert isinstance(shown, Bar)
    assert [bar.did for bar in bars] == [
        [
            ("made", {"total": None, "unit": "item"}),
            ("ok=2 failed=0", False),
            ("update", 2),
            ("refresh", 2, None),
            ("ok=4 failed=1", False),
            ("update", 3),
            ("refresh", 5, 5),
            "close",
        ]
    ]


@pytest.mark.parametrize("expected", [4, None])
def test_tqdm_itself_is_such_a_factory(clock, expected):
    """The real bar shows count, total and figures, and leaves them where they are."""
    stream = io.StringIO()
    shown = display(lambda **options: tqdm.std.tqdm(file=stream, **options), clock)
    shown.show(Totals(ok=2, failed=1, throttled=7), expected)
    shown.close()
    last = stream.getvalue().rsplit("\r", 1)[1]

    assert stream.getvalue().endswith("\n")
    assert ("3/4" if expected else "3item") in last
    assert last.rstrip().endswith(" ok=2 failed=1 429s=7]")


def test_a_terminal_is_shown_a_bar(monkeypatch, clock):
    """On a terminal it is tqdm's, on stderr."""
    monkeypatch.setattr(sys, "stderr", Terminal())
    shown = display(progress=True, clock=clock)
    shown.show(Totals(ok=1), 2)
    shown.close()

    assert isinstance(shown, Bar)
    assert re.search(r"1/2 .*ok=1 failed=0\] *\n$", sys.stderr.getvalue())


def test_a_bar_may_be_shown_on_a_stream(capsys, clock):
    """Whatever that is."""
    stream = io.StringIO()
    shown = display(bar_on(stream), clock=clock)
    shown.show(Totals(ok=1), 2)
    shown.close()

    assert re.search(r"1/2 .*ok=1 failed=0\] *\n$", stream.getvalue())
    assert capsys.readouterr() == ("", "")


def test_elsewhere_lines_are_shown(monkeypatch, clock):
    """Off a terminal a bar would be noise."""
    monkeypatch.setattr(sys, "stderr", io.StringIO())

    assert isinstance(display(progress=True, clock=clock), Lines)


def test_a_notebook_is_shown_its_own_bar(monkeypatch, clock):
    """There tqdm's widget is taken, though stderr is no terminal."""
    widget = type("tqdm_notebook", (FakeBar,), {})
    monkeypatch.setattr(tqdm.auto, "tqdm", type("tqdm", (widget,), {}))
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    shown = display(progress=True, clock=clock)
    shown.close()

    assert isinstance(shown._bar, widget)
    assert shown._bar.did == [
        ("made", {"dynamic_ncols": True, "total": None, "unit": "item"}),
        "close",
    ]


def test_a_line_comes_less_often_than_a_painting(clock):
    """A bar is painted five times a second, a line written every ten seconds."""
    assert (Bar.interval, Lines.interval) == (0.2, 10)
