import pytest

from threadllm.quota import Ended, Need, ended_by


def test_needs_add_up():
    """In and out apart."""
    assert Need(1, 2).plus(Need(10, 20)) == Need(11, 22)


@pytest.mark.parametrize(
    ("status", "ended"),
    [
        (None, Ended.FAILED),
        (503, Ended.FULL),
        (500, Ended.ANSWERED_BADLY),
        (529, Ended.ANSWERED_BADLY),
        (408, Ended.ACCEPTED),
        (409, Ended.ACCEPTED),
    ],
)
def test_an_error_that_is_tried_again_has_its_meaning(status, ended):
    """No answer and a 5xx are the provider's failures; a 4xx was let in."""
    assert ended_by(status) is ended


def test_failures_are_what_breakers_count():
    """What was let in, or broken off by us, is none."""
    assert {ended for ended in Ended if ended.is_failure} == {
        Ended.FAILED,
        Ended.ANSWERED_BADLY,
        Ended.FULL,
    }
