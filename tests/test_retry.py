import dataclasses
from itertools import islice
from types import SimpleNamespace

import pytest
import requests
from hypothesis import given
from hypothesis import strategies as st

from threadllm.exceptions import OptionError
from threadllm.providers import Reply, Verdict
from threadllm.retry import Retry

FAIL, PACE, RETRY, STOP = Verdict.FAIL, Verdict.PACE, Verdict.RETRY, Verdict.STOP
EXACT = Retry(jitter="none", attempts=4)


class ShapedError(Exception):
    """An error that carries an answer."""

    def __init__(self, status, **body):
        super().__init__()
        self.status_code = status
        self.response = SimpleNamespace(headers={"Retry-After": "7"})
        self.body = {"error": body}


def first_waits(policy, number=10):
    return [*islice(policy.waits(), number)]


# The policy


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"attempts": 0}, "attempts=0: at least 1, the first try, is needed"),
        ({"attempts": "3"}, "attempts='3': at least 1, the first try, is needed"),
        ({"wait_max": "3"}, "wait_max='3': give a number of seconds, 0 or more"),
        ({"wait_max": None}, "wait_max=None: give a number of seconds, 0 or more"),
        ({"wait_base": "2"}, "wait_base='2': give a factor of 1 or more"),
        ({"statuses": 503}, "statuses=503: give several, such as {500, 503}"),
        (
            {"exceptions": OSError},
            "exceptions=<class 'OSError'>: give a tuple, such as (OSError,)",
        ),
        ({"attempts": -1}, "attempts=-1: at least 1, the first try, is needed"),
        ({"wait_initial": -0.5}, "wait_initial=-0.5: give a number of seconds, 0 or more"),
        ({"wait_max": float("inf")}, "wait_max=inf: give a number of seconds, 0 or more"),
        (
            {"statuses": ("500",)},
            "statuses: '500' is no HTTP status from 400 to 599",
        ),
        (
            {"exceptions": (KeyboardInterrupt,)},
            "exceptions: <class 'KeyboardInterrupt'> is no class of exceptions",
        ),
        (
            {"retry_after_max": float("nan")},
            "retry_after_max=nan: give a number of seconds, 0 or more",
        ),
        ({"give_up_after": -1}, "give_up_after=-1: give a number of seconds, 0 or more"),
        ({"wait_base": 0.5}, "wait_base=0.5: give a factor of 1 or more"),
        ({"wait_base": float("inf")}, "wait_base=inf: give a factor of 1 or more"),
        ({"wait_base": float("nan")}, "wait_base=nan: give a factor of 1 or more"),
        ({"jitter": "some"}, "jitter='some': choose one of full, random, none"),
        ({"jitter": None}, "jitter=None: choose one of full, random, none"),
    ],
)
def test_what_cannot_be_meant_is_refused(options, text):
    """The text names the option, its value and what would do; a changed policy is checked too."""
    for make in (Retry, lambda **changes: dataclasses.replace(EXACT, **changes)):
        with pytest.raises(OptionError) as caught:
            make(**options)
        assert str(caught.value) == text


def test_the_least_of_everything_will_do():
    """One attempt, no waits and a factor of one are meant."""
    policy = Retry(
        attempts=1, wait_initial=0, wait_max=0, wait_base=1, retry_after_max=0, give_up_after=0
    )

    assert first_waits(policy, 3) == [0, 0, 0]


def test_a_policy_is_a_value():
    """It cannot be changed, equals its like, and a changed one is a new one."""
    policy = Retry()
    with pytest.raises(dataclasses.FrozenInstanceError):
        policy.attempts = 2
    other = dataclasses.replace(policy, attempts=2)

    assert (policy.attempts, other.attempts) == (8, 2)
    assert dataclasses.replace(other, attempts=8) == policy == Retry()
    assert hash(policy) == hash(Retry())
    assert not hasattr(policy, "__dict__")


def test_options_are_given_by_name():
    """Figures in a row would say nothing to who reads them."""
    with pytest.raises(TypeError):
        Retry(3)


@pytest.mark.parametrize(
    ("options", "waits"),
    [
        ({}, [0.5, 1, 2, 4, 8, 16, 30, 30, 30, 30]),
        ({"wait_max": 5}, [0.5, 1, 2, 4, 5, 5, 5, 5, 5, 5]),
        ({"wait_initial": 3, "wait_base": 3}, [3, 9, 27, 30, 30, 30, 30, 30, 30, 30]),
        ({"wait_base": 1}, [0.5] * 10),
        ({"wait_initial": 60}, [30] * 10),
        ({"wait_initial": 0}, [0] * 10),
    ],
)
def test_waits_grow_to_their_limit(options, waits):
    """Without jitter they are exact, for the factor and the limits given."""
    assert first_waits(Retry(jitter="none", **options)) == waits


@pytest.mark.parametrize("options", [{}, {"wait_initial": 0}, {"wait_base": 1}, {"wait_max": 0}])
def test_waits_have_no_end(options):
    """However long it goes on, no power overflows."""
    policy = Retry(jitter="none", **options)

    assert len(first_waits(policy, 5000)) == 5000


figures = st.floats(0, 100)
bases = st.floats(1, 10)


@given(initial=figures, most=figures, base=bases)
def test_full_jitter_stays_below_the_exact_wait(initial, most, base):
    """Each wait is drawn from nothing to what it would be without jitter."""
    options = {"wait_initial": initial, "wait_max": most, "wait_base": base}
    exact = first_waits(Retry(jitter="none", **options))

    assert all(
        0 <= wait <= limit for wait, limit in zip(first_waits(Retry(**options)), exact, strict=True)
    )


@given(initial=figures, most=figures, base=bases)
def test_random_jitter_adds_up_to_a_second(initial, most, base):
    """Each wait is what it would be without jitter, or at most a second more."""
    options = {"wait_initial": initial, "wait_max": most, "wait_base": base}
    exact = first_waits(Retry(jitter="none", **options))
    drawn = first_waits(Retry(jitter="random", **options))

    assert all(limit <= wait <= limit + 1 for wait, limit in zip(drawn, exact, strict=True))


@pytest.mark.parametrize("jitter", ["full", "random"])
def test_jitter_spreads(jitter):
    """Two requests that failed together do not wait alike."""
    policy = Retry(jitter=jitter)

    assert first_waits(policy) != first_waits(policy)


def test_each_run_of_waits_is_its_own():
    """Requests share a policy and no generator: none is further on for another's retries."""
    one, other = EXACT.waits(), EXACT.waits()

    assert [next(one), next(one), next(other), next(one), next(other)] == [0.5, 1, 0.5, 2, 1]


@pytest.mark.parametrize(
    ("options", "pauses"),
    [
        ({}, [0.5, 1, 2, 30, 30]),
        ({"jitter": "full"}, [0.5, 1, 2, 30, 30]),
        ({"wait_initial": 0}, [0, 0, 0, 0, 0]),
        ({"wait_initial": 3, "wait_base": 1}, [3, 3, 3, 3, 3]),
    ],
)
def test_pauses_grow_with_their_number_and_without_jitter(options, pauses):
    """They are everyone's: there is nothing to spread, and no number is too large."""
    policy = Retry(**{"jitter": "none", **options})

    assert [policy.pause(paused) for paused in (0, 1, 2, 64, 10**9)] == pauses


# Errors


class OwnError(Exception):
    pass


class OwnConnectionError(ConnectionError):
    pass


@pytest.mark.parametrize(
    ("error", "options", "verdict"),
    [
        (OwnError(), {}, FAIL),
        (OwnError(), {"exceptions": (OwnError,)}, RETRY),
        (OwnError(), {"exceptions": (KeyError, OwnError)}, RETRY),
        (OwnError(), {"exceptions": (KeyError,)}, FAIL),
        (OwnConnectionError(), {}, RETRY),
        (requests.ConnectionError(), {}, RETRY),
        (requests.exceptions.InvalidURL(), {}, FAIL),
        (ShapedError(503), {}, RETRY),
        (ShapedError(503), {"statuses": {500}}, FAIL),
        (ShapedError(418), {"statuses": [418]}, RETRY),
        (ShapedError(400), {}, FAIL),
        (ShapedError(400), {"exceptions": (ShapedError,)}, RETRY),
        (ShapedError(429), {}, PACE),
        (ShapedError(429), {"exceptions": (Exception,)}, PACE),
        (ShapedError(429), {"statuses": ()}, FAIL),
        (ShapedError(429, code="insufficient_quota"), {}, STOP),
        (ShapedError(429, code="insufficient_quota"), {"exceptions": (ShapedError,)}, STOP),
        (ShapedError(401), {}, STOP),
        (ShapedError(403), {}, STOP),
        (ShapedError(401), {"exceptions": (ShapedError,)}, STOP),
        (ShapedError(401), {"statuses": {401}}, RETRY),
        (ShapedError(200), {}, FAIL),
        (ShapedError(200), {"exceptions": (ShapedError,)}, RETRY),
        (ShapedError(200, code=502), {}, RETRY),
        (ShapedError(200, code=429), {}, PACE),
    ],
)
def test_an_error_is_judged_by_its_answer_or_its_class(error, options, verdict):
    """A 429 is a matter of pace, and a refused key the end, under any name that the user gives."""
    reply = None
    if isinstance(error, ShapedError):
        reply = Reply(error.status_code, {"retry-after": "7"}, error.body)

    assert Retry(**options).verdict_on_error(error) == (verdict, reply)


def test_what_is_refused_for_its_own_sake_is_final():
    """A 400 is; what passes, what stops a run, and what says nothing are not."""

    class OddError(Exception):
        @property
        def status_code(self):
            raise LookupError

    def error(status):
        made = Exception()
        made.status_code = status
        return made

    policy = Retry()
    final = [policy.is_final(error(status)) for status in (400, 404, 422, 401, 429, 503)]
    assert final == [True, True, True, False, False, False]
    assert not policy.is_final(OddError())
    assert not policy.is_final(ValueError())
