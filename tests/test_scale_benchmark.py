"""`benchmarks/scale.py`: what several processes are good for."""

import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.mark.long
def test_it_measures_and_judges():
    """Each load by each way, with the goals."""
    ended = subprocess.run(
        [sys.executable, ROOT / "benchmarks" / "scale.py", "--quick", "--rounds", "1"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    for text in (
        "requests, 64 at a time (items a second)",
        "calls of 50 ms, 200 at a time (items a second, ideally 4,000)",
        "a twentieth of 1 s, 200 at a time (items a second, ideally 2,051)",
        "two processes: requests over one process's",
    ):
        assert text in ended.stdout


def test_a_turn_is_all_of_its_items(beside):
    """By either way; one that fails makes no figure."""
    scale = beside("scale")
    load = scale.Load("calls", time.sleep, [0.01] * 20, 4)
    for engine in ("one process", "two processes"):
        figure = scale.take_turn(load, scale.ENGINES[engine])
        assert 0 < figure.rate < 4 / 0.01
        assert figure.cpu > 0
    with pytest.raises(RuntimeError, match="calls: not all items were done"):
        scale.take_turn(load._replace(items=[-1] * 20), scale.ENGINES["one process"])


def test_verdicts_are_those_of_the_figures(beside):
    """By the rounds' ratios, and their medians."""
    scale = beside("scale")

    def turns(*rates):
        return [scale.Figure(rate, 1.0) for rate in rates]

    found = {
        "requests": {"one process": turns(10, 20, 30), "two processes": turns(20, 20, 90)},
        "calls of 50 ms": {"two processes": turns(2_000, 3_100, 9_000)},
        "a twentieth of 1 s": {"two processes": turns(500, 590, 700)},
    }
    verdicts = scale.verdicts(found, 1_000.0)
    assert [(one.figure, one.reached) for one in verdicts] == [
        ("2", True),
        ("3,100", True),
        ("0.59", False),
    ]
