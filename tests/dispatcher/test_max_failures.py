"""`fail_fast`, `max_failures`: a run in which too much fails is stopped, and keeps what it has."""

import pytest

from threadllm import Dispatcher, OptionError, RunStopped, TooManyFailures

STOPPED = "{} failed, more than {} allows. Done: {}; the rest was not run."


def failing(*items):
    """A function that fails for some items."""

    def call(item):
        if item in items:
            raise LookupError(item)
        return item

    return call


def run(pool, call, items=range(1000), **options):
    """The outcomes of a run, and what ended it."""
    seen = []
    with pytest.raises(TooManyFailures) as stopped:
        seen.extend(pool.outcomes(call, items, ordered=True, buffersize=1, **options))
    return seen, stopped.value


@pytest.mark.parametrize(
    ("options", "said"),
    [({"fail_fast": True}, "fail_fast"), ({"max_failures": 0}, "max_failures=0")],
)
def test_the_first_failure_stops_a_run(options, said):
    """It is an outcome like any other, the last one."""
    with Dispatcher(1) as pool:
        seen, stopped = run(pool, failing(3), **options)

    assert [one.value for one in seen] == [0, 1, 2, None]
    assert str(stopped) == STOPPED.format("1 item has", said, "3 ok, 1 failed")
    assert stopped.__cause__ is seen[-1].error
    assert isinstance(stopped, RunStopped)


def test_a_number_of_failures_is_allowed():
    """One more stops the run."""
    with Dispatcher(1) as pool:
        seen, stopped = run(pool, failing(1, 3, 5, 7), max_failures=2)
        fine = list(pool.outcomes(failing(1, 3), range(9), max_failures=2))

    assert len(seen) == 6
    assert str(stopped) == STOPPED.format("3 items have", "max_failures=2", "3 ok, 3 failed")
    assert len(fine) == 9


@pytest.mark.parametrize(
    ("share", "bad", "ended"),
    [
        ("5%", range(1000), 6),  # of the first hundred 5 may fail
        ("5 %", range(90, 96), 96),
        ("5%", [*range(5), *range(100, 130, 10)], 101),
        ("0%", [500], 501),
        ("0.1%", [1, 1001], 2),
    ],
)
def test_a_share_of_those_that_have_ended_is_allowed(share, bad, ended):
    """Of fewer than a hundred it is reckoned as if they were so many."""
    with Dispatcher(1) as pool:
        seen, _ = run(pool, failing(*bad), range(2000), max_failures=share)

    assert len(seen) == ended


def test_a_share_that_is_kept_stops_nothing():
    """Each hundredth item fails, and so many may."""
    with Dispatcher(1) as pool:
        call = failing(*range(99, 1000, 100))
        assert len(list(pool.outcomes(call, range(1000), max_failures="1%"))) == 1000


def test_a_deadline_counts_as_a_failure(held):
    """Whoever ends an item, it has failed."""
    with Dispatcher(2, deadline=0.05) as pool:
        _, stopped = run(pool, lambda _: held.wait(), fail_fast=True)
        held.set()

    assert isinstance(stopped.__cause__, TimeoutError)


@pytest.mark.parametrize(
    "said",
    [
        -1,
        1.5,
        True,
        "5",
        "101%",
        "-1%",
        "5%5",
        "%",
        "nan%",
        "\N{ARABIC-INDIC DIGIT FIVE}%",
        b"5%",
        [5],
    ],
)
def test_what_allows_nothing_that_can_be_meant_is_refused(said):
    """At once, in words that name it."""
    with Dispatcher(1) as pool, pytest.raises(OptionError) as refused:
        pool.outcomes(str, [], max_failures=said)

    assert str(refused.value) == (
        f'max_failures={said!r}: give a whole number, 0 or more, or a share such as "5%"'
    )


def test_both_options_at_once_are_refused():
    """They would say two things."""
    with Dispatcher(1) as pool, pytest.raises(OptionError) as refused:
        pool.outcomes(str, [], fail_fast=True, max_failures=3)

    assert str(refused.value) == (
        "fail_fast and max_failures: give one; fail_fast is max_failures=0"
    )
