import pytest
from hypothesis import given
from hypothesis import strategies as st

from threadllm.outcome import Usage
from threadllm.quota.estimate import Estimate
from threadllm.quota.permit import Need


@pytest.mark.parametrize(
    ("size", "most", "need"),
    [(400, None, Need(100, 100)), (400, 7, Need(100, 7)), (0, None, Need(0, 0))],
)
def test_at_first_it_goes_by_the_body(size, most, need):
    """Four bytes a token; of the answer, all that is allowed, or as much as is asked."""
    assert Estimate().need(size, most) == need


def test_then_it_goes_by_what_such_requests_cost():
    """The answer is taken to be like those before it, but no longer than it may be."""
    estimate = Estimate()
    estimate.learn(400, Usage(200, 50))
    assert estimate.need(400, None).output_tokens == 50
    assert estimate.need(400, 1000).output_tokens == 50
    assert estimate.need(400, 20).output_tokens == 20
    assert estimate.need(400, None).input_tokens == pytest.approx(400 / 3.9)


def test_the_newest_weighs_a_twentieth():
    """One odd answer does not change much."""
    estimate = Estimate()
    estimate.learn(400, Usage(100, 100))
    estimate.learn(400, Usage(100, 300))
    assert estimate.need(400, None) == Need(100, pytest.approx(110))


@pytest.mark.parametrize(("size", "usage"), [(0, Usage(100, 10)), (400, Usage(0, 10))])
def test_what_says_nothing_of_bytes_is_not_learnt_of_them(size, usage):
    """A request without a body, or of which no tokens are told, leaves their number as it was."""
    estimate = Estimate()
    estimate.learn(size, usage)
    assert estimate.need(400, None) == Need(100, 10)


@given(st.lists(st.tuples(st.integers(1, 10**6), st.integers(1, 10**6), st.integers(0, 10**6))))
def test_a_mean_lies_among_what_it_is_of(costs):
    """Whatever was seen, the estimate is neither above nor below all of it."""
    estimate = Estimate()
    for size, tokens_in, tokens_out in costs:
        estimate.learn(size, Usage(tokens_in, tokens_out))
    need = estimate.need(10**6, None)
    shares = [4.0, *(size / tokens_in for size, tokens_in, _ in costs)]
    assert 10**6 / max(shares) * 0.999 <= need.input_tokens <= 10**6 / min(shares) * 1.001
    if costs:
        outputs = [tokens_out for _, _, tokens_out in costs]
        assert min(outputs) * 0.999 <= need.output_tokens <= max(outputs) * 1.001


def test_a_steady_cost_is_found():
    """After a hundred such requests it is known to a hundredth."""
    estimate = Estimate()
    for _ in range(100):
        estimate.learn(1000, Usage(500, 80))
    assert estimate.need(1000, None) == Need(pytest.approx(500, rel=0.01), pytest.approx(80))
