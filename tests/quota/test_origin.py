import math

import pytest

from tests.quota.support import ORIGIN, a_line, a_permit, leave, let_in, wait
from threadllm.quota import Breaker, Ended, Need, Quota


def test_retries_have_a_budget():
    """Beyond what is kept, ten a second go, and one for every second first request; others wait."""
    line = a_line(concurrency=500)
    for _ in range(100):
        assert wait(line, is_retry=True) == 0
        let_in(line, is_retry=True)
    assert wait(line, is_retry=True) == pytest.approx(0.1)
    for _ in range(2):
        let_in(line)
    assert wait(line, is_retry=True) == pytest.approx(0)
    let_in(line, is_retry=True)
    assert [wait(line, 0.05, is_retry=True), wait(line, 0.1, is_retry=True)] == [
        pytest.approx(0.05),
        pytest.approx(0),
    ]


def test_first_requests_need_no_budget():
    """They wait for nothing that retries have used up."""
    line = a_line(concurrency=500)
    for _ in range(300):
        let_in(line, is_retry=True)
    assert [wait(line), wait(line, is_retry=True) > 10] == [0, True]


@pytest.mark.parametrize(("budget", "waits"), [(0, True), (1.0, False), (None, False)])
def test_the_budget_is_the_users(budget, waits):
    """None is no bound; with 0 only those go that are let through whatever else is."""
    line = a_line(concurrency=1000, retry_budget=budget)
    for _ in range(200):
        let_in(line)
        let_in(line, is_retry=True)
    assert (wait(line, is_retry=True) > 0) is waits


def test_stated_limits_hold_for_all_models_of_an_origin():
    """An account has its limits, whatever model is asked for."""
    quota = Quota(requests_per_minute=60, burst=2)
    one, other = a_line(quota, "m"), a_line(quota, "n")
    let_in(one)
    let_in(other)
    assert [wait(one), wait(other)] == [pytest.approx(1 / 0.99)] * 2
    assert wait(quota.line("https://b:443")) == 0


def test_the_longest_wait_counts():
    """Of all limits that are stated."""
    line = a_line(requests_per_minute=60, tokens_per_minute=6000)
    need = Need(6000)
    let_in(line, need=need)
    assert wait(line, need=need) == pytest.approx(60 / 0.99)


def test_an_open_breaker_holds_its_origin():
    """All of its models wait; the origin beside it does not."""
    quota = Quota(64, breaker=Breaker(sliding_window=1, failure_rate=1, probes=1))
    one, other = a_line(quota, "m"), a_line(quota, "n")
    leave(one, let_in(one), ended=Ended.ANSWERED_BADLY)
    assert [wait(one, 10), wait(other, 10), wait(quota.line("https://b:443"))] == [20, 20, 0]
    let_in(other, 30)
    assert wait(one, 30) == math.inf


def test_there_is_room_for_as_many_as_the_window_allows():
    """It begins with some, and says when there will be more."""
    shared = a_line(concurrency=64).origin
    assert shared.has_room(0) is True
    permits = [a_permit(number) for number in range(1, 34)]
    for permit in permits[:32]:
        shared.let_in(permit, 0, is_retry=False)
    assert shared.has_room(0) is False
    seconds = shared.seconds_to_room(0)
    assert 0 < seconds < 0.03
    assert shared.has_room(seconds + 1e-9) is True
    shared.give_room_back(permits[0])
    shared.give_room_back(permits[0])
    assert [shared.has_room(0), len(shared.in_flight)] == [True, 31]


def test_where_few_may_be_in_flight_there_is_room_for_one_after_another():
    """However many are allowed, and when the next may go is said."""
    shared = a_line(concurrency=64).origin
    shared.concurrency.shrink(10)
    shared.concurrency.accept(a_permit(at=0.0), 2.0)
    shared.let_in(a_permit(), 5.0, is_retry=False)
    assert [shared.has_room(5.0), shared.seconds_to_room(5.0)] == [False, pytest.approx(0.1)]
    assert shared.has_room(5.1) is True


def test_who_rides_along_has_no_room():
    """What was let in although none was free gives none back."""
    shared = a_line(concurrency=1).origin
    holds, rides = a_permit(1), a_permit(2)
    shared.let_in(holds, 0, is_retry=False)
    shared.let_in(rides, 0, is_retry=False)
    assert [holds.has_room, rides.has_room] == [True, False]
    shared.give_room_back(rides)
    assert shared.has_room(0) is False
    shared.give_room_back(holds)
    assert [shared.has_room(0), shared.in_flight] == [True, set()]


def test_one_that_was_not_let_in_was_beside_nobody():
    """Those that were sent after it had fewer beside them than it seemed, whatever their model."""
    quota = Quota(64)
    one, other = a_line(quota, "m"), a_line(quota, "n")
    for _ in range(5):
        leave(one, let_in(one, 0.5), 0.6)
    before, refused = let_in(other, 1), let_in(one, 2)
    after = [let_in(other, 3), let_in(one, 4)]
    one.origin.give_room_back(refused)
    one.origin.excuse(refused)
    assert [before.beside, *(permit.beside for permit in after)] == [0, 1, 2]


def test_waits_for_nothing_where_nothing_is_known():
    """Neither a breaker, nor a budget, nor a limit."""
    shared = Quota(breaker=None, retry_budget=None).line(ORIGIN).origin
    assert shared.wait(0, is_retry=True) == 0
    assert shared.let_in(a_permit(), 0, is_retry=True) is False
