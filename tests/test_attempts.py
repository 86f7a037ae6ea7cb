import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from threadllm.providers import Verdict
from threadllm.retry import Attempts, Retry

EXACT = Retry(jitter="none", attempts=4)
OK, FAIL, RETRY, PACE = Verdict.OK, Verdict.FAIL, Verdict.RETRY, Verdict.PACE


# Each row: the policy's options, what each try comes to (verdict, seconds asked, time), and the
# waits that follow.
SERIES = {
    "retries are charged": (
        {},
        [(RETRY, None, 0)] * 5,
        [0.5, 1, 2, None, None],
    ),
    "a retry waits as long as asked": (
        {},
        [(RETRY, 7.0, 0), (RETRY, 0.1, 0), (RETRY, 0.0, 0)],
        [7, 1, 2],
    ),
    "one attempt is none after the first": ({"attempts": 1}, [(RETRY, None, 0)], [None]),
    "paces are not charged": (
        {"attempts": 1},
        [(PACE, None, 0)] * 9,
        [0.5, 1, 2, 4, 8, 16, 30, 30, 30],
    ),
    "a pace waits as long as asked": (
        {},
        [(PACE, 7.0, 0), (PACE, 0.1, 0), (PACE, None, 0)],
        [7, 0.1, 0.5],
    ),
    "no time at all is as if not said": (
        {},
        [(PACE, 0.0, 0)] * 4,
        [0.5, 1, 2, 4],
    ),
    "pauses are without jitter": (
        {"jitter": "full"},
        [(PACE, None, 0)] * 4,
        [0.5, 1, 2, 4],
    ),
    "what is asked is capped": (
        {"retry_after_max": 60},
        [(PACE, 3600.0, 0), (RETRY, 1e300, 0), (PACE, 59.0, 0)],
        [60, 60, 59],
    ),
    "a cap of nothing hears nothing": (
        {"retry_after_max": 0},
        [(PACE, 7.0, 0), (PACE, 7.0, 0), (RETRY, 7.0, 0)],
        [0.5, 1, 0.5],
    ),
    "what is asked is ignored": (
        {"respect_retry_after": False},
        [(PACE, 7.0, 0), (PACE, 7.0, 0), (RETRY, 7.0, 0)],
        [0.5, 1, 0.5],
    ),
    "each has its own series": (
        {},
        [(PACE, None, 0), (RETRY, None, 0), (PACE, None, 0), (RETRY, None, 0)],
        [0.5, 0.5, 1, 1],
    ),
    "patience begins with the first 429": (
        {"give_up_after": 100},
        [(RETRY, None, 0), (PACE, 10.0, 1000), (PACE, 10.0, 1090), (PACE, 10.0, 1091)],
        [0.5, 10, 10, None],
    ),
    "patience does not begin anew": (
        {"give_up_after": 100},
        [(PACE, 60.0, 0), (PACE, 60.0, 60)],
        [60, None],
    ),
    "a wait beyond the patience is not begun": (
        {"give_up_after": 100},
        [(PACE, 101.0, 0), (PACE, 100.0, 0)],
        [None, 100],
    ),
    "no patience": ({"give_up_after": 0}, [(PACE, None, 0)], [None]),
    "patience is for 429s": (
        {"give_up_after": 1},
        [(PACE, 1.0, 0), (RETRY, None, 50)],
        [1, 0.5],
    ),
    "what no retry mends": ({}, [(FAIL, 7.0, 0), (OK, 7.0, 0)], [None, None]),
}


@pytest.mark.parametrize(("options", "tries", "waits"), SERIES.values(), ids=SERIES)
def test_the_next_wait_follows_from_the_tries(options, tries, waits):
    """Retries are charged until the attempts are used up, paces until the patience is."""
    policy = dataclasses.replace(EXACT, **options)
    attempts = Attempts(policy)

    assert [
        attempts.next_wait(verdict, policy.heeded(asked), now) for verdict, asked, now in tries
    ] == waits
    assert attempts.repeats == sum(wait is not None for wait in waits)
    assert attempts.retries == sum(
        wait is not None and one[0] is RETRY for one, wait in zip(tries, waits, strict=True)
    )


def test_attempts_share_nothing():
    """Two requests of one policy each begin at the first wait."""
    one, other = Attempts(EXACT), Attempts(EXACT)
    waits = [attempts.next_wait(RETRY, None, 0) for attempts in (one, one, other)]

    assert waits == [0.5, 1, 0.5]
    assert (one.retries, other.retries) == (2, 1)


@given(
    st.lists(st.tuples(st.sampled_from(Verdict), st.none() | st.floats(0, 1e308))),
    st.floats(0, 1000),
    st.sampled_from(["full", "random", "none"]),
)
def test_no_429_is_answered_at_once(tries, most, jitter):
    """Whatever is asked for, everyone waits some time after a 429, and never longer than capped."""
    policy = Retry(jitter=jitter, retry_after_max=most)
    attempts = Attempts(policy)
    waits = [
        (verdict, attempts.next_wait(verdict, policy.heeded(asked), 0)) for verdict, asked in tries
    ]

    assert all(wait is None or wait > 0 for verdict, wait in waits if verdict is PACE)
    assert all(wait is None or 0 <= wait <= max(most, 31) for _, wait in waits)
