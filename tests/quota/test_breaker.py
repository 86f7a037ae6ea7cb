import math

import pytest

from tests.quota.support import a_permit
from threadllm.exceptions import OptionError
from threadllm.quota.breaker import Breaker, Circuit

FIGURES = Breaker(failure_rate=0.5, sliding_window=10, cooldown=30.0, probes=3)


def fail(circuit, number, *, now=0.0, answered=True):
    """Whether the breaker opened with each of so many failures."""
    return [circuit.fail(a_permit(), now, answered=answered) for _ in range(number)]


def succeed(circuit, number):
    return [circuit.succeed(a_permit()) for _ in range(number)]


def an_open(now=0.0):
    circuit = Circuit(FIGURES)
    fail(circuit, 10, now=now)
    return circuit


def probe(circuit, number, at=30.0):
    """Let so many through; whether each was the first."""
    permits = [a_permit(number, at=at) for number in range(1, number + 1)]
    return permits, [circuit.take(permit) for permit in permits]


@pytest.mark.parametrize(
    ("figures", "text"),
    [
        ({"failure_rate": 0}, "failure_rate=0: give a share above 0, at most 1"),
        ({"failure_rate": 1.1}, "failure_rate=1.1: give a share above 0, at most 1"),
        ({"failure_rate": math.nan}, "failure_rate=nan: give a share above 0, at most 1"),
        ({"sliding_window": 0}, "sliding_window=0: give a whole number, 1 or more"),
        ({"probes": 0}, "probes=0: give a whole number, 1 or more"),
        ({"cooldown": 0}, "cooldown=0: give seconds, more than 0"),
        ({"cooldown": math.inf}, "cooldown=inf: give seconds, more than 0"),
    ],
)
def test_figures_that_cannot_be_meant_are_refused(figures, text):
    """The error says which, what it was, and what to give."""
    with pytest.raises(OptionError) as caught:
        Breaker(**figures)
    assert str(caught.value) == text


def test_closed_it_lets_all_through():
    """And charges nobody with being a probe."""
    circuit = Circuit(FIGURES)
    permits, firsts = probe(circuit, 20)
    assert [circuit.state, circuit.wait(0), any(firsts)] == ["closed", 0, False]
    assert not any(permit.is_probe for permit in permits)


def test_with_few_requests_it_stays_closed():
    """A share of less than the window is none."""
    circuit = Circuit(FIGURES)
    assert fail(circuit, 9) == [False] * 9
    assert circuit.state == "closed"


def test_it_opens_when_half_of_the_last_have_failed():
    """Not before, and at once then."""
    circuit = Circuit(FIGURES)
    succeed(circuit, 100)
    assert fail(circuit, 5, now=7.0) == [False] * 4 + [True]
    assert [circuit.state, circuit.wait(7.0), circuit.wait(27.0)] == ["open", 30, 10]


def test_what_was_long_ago_does_not_count():
    """Of failures only those among the last requests do."""
    circuit = Circuit(FIGURES)
    for _ in range(20):
        fail(circuit, 4)
        succeed(circuit, 6)
    assert circuit.state == "closed"


def test_an_origin_that_has_never_answered_is_not_held_back():
    """Each request fails after its attempts: it may be a wrong address."""
    circuit = Circuit(FIGURES)
    assert fail(circuit, 1000, answered=False) == [False] * 1000
    assert fail(circuit, 1, answered=True) == [True]


def test_open_it_says_when_it_will_be_half_open():
    """Who asks then is let through, and is the first probe."""
    circuit = an_open(now=100.0)
    assert [circuit.wait(at) for at in (100.0, 129.0, 130.0)] == [30, 1, 0]
    permits, firsts = probe(circuit, 3, at=130.0)
    assert [circuit.state, firsts] == ["half-open", [True, False, False]]
    assert all(permit.is_probe for permit in permits)
    assert circuit.wait(131.0) == math.inf


def test_failures_while_it_is_open_change_nothing():
    """They are of requests that were sent before."""
    circuit = an_open(now=0.0)
    assert fail(circuit, 5, now=20.0) == [False] * 5
    assert succeed(circuit, 5) == [False] * 5
    assert [circuit.state, circuit.wait(20.0)] == ["open", 10]


def test_probes_that_succeed_close_it():
    """All of them must; then it counts anew."""
    circuit = an_open()
    permits, _ = probe(circuit, 3)
    assert [circuit.succeed(permit) for permit in permits] == [False, False, True]
    assert [circuit.state, circuit.wait(30.0)] == ["closed", 0]
    assert fail(circuit, 9) == [False] * 9


def test_no_more_probes_go_than_must_succeed():
    """Those that have succeeded count among them."""
    circuit = an_open()
    permits, _ = probe(circuit, 2)
    assert circuit.wait(30.0) == 0
    circuit.succeed(permits[0])
    probe(circuit, 1)
    assert circuit.wait(30.0) == math.inf


def test_a_probe_that_fails_opens_it_again():
    """For as long as before."""
    circuit = an_open()
    permits, _ = probe(circuit, 3)
    circuit.succeed(permits[0])
    assert circuit.fail(permits[1], 40.0, answered=False) is True
    assert [circuit.state, circuit.wait(40.0)] == ["open", 30]


def test_a_probe_of_which_nothing_was_learnt_makes_room_for_another():
    """However often that is told."""
    circuit = an_open()
    permits, _ = probe(circuit, 3)
    for _ in range(2):
        circuit.give_back(permits[0])
    circuit.give_back(a_permit())
    assert circuit.wait(30.0) == 0
    probe(circuit, 1)
    assert circuit.wait(30.0) == math.inf


def test_stale_probes_do_not_count():
    """What was let through before it opened again says nothing of now; nor does what is older."""
    circuit = an_open()
    (failed, *stale), _ = probe(circuit, 3)
    circuit.fail(failed, 40.0, answered=True)
    probe(circuit, 1, at=70.0)
    before = a_permit(99, at=20.0)
    assert [circuit.succeed(permit) for permit in (*stale, before)] == [False] * 3
    assert [circuit.fail(permit, 71.0, answered=True) for permit in (*stale, before)] == [False] * 3
    circuit.give_back(stale[0])
    assert circuit.state == "half-open"
    probe(circuit, 2, at=71.0)
    assert circuit.wait(71.0) == math.inf


def test_probes_of_several_lines_are_told_apart_by_their_time():
    """The lines of one origin number their requests each on its own."""
    circuit = an_open()
    circuit.take(a_permit(1000, at=30.0))
    of_another = a_permit(3, at=31.0)
    circuit.take(of_another)
    assert circuit.fail(of_another, 32.0, answered=True) is True
    assert circuit.state == "open"
