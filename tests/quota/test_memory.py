from threadllm.quota import Quota, forget
from threadllm.quota.memory import Learnt, learnt


def test_it_is_kept_by_origin_and_model():
    """What is written is found again, and by nobody else."""
    learnt("https://a:443", "m").pace = 3.0
    assert learnt("https://a:443", "m") == Learnt(pace=3.0)
    assert [learnt("https://a:443", "n"), learnt("https://b:443", "m")] == [Learnt(), Learnt()]


def test_it_is_forgotten():
    """Who changes his account begins anew."""
    learnt("https://a:443", "m").size = 3
    forget()
    assert learnt("https://a:443", "m") == Learnt()


def test_a_new_quota_begins_with_it():
    """A second dispatcher of the process does not learn the same again."""
    known = learnt("https://a:443", "m")
    known.pace, known.size = 5.0, 7
    known.limits["tokens", 60.0] = 6000.0
    line = Quota(64).line("https://a:443", "m")
    told = {place: limit.figure for place, limit in line.told.limits.items()}
    assert [line.pace.meter.rate, line.origin.window.size, told] == [
        5.0,
        7,
        {("tokens", 60.0): 6000.0},
    ]


def test_what_is_only_told_is_begun_with_if_nothing_is_to_be_learnt():
    """A quota that does not adapt goes by limits, and by no pace that another has found."""
    known = learnt("https://a:443", "m")
    known.pace, known.size = 5.0, 7
    known.limits["requests", 60.0] = 60.0
    line = Quota(64, adaptive=False).line("https://a:443", "m")
    assert [line.pace.meter, line.origin.window.size, len(line.told.limits)] == [None, 64, 1]
