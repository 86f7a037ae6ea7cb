import pytest
import requests

import threadllm
from tests.transport.support import run

from .playing import WELL
from .puppets import ENDS


def outcomes(puppet, trusted):
    """The outcomes of two calls, one after the other."""
    options = {"data": b"{}", "timeout": 20, "verify": trusted}
    return run(
        lambda _: requests.post(puppet.url, **options).content,
        [1, 2],
        retry=threadllm.Retry(wait_initial=0),
    )


@pytest.mark.parametrize("end", ENDS)
def test_a_stale_connection_costs_an_item_nothing(puppet, trusted, between, end):
    """An item whose connection had ended has one attempt, and one request on record."""
    between(end)
    for outcome in outcomes(puppet, trusted):
        assert outcome.value == WELL
        assert (outcome.attempts, len(outcome.requests)) == (1, 1)
    assert (puppet.connections, puppet.processed) == (2, 2)


@pytest.mark.parametrize("end", ENDS)
def test_a_request_that_may_have_been_processed_is_charged(puppet, trusted, end):
    """An item whose request was read, but not answered, is tried again, which it is charged for."""

    def read_and_end(sock):
        puppet.read(sock)
        end(sock)

    puppet.deed = read_and_end
    puppet.ordered.set()
    first, second = outcomes(puppet, trusted)
    assert (first.value, first.attempts) == (WELL, 1)
    assert (second.value, second.attempts, len(second.requests)) == (WELL, 2, 2)
    assert (puppet.connections, puppet.processed) == (2, 3)
