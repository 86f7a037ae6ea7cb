from threadllm.quota import Quota, forget
from threadllm.quota.memory import Learnt, LearntOfOrigin, learnt, learnt_of


def test_it_is_kept_by_origin_and_model():
    """What is written is found again, and by nobody else."""
    learnt("https://a:443", "m").pace = 3.0
    assert learnt("https://a:443", "m") == Learnt(pace=3.0)
    assert [learnt("https://a:443", "n"), learnt("https://b:443", "m")] == [Learnt(), Learnt()]


def test_it_is_forgotten():
    """Tests begin anew."""
    learnt("https://a:443", "m").pace = 3.0
    learnt_of("https://a:443").size = 3
    forget()
    assert learnt("https://a:443", "m") == Learnt()
    assert learnt_of("https://a:443") == LearntOfOrigin()


def test_of_calls_that_name_no_origin_nothing_is_remembered():
    """They may have gone anywhere, and those of another quota elsewhere."""
    learnt("", "").pace = 3.0
    learnt_of("").size = 3
    assert [learnt("", ""), learnt_of("")] == [Learnt(), LearntOfOrigin()]


def test_another_model_changes_nothing_of_what_may_be_in_flight():
    """That is the origin's, which begins with it once."""
    quota = Quota(50)
    origin = quota.line("https://a:443", "m").origin
    learnt_of("https://a:443").size = 4
    assert quota.line("https://a:443", "n").origin is origin
    assert origin.concurrency.allowed == 32


def test_a_new_quota_begins_with_it():
    """A second dispatcher of the process does not learn the same again."""
    known = learnt("https://a:443", "m")
    known.pace, learnt_of("https://a:443").size = 5.0, 7
    known.limits["tokens", 60.0] = 6000.0
    line = Quota(64).line("https://a:443", "m")
    told = {place: limit.figure for place, limit in line.told.limits.items()}
    assert [line.pace.meter.rate, line.origin.concurrency.size, told] == [
        5.0,
        7,
        {("tokens", 60.0): 6000.0},
    ]


def test_what_is_only_told_is_begun_with_if_nothing_is_to_be_learnt():
    """A quota that does not adapt goes by limits, and by no pace that another has found."""
    known = learnt("https://a:443", "m")
    known.pace, learnt_of("https://a:443").size = 5.0, 7
    known.limits["requests", 60.0] = 60.0
    line = Quota(64, adaptive=False).line("https://a:443", "m")
    assert [line.pace.meter, line.origin.concurrency.size, len(line.told.limits)] == [None, 64, 1]
