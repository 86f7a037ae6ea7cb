"""What a line makes of failures: its breaker, open and half-open."""

import math

import pytest

from tests.quota.support import (
    NAME,
    SOON,
    a_line,
    a_permit,
    leave,
    let_in,
    refuse,
    wait,
)
from threadllm.exceptions import BreakerOpen
from threadllm.quota import Ended


def test_the_breaker_tells_how_it_stands(news):
    """Open, half-open, closed: each once."""
    line = a_line(breaker=SOON)
    for _ in range(2):
        leave(line, let_in(line), 0.0, ended=Ended.ANSWERED_BADLY)
    assert wait(line) == 30
    probe = let_in(line, 30.0)
    assert [probe.is_probe, wait(line, 30.0)] == [True, math.inf]
    leave(line, probe, 31.0)
    assert wait(line, 31.0) == 0
    assert news() == [
        "breaker open for 30 s, as too many requests failed",
        "breaker half-open: a few requests find out how things are",
        "breaker closed",
    ]


@pytest.mark.parametrize("ended", [Ended.UNKNOWN, None])
def test_a_probe_that_was_broken_off_or_refused_teaches_nothing(ended):
    """Another takes its place."""
    line = a_line(breaker=SOON)
    for _ in range(2):
        leave(line, let_in(line), 0.0, ended=Ended.ANSWERED_BADLY)
    probe = let_in(line, 30.0)
    if ended is None:
        refuse(line, probe, 30.0, asked=1.0)
    else:
        leave(line, probe, 30.0, ended=ended)
    assert [line.origin.wait(31.0, is_retry=False), line.origin.circuit.state] == [0, "half-open"]


def test_a_probe_that_stands_aside_is_one_still():
    """It has no slot meanwhile, but its end is waited for."""
    line = a_line(breaker=SOON)
    for _ in range(2):
        leave(line, let_in(line), 0.0, ended=Ended.ANSWERED_BADLY)
    probe = let_in(line, 30.0)
    line.stand_aside(probe)
    assert wait(line, 30.0) == math.inf
    leave(line, probe, 31.0)
    assert line.origin.circuit.state == "closed"


def test_broken_connections_alone_open_nothing_where_none_was_ever_answered():
    """Each request fails after its attempts."""
    line = a_line(breaker=SOON)
    for _ in range(10):
        leave(line, let_in(line), 0.0, ended=Ended.FAILED)
    assert wait(line) == 0
    leave(line, let_in(line))
    for _ in range(2):
        leave(line, let_in(line), 0.0, ended=Ended.FAILED)
    assert wait(line) == 30


def test_without_a_breaker_nothing_opens():
    """And nothing that is learnt of a request is lost on one."""
    line = a_line(breaker=None)
    for ended in Ended:
        leave(line, let_in(line), 0.0, ended=ended)
    refuse(line, let_in(line), asked=1.0)
    assert wait(line, 1.0) < 1


def test_who_does_not_want_to_wait_for_the_breaker_fails():
    """The error names the line, and says what is the matter."""
    line = a_line(breaker=SOON, breaker_action="fail")
    line.origin.check_breaker(NAME, 0.0)
    for _ in range(2):
        leave(line, let_in(line), 0.0, ended=Ended.ANSWERED_BADLY)
    with pytest.raises(BreakerOpen) as caught:
        line.origin.check_breaker(NAME, 1.0)
    assert str(caught.value) == (
        f"{NAME}: not sent, as too many requests failed before it; the breaker is open"
    )
    line.origin.check_breaker(NAME, 30.0)
    let_in(line, 30.0)
    with pytest.raises(BreakerOpen, match="the breaker is half-open"):
        line.origin.check_breaker(NAME, 30.0)


@pytest.mark.parametrize("settings", [{"breaker_action": "park"}, {"breaker": None}])
def test_others_wait_for_it(settings):
    """Or there is none."""
    line = a_line(**({"breaker": SOON, "breaker_action": "fail"} | settings))
    for _ in range(2):
        leave(line, let_in(line), 0.0, ended=Ended.ANSWERED_BADLY)
    line.origin.check_breaker(NAME, 1.0)
    assert wait(line, 1.0) == (29 if "breaker" not in settings else 0)


def test_a_503_to_a_probe_is_a_failure_whatever_else_it_may_be():
    """Else nobody would wait for the probe any more, and no other be sent."""
    line = a_line(breaker=SOON)
    for _ in range(2):
        leave(line, let_in(line), 0.0, ended=Ended.ANSWERED_BADLY)
    line.origin.concurrency.accept(a_permit(), 0.0)
    for _ in range(4):
        line.origin.concurrency.explains(9, strictly=True)
    probe, beside = let_in(line, 30.0), let_in(line, 30.0)
    leave(line, probe, 30.0, ended=Ended.FULL)
    leave(line, beside, 30.0)
    assert (line.origin.circuit.state, wait(line, 30.0)) == ("open", 30.0)


def test_a_probe_has_done_its_part_when_its_answer_begins(news):
    """Its body may last, and its reader may wait for another request."""
    line = a_line(breaker=SOON)
    for _ in range(2):
        leave(line, let_in(line), 0.0, ended=Ended.ANSWERED_BADLY)
    news()
    streams = [let_in(line, 30.0) for _ in range(SOON.probes)]
    assert wait(line, 30.0) == math.inf
    for stream in streams:
        line.answer_begins(stream)
    assert (line.origin.circuit.state, wait(line, 30.0)) == ("closed", 0)
    for stream in streams:
        leave(line, stream, 40.0)
    assert line.origin.circuit.state == "closed"
    assert news()[-1] == "breaker closed"


def test_answers_that_begin_without_a_breaker_change_nothing():
    """There is nobody to be told."""
    line = a_line(breaker=None)
    line.answer_begins(let_in(line))
    assert wait(line) == 0
