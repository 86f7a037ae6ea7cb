"""A run that is stopped: what it says, and that its calls wait no longer."""

import pytest

from tests.call.conftest import ORIGIN, in_thread, opened, pause_calls, until_waiting_for_slot
from threadllm.call import Call, Run
from threadllm.exceptions import CallCancelled

WHY = "401 Unauthorized", "The key was not accepted: set a valid one."


def test_the_first_reason_counts():
    """A run is stopped once, whoever else would stop it."""
    run, first = Run(), ValueError("first")
    before = run.is_stopped
    told = [run.stop(*WHY, error) for error in (first, ValueError("second"))]

    assert (before, told, run.is_stopped) == (False, [True, False], True)
    assert run.error().__cause__ is first


def test_its_error_says_why_what_is_done_and_what_to_do():
    """A new one for each who raises it."""
    run = Run()
    for item in range(1235):
        run.count(ok=item > 0)
    run.stop(*WHY, ValueError())
    error = run.error()

    assert str(error) == (
        "401 Unauthorized. The key was not accepted: set a valid one. Done: 1,234 ok, 1 failed; "
        "the rest was not run. on_stop='continue' runs it all the same"
    )
    assert (error.reason, error.advice) == WHY
    assert run.error() is not run.error()


@pytest.mark.parametrize("waits_for", ["its turn", "a slot", "a request's turn", "a retry"])
def test_its_calls_wait_no_longer(clock, terms, waits_for):
    """Wherever they wait; those of other runs of the same dispatcher go on."""
    run = Run()
    call, other = Call(terms, run=run), Call(terms, run=Run())
    if waits_for == "its turn":
        pause_calls(terms.quota, 30)
        waits = [in_thread(one.begin) for one in (call, other)]
        clock.wait_for_sleepers()
    elif waits_for == "a slot":
        holders = [Call(terms) for _ in range(2)]
        for holder in holders:
            holder.begin()
        waits = [in_thread(one.begin) for one in (call, other)]
        until_waiting_for_slot(terms.quota)
    else:
        for one in (call, other):
            one.begin()
        terms.quota.line(ORIGIN).gate.shut(130, now=100, sent=100, asked=True)
        park = waits_for == "a retry"
        waits = [
            in_thread(
                (lambda one=one: one.park(lambda: 130)) if park else lambda one=one: opened(one)
            )
            for one in (call, other)
        ]
        clock.wait_for_sleepers(2 if park else 1)
    run.stop(*WHY, ValueError())
    terms.look_again()

    assert isinstance(waits[0](), CallCancelled)
    if waits_for == "a slot":
        holders[0].end()
    else:
        clock.wait_for_sleepers()
        clock.advance(30)
    assert not isinstance(waits[1](), CallCancelled)
    assert (call.gave_up, other.gave_up) == (True, False)


def test_no_call_of_it_begins(terms):
    """And the slot that it got goes back."""
    run = Run()
    run.stop(*WHY, ValueError())

    with pytest.raises(CallCancelled):
        Call(terms, run=run).begin()
    assert terms.quota.slots.in_use == 0
