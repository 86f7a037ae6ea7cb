import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from threadllm.quota.gate import Gate


def shut(gate, until, *, now=0.0, sent=None, asked=False):
    return gate.shut(until, now=now, sent=now if sent is None else sent, asked=asked)


def test_a_new_gate_is_open():
    """Nobody has to wait before the first 429."""
    assert Gate().opens_at == -math.inf


# Each row: what the gate is told one after another (until, now, sent, asked), whether each
# changed anything, and when it opens at last.
STORMS = {
    "a pause": ([(10, 0, 0, True)], [True], 10),
    "the same again": ([(10, 0, 0, True), (10, 1, 1, True)], [True, False], 10),
    "a shorter one": ([(10, 0, 0, True), (5, 1, 1, True)], [True, False], 10),
    "a longer one": ([(10, 0, 0, True), (15, 1, 1, False)], [True, True], 15),
    "an echo": ([(10, 5, 0, False), (11, 6, 4.9, False)], [True, False], 10),
    "an echo that names a moment": ([(10, 5, 0, False), (11, 6, 0, True)], [True, True], 11),
    "sent as the gate was shut": ([(10, 5, 0, False), (11, 6, 5, False)], [True, True], 11),
    "a new storm": ([(10, 5, 0, False), (20, 12, 10, False)], [True, True], 20),
    "echoes of the storm before": (
        [(10, 5, 0, False), (20, 12, 10, False), (21, 13, 11, False), (22, 13, 12, False)],
        [True, True, False, True],
        22,
    ),
    "what changed nothing is no storm": (
        [(10, 5, 0, False), (9, 8, 8, True), (11, 9, 7, False)],
        [True, False, True],
        11,
    ),
}


@pytest.mark.parametrize(("told", "changed", "opens_at"), STORMS.values(), ids=STORMS)
def test_a_storm_shuts_the_gate_once(told, changed, opens_at):
    """What was sent before the gate was shut tells it nothing new, unless a moment is named."""
    gate = Gate()

    assert [gate.shut(u, now=n, sent=s, asked=a) for u, n, s, a in told] == changed
    assert gate.opens_at == opens_at


moments = st.floats(0, 1e6)
tellings = st.lists(st.tuples(moments, moments, moments, st.booleans()))


@given(tellings)
def test_it_never_opens_before_the_longest_wait_that_was_asked_for(told):
    """Whatever comes in whatever order, what a provider asked for is kept, and no more invented."""
    gate = Gate()
    seen = [gate.opens_at]
    for wait, now, age, asked in told:
        gate.shut(now + wait, now=now, sent=now - age, asked=asked)
        seen.append(gate.opens_at)

    assert gate.opens_at >= max((n + w for w, n, _, asked in told if asked), default=-math.inf)
    assert gate.opens_at in {-math.inf, *(now + wait for wait, now, _, _ in told)}
    assert seen == sorted(seen)


@given(st.lists(st.floats(1, 100), min_size=1), st.integers(1, 50))
def test_echoes_do_not_prolong_a_pause(waits, number):
    """Of many requests that were in flight when one was refused, none adds to the pause."""
    gate = Gate()
    shut(gate, 1000 + waits[0], now=1000, sent=990)
    for wait in waits[1:] * number:
        shut(gate, 1001 + wait * 100, now=1001, sent=999)

    assert gate.opens_at == 1000 + waits[0]
