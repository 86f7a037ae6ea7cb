"""The benchmark of several processes: that it measures what it says, not how fast they are."""

import time

import pytest


@pytest.fixture
def scale(beside):
    return beside("scale")


def test_a_turn_is_all_of_its_items(scale):
    """By either way; one that fails makes no figure."""
    load = scale.Load("calls", time.sleep, [0.01] * 20, 4)
    for engine in ("one process", "two processes"):
        figure = scale.take_turn(load, scale.ENGINES[engine])
        assert 0 < figure.rate < 4 / 0.01
        assert figure.cpu > 0
    with pytest.raises(RuntimeError, match="calls: not all items were done"):
        scale.take_turn(load._replace(items=[-1] * 20), scale.ENGINES["one process"])


def test_goals_are_judged_by_medians(scale, monkeypatch):
    """Ratios are those of the rounds."""
    monkeypatch.setattr(scale, "ENGINES", {"one process": {}, "two processes": {}})

    def turns(*rates):
        return [scale.Figure(rate, 1.0) for rate in rates]

    found = {
        "requests": {"one process": turns(100, 200, 300), "two processes": turns(190, 380, 300)},
        "calls of 50 ms": {"two processes": turns(2_999, 10, 9_000)},
        "a twentieth of 1 s": {"two processes": turns(60, 61, 62)},
    }
    judged = scale.verdicts(found, ideal=100)
    assert [(one.figure, one.reached) for one in judged] == [
        ("1.9", True),
        ("2,999", False),
        ("0.61", True),
    ]
