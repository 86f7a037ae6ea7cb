"""`python -m benchmarks`: what it measures, what it shows, and what it leaves behind."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def results(beside):
    return beside("results")


@pytest.fixture(scope="module")
def scenarios(beside):
    return beside("scenarios")


@pytest.fixture(scope="module")
def charts(beside):
    return beside("charts")


@pytest.fixture(scope="module")
def every(beside):
    """All scenarios, by their names."""
    return {one.name: one for one in (*beside("scenarios").SCENARIOS, *beside("probes").PROBES)}


@pytest.fixture
def tiny(scenarios):
    """As little as can be measured."""
    return scenarios.Scale(
        rounds=1, seconds=0.02, prompt=0.01, call=0.01, waves=1, at_a_time=(1, 2), waiting=(2,)
    )


def bench(*words, cwd):
    return subprocess.run(
        [sys.executable, "-m", "benchmarks", *map(str, words)],
        cwd=cwd,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.long
def test_one_command_measures_writes_and_draws(tmp_path):
    """Tables on stdout, a bar on stderr; figures with the machine, and charts, in a folder."""
    words = ["--quick", "--rounds", 2, "--only", "ten-calls", "latency"]
    ended = bench(*words, "--contenders", "threadllm", "aiohttp", "--out", tmp_path, cwd=ROOT)
    assert ended.returncode == 0, ended.stderr
    assert "The server gives " in ended.stdout
    assert "Ten calls, 0.3 s each (seconds for all, ideally 0.3)" in ended.stdout
    assert "12/12" in ended.stderr
    content = json.loads((tmp_path / "results.json").read_text())
    assert content["machine"]["cores"] > 0
    assert {"threadllm", "aiohttp"} <= content["machine"]["versions"].keys()
    assert content["server_limit"] > 0
    ten, latency = content["scenarios"]
    assert ten["figures"].keys() == {"threadllm, same function", "aiohttp, one session"}
    assert all(0.3 < figure < 3 for by in ten["figures"].values() for figure in by[""])
    assert latency["figures"]["threadllm, same function"].keys() == {"16", "256"}
    drawn = {path.name for path in tmp_path.iterdir()} - {"results.json"}
    assert drawn == {"ten-calls.png", "ten-calls.svg", "latency.png", "latency.svg"}
    assert (tmp_path / "ten-calls.png").read_bytes().startswith(b"\x89PNG")


def test_contenders_that_there_are_not_are_refused(tmp_path):
    """Before anything is measured."""
    ended = bench("--quick", "--contenders", "nobody", cwd=ROOT)
    assert ended.returncode == 1
    assert ended.stderr == "--contenders: no name of theirs has such a word in it\n"


@pytest.mark.long
@pytest.mark.parametrize("name", ["five-prompts", "latency"])  # all contenders, several loads
def test_every_contender_has_its_turns(beside, every, tiny, name):
    """As many as were announced, under each load; each has all its answers."""
    scenario = every[name]
    with beside("answering").answering() as url:
        seen = [*scenario.run(url, tiny, lambda _: True)]
    assert len(seen) == scenario.turns(tiny, lambda _: True)
    result = seen[-1]
    assert [*result.figures] == [one.name for one in scenario.contenders]
    assert all(figures[0] > 0 for by in result.figures.values() for figures in by.values())
    assert len(result.loads) == len(scenario.loads(tiny))


@pytest.mark.long
@pytest.mark.parametrize("name", ["item-cost", "import-time", "memory", "lazy-input"])
def test_every_program_prints_its_figure(every, tiny, name):
    """As many as were announced."""
    probe = every[name]
    seen = [*probe.run("", tiny, lambda contender: "threadllm" in contender)]
    assert len(seen) == probe.turns(tiny, lambda contender: "threadllm" in contender)
    assert all(by[""][0] >= 0 for by in seen[-1].figures.values())


def test_contenders_take_turns(beside, scenarios, monkeypatch, tiny):
    """Each round begins with another one."""
    order, transport = [], beside("transport")

    def take_turn(contender, url, requests, at_a_time):
        order.append(contender.name)
        return transport.Turn(requests, 1.0, 1.0)

    monkeypatch.setattr(scenarios, "take_turn", take_turn)
    scenario = next(one for one in scenarios.SCENARIOS if one.name == "ten-calls")
    names = [one.name for one in scenario.contenders]
    [*scenario.run("", replace(tiny, rounds=2), lambda _: True)]
    assert order == [*names, *names, *names[1:], names[0]]


@pytest.fixture
def result(results):
    made = results.Result("x", "Of two", "ms", "threads", more_is_better=False, ideal=1.0)
    for load in ("1", "8"):
        for figure in (3.0, 1000.0, 2.5):
            made.add("threadllm", load, figure)
    made.add("another", "1", 0.01234)
    return made


def test_a_table_shows_medians_and_how_far_the_rounds_went(result):
    """Who had no turn under a load has a dash there."""
    assert result.table().splitlines() == [
        "Of two (ms, ideally 1)",
        "                            threads 1          threads 8",
        "threadllm            3 (2.5 to 1,000)   3 (2.5 to 1,000)",
        "another     0.0123 (0.0123 to 0.0123)                  -",
    ]


@pytest.mark.parametrize("loads", [["1"], ["1", "8"]])
def test_a_chart_is_drawn_as_png_and_svg(charts, result, tmp_path, loads):
    """Bars for one load, lines for several; the SVG has the names and the units."""
    for by in result.figures.values():
        for load in {*by} - {*loads}:
            del by[load]
    paths = charts.draw(result, tmp_path)
    assert [path.name for path in paths] == ["x.png", "x.svg"]
    assert paths[1].stat().st_size > 5000
