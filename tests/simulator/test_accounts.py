from hypothesis import given
from hypothesis import strategies as st

from threadllm.simulator import Limits
from threadllm.simulator.accounts import Account, Accounts, Refusal
from threadllm.simulator.buckets import Level
from threadllm.simulator.rates import Course


def account_of(**limits):
    limits = Limits(**limits)
    return Account(limits, Course(limits.moves, 0.0), 0.0)


def test_an_account_charges_nothing_for_a_refusal():
    """A request is let in by all limits or charged to none."""
    account = account_of(requests_per_minute=60, tokens_per_minute=60, burst=2)
    answers = [account.admit(tokens, 0, 0.0) for tokens in (50, 20, 10, 0)]
    assert answers == [None, Refusal("tokens", 10.0), None, Refusal("requests", 1.0)]
    assert account.levels(0.0) == {"requests": Level(60, 0, 2.0), "tokens": Level(60, 0, 60.0)}


def test_each_limit_counts_its_own():
    """Prompts, answers, both together and requests are counted apart."""
    account = account_of(
        requests_per_minute=60,
        requests_per_day=86400,
        tokens_per_minute=600,
        input_tokens_per_minute=1200,
        output_tokens_per_minute=2400,
    )
    assert account.admit(100, 200, 0.0) is None
    assert account.levels(0.0) == {
        "requests": Level(60, 59, 1.0),
        "requests-per-day": Level(86400, 86399, 1.0),
        "tokens": Level(600, 300, 30.0),
        "input-tokens": Level(1200, 1100, 5.0),
        "output-tokens": Level(2400, 2200, 5.0),
    }


def test_a_days_window_ends_after_a_day():
    """With fixed windows the day's is a day long, the minute's a minute."""
    account = account_of(requests_per_day=2, requests_per_minute=10, window="fixed")
    answers = [account.admit(1, 1, now) for now in (0.0, 30.0, 90.0, 86400.0)]
    assert answers == [None, None, Refusal("requests-per-day", 86310.0), None]


def test_more_than_may_ever_come_is_told_no_wait():
    """A request that needs more tokens than fit is refused without a time to come back."""
    account = account_of(tokens_per_minute=60, requests_per_minute=1)
    assert account.admit(10, 0, 0.0) is None
    assert account.admit(61, 0, 0.0) == Refusal("tokens", None)


def test_less_than_one_request_a_minute_lets_one_in():
    """However small the rate, one request may come at once."""
    account = account_of(requests_per_minute=0.5)
    assert [account.admit(1, 1, now) for now in (0.0, 60.0, 120.0)] == [
        None,
        Refusal("requests", 60.0),
        None,
    ]


def test_concurrency_is_given_back():
    """A place in flight is free again when its request is over."""
    account = account_of(concurrency=1)
    answers = [account.admit(1, 1, 0.0), account.admit(1, 1, 0.0)]
    account.leave()
    assert [*answers, account.admit(1, 1, 0.0)] == [None, Refusal("concurrency", None), None]


def test_concurrency_moves():
    """Places are a factor of those stated, rounded down, and one at least."""
    account = account_of(concurrency=5, moves=((10.0, 0.5), (20.0, 0.1), (30.0, 2.0)))
    places = []
    for now in (0.0, 10.0, 20.0, 30.0):
        before = account._active
        while account.admit(1, 1, now) is None:
            pass
        places.append(account._active)
        for _ in range(account._active - before):
            account.leave()
    assert places == [5, 2, 1, 10]


def test_what_is_in_flight_when_places_shrink_stays():
    """Nobody is let in before those in flight are fewer than the places left."""
    account = account_of(concurrency=4, moves=((10.0, 0.5),))
    for _ in range(4):
        account.admit(1, 1, 0.0)
    refused = []
    for _ in range(3):
        refused.append(account.admit(1, 1, 10.0))
        account.leave()
    assert refused == [Refusal("concurrency", None)] * 3
    assert account.admit(1, 1, 10.0) is None


def test_a_wait_is_for_all_limits_at_once():
    """A limit that would let a request in sooner, but has shrunk by then, is waited for too."""
    account = account_of(
        input_tokens_per_minute=60,
        output_tokens_per_minute=600,
        moves=((20.0, 0.5), (500.0, 1.0)),
    )
    assert account.admit(60, 600, 0.0) is None
    # 15 s for the input alone, 20 s and more for the output; 40 of input no longer fit by then.
    assert account.admit(15, 250, 0.0) == Refusal("output-tokens", 30.0)
    assert account.admit(40, 250, 0.0) == Refusal("input-tokens", 510.0)


amounts = st.none() | st.integers(1, 600)
limits = st.builds(
    dict,
    requests_per_minute=amounts,
    requests_per_day=amounts,
    tokens_per_minute=amounts,
    input_tokens_per_minute=amounts,
    output_tokens_per_minute=amounts,
    concurrency=st.just(10**6),
    moves=st.lists(
        st.tuples(st.floats(0, 300), st.floats(0.1, 4)), max_size=4, unique_by=lambda move: move[0]
    ).map(lambda moves: tuple(sorted(moves))),
)
asks = st.lists(
    st.tuples(st.floats(0, 30), st.integers(0, 60), st.integers(0, 60)), min_size=1, max_size=30
)


@given(limits, st.sampled_from([{}, {"window": "fixed"}, {"refill": 7.5}]), asks)
def test_nobody_waits_in_vain(limits, kind, asks):
    """Whoever is told how long to wait, and does, is let in if nobody else has come."""
    limited = {name for name in limits if limits[name] and "_per_" in name}
    account = account_of(**limits, **(kind if limited else {}))
    now = 0.0
    for pause, *tokens in asks:
        now += pause
        refusal = account.admit(*tokens, now)
        if refusal and refusal.wait is not None:
            assert refusal.wait > 0
            now += refusal.wait
            assert account.admit(*tokens, now) is None


def test_moves_are_counted_from_the_first_request_of_all():
    """Every key's limits move at the same moment; a key that comes later has what then holds."""
    accounts = Accounts(Limits(requests_per_minute=60, moves=((10.0, 0.5),)))
    first = accounts.of("openai", "a", 1000.0)
    second = accounts.of("openai", "b", 1011.0)
    assert accounts.of("openai", "a", 1012.0) is first is not second
    assert first.levels(1009.9)["requests"].limit == 60
    assert first.levels(1010.0) == second.levels(1011.0) == {"requests": Level(30, 30, 0.0)}


def test_each_dialect_has_its_own_accounts():
    """The same key in another dialect is another account."""
    accounts = Accounts(Limits())
    assert accounts.of("openai", "a", 0.0) is not accounts.of("anthropic", "a", 0.0)
