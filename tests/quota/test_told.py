import pytest

from tests.quota.support import a_permit
from threadllm.providers import Allowance
from threadllm.quota import Need
from threadllm.quota.memory import Learnt
from threadllm.quota.told import Told

NONE = (1, Need())


def said(kind="requests", limit=500.0, *, period=60.0, remaining=None):
    return Allowance(kind, limit, period, remaining, None)


def hear(told, *allowances, permit=None, charged=NONE, now=0.0):
    return [*told.hear(permit or a_permit(), allowances, charged, now)]


def left(told, kind="requests", period=60.0, now=0.0):
    return told.limits[kind, period].left(now)


@pytest.mark.parametrize(
    ("allowance", "news"),
    [
        (said(), "the provider allows 500 requests per minute"),
        (said("tokens", 200_000.0), "the provider allows 200,000 tokens per minute"),
        (said("input_tokens", 1e6), "the provider allows 1,000,000 input tokens per minute"),
        (said("requests", 1440.0, period=86_400.0), "the provider allows 1,440 requests per day"),
    ],
)
def test_what_is_new_is_told_once(allowance, news):
    """The same again is no news; another figure is."""
    told = Told(Learnt())
    assert [hear(told, allowance), hear(told, allowance)] == [[news], []]
    assert len(hear(told, allowance._replace(limit=7.0))) == 1
    assert told.limits[allowance.kind, allowance.period].figure == 7


def test_what_is_left_is_known():
    """All of it may be used, where the provider says what remains."""
    told = Told(Learnt())
    hear(told, said(remaining=499.0))
    assert left(told) == 499


def test_of_what_is_told_a_part_may_be_for_this_process():
    """Of the figure, of what remains, and of what was learnt before; people are told the whole."""
    learnt = Learnt()
    told = Told(learnt, share=0.25)
    assert hear(told, said(remaining=400.0)) == ["the provider allows 500 requests per minute"]
    assert (left(told), told.limits["requests", 60.0].figure) == (100, 125)
    assert Told(learnt, share=0.5).limits["requests", 60.0].figure == 250


def test_where_it_does_not_say_what_remains_a_moments_worth_may_go():
    """As of any rate whose burst nobody has said."""
    told = Told(Learnt())
    hear(told, said(limit=3000.0))
    assert left(told) == 10
    hear(told, said(limit=3000.0, remaining=2000.0))
    assert left(told) == 2000


def test_another_figure_says_nothing_of_what_may_come_at_once():
    """If what remains is not told either."""
    told = Told(Learnt())
    hear(told, said(limit=3000.0))
    hear(told, said(limit=6000.0))
    assert [left(told), left(told, now=1000.0)] == [10, 20]
    hear(told, said(limit=1.0))
    assert left(told, now=1000.0) == 1


def test_what_was_sent_since_is_taken_off():
    """An answer knows what was left when its request came."""
    told = Told(Learnt())
    hear(told, said(remaining=100.0), permit=a_permit(10), charged=(14, Need()))
    assert left(told) == 96
    permit = a_permit(10, need=Need(5, 5), reserved=Need(1000, 200))
    charged = 14, Need(1300, 350)
    hear(told, said("tokens", 9000.0, remaining=5000.0), permit=permit, charged=charged)
    hear(told, said("output_tokens", 900.0, remaining=500.0), permit=permit, charged=charged)
    assert [left(told, "tokens"), left(told, "output_tokens")] == [5000 - 450, 500 - 150]


def test_what_remains_of_nobody_knows_what_is_left_out():
    """A limit of which no figure was ever told cannot be kept; of one that was, it is learnt."""
    told = Told(Learnt())
    assert hear(told, said(limit=None, remaining=5.0)) == []
    assert told.limits == {}
    hear(told, said(remaining=300.0))
    hear(told, said(limit=None, remaining=5.0))
    assert [left(told), told.limits["requests", 60.0].figure] == [5, 500]


def test_a_changed_limit_is_followed():
    """Half or twice as many flow in from then on."""
    told = Told(Learnt())
    hear(told, said(limit=600.0, remaining=0.0))
    hear(told, said(limit=1200.0))
    assert left(told, now=1.0) == pytest.approx(0.99 * 20)


def test_it_is_remembered():
    """The next line of that model begins with it: with a moment's worth, as none knows the rest."""
    learnt = Learnt()
    hear(Told(learnt), said(limit=3000.0, remaining=3000.0))
    assert learnt.limits == {("requests", 60.0): 3000.0}
    again = Told(learnt)
    assert left(again) == 10
    assert hear(again, said(limit=3000.0, remaining=2500.0)) == []
    assert left(again) == 2500


def test_not_every_answer_is_read():
    """One in a twentieth of a second says as much as all."""
    told = Told(Learnt())
    assert told.is_due(0.0) is True
    hear(told, now=10.0)
    assert [told.is_due(10.04), told.is_due(10.05)] == [False, True]


@pytest.mark.parametrize(
    ("remaining", "scarce"), [(499.0, 0), (251.0, 0), (250.0, 1), (-5.0, 1), (None, 1)]
)
def test_only_what_is_scarce_is_counted(remaining, scarce):
    """Of what is hardly used nothing can run out before it is told again."""
    told = Told(Learnt())
    hear(told, said(remaining=remaining))
    assert len(told.scarce) == scarce


def test_what_was_ample_may_be_scarce_when_it_is_told_again():
    """And the other way round."""
    told, counted = Told(Learnt()), []
    for remaining in (400.0, 100.0, 300.0, None):
        hear(told, said(remaining=remaining))
        counted.append(len(told.scarce))
    assert counted == [0, 1, 0, 1]


def test_what_another_has_learnt_is_counted_at_first():
    """Nobody knows what is left of it."""
    told = Told(Learnt(limits={("tokens", 60.0): 6000.0, ("requests", 60.0): 60.0}))
    assert [limit.left(0.0) for limit in told.scarce] == [20, 1]
