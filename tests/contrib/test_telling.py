"""Progress of a command: a bar on a terminal, else a line now and then."""

import io

import pytest
from django.core.management import CommandError, call_command
from django.core.management.base import OutputWrapper

from tests.contrib.support import articles
from tests.contrib.test_command import Command
from threadllm.contrib.django.lines import Lines
from threadllm.testing import FakeClock


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def command():
    made = Command(no_color=True)
    made.failing = ("text 1",)
    return made


def shown(command, terminal, progress, **options):
    """What is written to stdout and to stderr."""
    out, err = io.StringIO(), Terminal() if terminal else io.StringIO()
    command.stderr = OutputWrapper(err)
    with pytest.raises(CommandError, match="1 of 4 failed"):
        call_command(command, stdout=out, stderr=err, progress=progress, no_color=True, **options)
    return out.getvalue(), err.getvalue()


@pytest.mark.parametrize(
    ("terminal", "progress", "verbosity", "has_bar"),
    [
        (True, "auto", 1, True),
        (True, "auto", 0, False),
        (False, "auto", 1, False),
        (False, "bar", 1, True),
        (True, "none", 1, False),
        (True, "lines", 1, False),
    ],
)
def test_a_bar_is_shown_where_it_can_be_seen(command, terminal, progress, verbosity, has_bar):
    """On the stream itself, so that it stays on its line; failures stand above it."""
    rows = articles(4)
    out, err = shown(command, terminal, progress, verbosity=verbosity)
    assert ("4/4" in err) == has_bar
    assert ("\r" in err) == has_bar
    assert f"{rows[1].pk}: ValueError: no summary of text 1\n" in err
    assert ("3 saved, 1 failed" in out) == bool(verbosity)
    assert "4/4" not in out


def lines_of(total, steps):
    """What is written of counts at moments."""
    clock, written = FakeClock(), []
    bar = Lines(written.append, clock, total=total, unit="item")
    for seconds, by in steps:
        clock.advance(seconds)
        bar.set_postfix_str(f"ok={by} failed=0", refresh=False)
        bar.update(by)
        bar.refresh()
    bar.close()
    return written


def test_off_a_terminal_there_is_a_line_now_and_then():
    """Every ten seconds: how many of how many, how fast, and how long it takes yet."""
    steps = [(5, 30), (5, 20), (5, 50), (5, 0)]
    assert lines_of(1000, steps) == [
        "50/1000 ok=20 failed=0 5.0/s eta 3m10s",
        "100/1000 ok=0 failed=0 5.0/s eta 3m00s",
    ]


@pytest.mark.parametrize(
    ("total", "by", "line"),
    [
        (None, 50, "50/? ok=50 failed=0 5.0/s"),
        (100, 0, "0/100 ok=0 failed=0 0.0/s"),
        (59, 50, "50/59 ok=50 failed=0 5.0/s eta 2s"),
        (100_000, 50, "50/100000 ok=50 failed=0 5.0/s eta 5h33m"),
    ],
)
def test_the_time_that_is_left(total, by, line):
    """In what suits; none where it cannot be told."""
    assert lines_of(total, [(10, by)]) == [line]
