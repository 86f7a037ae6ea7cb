"""A run that is stopped: what it says, and that its calls wait no longer."""

import pytest

from tests.call.conftest import ORIGIN, in_thread, opened, pause_calls, until_waiting_for_slot
from threadllm.call import Call, Run
from threadllm.exceptions import CallCancelled, RunStopped


def stopping(error):
    """What a run is stopped with."""
    return lambda done: RunStopped("401 Unauthorized", "Set a valid key.", f"{done} {error}")


def test_the_first_reason_counts():
    """A run is stopped once, whoever else would stop it."""
    run = Run()
    before = run.is_stopped
    told = [run.stop(stopping(error)) for error in ("first", "second")]

    assert (before, told, run.is_stopped) == (False, [True, False], True)
    assert str(run.error()).endswith("first")


def test_its_error_says_why_and_what_is_done():
    """A new one for each who raises it."""
    run = Run()
    for item in range(1235):
        run.count(None if item else ValueError())
    run.stop(stopping("Go on?"))

    assert str(run.error()) == (
        "401 Unauthorized. Set a valid key. Done: 1,234 ok, 1 failed; the rest was not run. Go on?"
    )
    assert run.error() is not run.error()


def test_a_cancelled_run_tells_what_is_in_progress():
    """Of which no more will be; who cancels it again is told what is left."""
    run = Run()
    took = [run.take_up(item) for item in "abc"]
    run.put_down("b")
    first = run.cancel()
    took.append(run.take_up("d"))
    run.put_down("a")

    assert (took, sorted(first), run.cancel()) == ([True] * 3 + [False], ["a", "c"], ["c"])
    assert (run.is_stopped, run.is_cancelled) == (True, True)
    assert str(run.error()) == (
        "the run was cancelled. Done: 0 ok, 0 failed; the rest was not run."
    )


def test_a_run_that_was_stopped_is_not_cancelled():
    """Its error stays what it was."""
    run = Run()
    run.stop(stopping("first"))
    run.cancel()

    assert (run.is_cancelled, run.error().reason) == (False, "401 Unauthorized")


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
    run.stop(stopping(""))
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
    run.stop(stopping(""))

    with pytest.raises(CallCancelled):
        Call(terms, run=run).begin()
    assert terms.quota.slots.in_use == 0
