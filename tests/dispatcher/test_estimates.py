"""The user's own estimate of tokens: what is reserved before a call, or each of its requests."""

from contextvars import ContextVar

import pytest

from threadllm import Dispatcher, OptionError, Quota, Retry, Usage
from threadllm.testing import FakeClock


def starts(clock, quota, estimate, submit):
    """When calls began, by what was submitted."""
    seen = {}

    def call(item, more=0):
        seen[item] = clock.monotonic()

    with Dispatcher(8, quota=quota, estimate=estimate, clock=clock) as pool, clock.running():
        submit(pool, call)
    return seen


SUBMITS = {
    "submit": lambda pool, call: [pool.submit(call, n, more=0).result(10) for n in range(4)],
    "map": lambda pool, call: list(pool.map(call, range(4))),
    "several": lambda pool, call: list(pool.map(call, range(4), [0] * 4)),
    "outcomes": lambda pool, call: [o.unwrap() for o in pool.outcomes(call, range(4))],
    "unpacked": lambda pool, call: [
        o.unwrap() for o in pool.outcomes(call, [(n, 0) for n in range(4)], unpack="args")
    ],
}


@pytest.mark.parametrize("submit", SUBMITS.values(), ids=SUBMITS)
def test_it_is_called_as_the_function_is_and_reserved(submit):
    """A minute's worth at once, then as much as flows in."""
    clock = FakeClock(start=0)

    seen = starts(clock, Quota(8, tokens_per_minute=100), lambda item, more=0: 50 + more, submit)

    assert sorted(seen.values()) == pytest.approx([0, 0, 30.3, 60.6], abs=0.1)


def test_tokens_in_and_out_can_be_told_apart():
    """By a usage; the limit that is reached first counts."""
    clock = FakeClock(start=0)
    quota = Quota(8, input_tokens_per_minute=1000, output_tokens_per_minute=10)

    seen = starts(clock, quota, lambda item: Usage(10, 10), SUBMITS["map"])

    assert sorted(seen.values()) == pytest.approx([0, 60.6, 121.2, 181.8], abs=0.1)


@pytest.mark.parametrize("tokens", ["many", None, -1, float("nan")])
def test_an_estimate_that_is_none_fails_its_item(tokens):
    """It is named, and so is what would do."""
    with Dispatcher(1, estimate=lambda item: tokens) as pool:
        (outcome,) = pool.outcomes(str, [1])

    assert isinstance(outcome.error, OptionError)
    assert str(outcome.error) == (
        f"estimate: it gave {tokens!r}; let it give a number of tokens, or a Usage"
    )


@pytest.mark.parametrize("error", [ZeroDivisionError, SystemExit, KeyboardInterrupt])
def test_an_estimate_that_fails_fails_its_item(error):
    """With its error, whatever that is; the others go on."""

    def estimate(item):
        if item == 0:
            raise error
        return 1

    with Dispatcher(1, estimate=estimate) as pool:
        first, second = pool.outcomes(str, [0, 1], ordered=True)

    assert (type(first.error), second.value) == (error, "1")


def test_an_estimate_is_asked_for_once_and_in_its_submitters_context():
    """However often the call is tried again; what it changes there is seen by nobody."""
    asked, tries = [], []
    where = ContextVar("where", default="elsewhere")

    def estimate(item):
        asked.append(where.get())
        where.set("changed")
        return 1

    def fails_twice(item):
        tries.append(where.get())
        if len(tries) < 3:
            raise ConnectionError
        return item

    where.set("submitter")
    with Dispatcher(1, estimate=estimate, retry=Retry(wait_initial=0)) as pool:
        assert pool.submit(fails_twice, 1).result(10) == 1
    assert [asked, tries] == [["submitter"], ["submitter"] * 3]
