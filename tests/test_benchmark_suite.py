"""`python -m benchmarks`: what it measures, what it shows, and what it leaves behind."""

import argparse
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ASK_A_PEER = """
import sys
sys.path.insert(0, sys.argv[1])
from peers import PEERS, installed
from transport import take_turn
[peer] = [one for one in installed(PEERS) if one.needs == sys.argv[2]]
for path in ("/plain", "/plain?delay=0.01"):
    # It raises where an answer is not the server's.
    print(take_turn(peer, sys.argv[3] + path, 5, 2).requests)
"""


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
    storms, rest = beside("storms").STORMS, [beside("streaming").Streaming()]
    rest.append(beside("interrupts").Interrupting())
    scenarios = (*beside("scenarios").SCENARIOS, *storms, *rest, *beside("probes").PROBES)
    return {one.name: one for one in scenarios}


@pytest.fixture
def tiny(scenarios):
    """As little as can be measured."""
    return scenarios.Scale(
        rounds=1,
        seconds=0.02,
        prompt=0.01,
        call=0.01,
        waves=1,
        at_a_time=(1, 2),
        waiting=((2, 1),),
        is_quick=True,
    )


@pytest.fixture(scope="module")
def url(beside):
    with beside("answering").answering() as url:
        yield url


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
    assert "Ten calls, 0.1 s each (seconds for all, ideally 0.1)" in ended.stdout
    assert "8/8" in ended.stderr
    content = json.loads((tmp_path / "results.json").read_text())
    assert content["machine"]["cores"] > 0
    assert {"threadllm", "aiohttp"} <= content["machine"]["versions"].keys()
    assert content["server_limit"] > 0
    assert (content["quick"], content["verdicts"], content["claims"]) == (True, [], [])
    ten, latency, cpu = content["scenarios"]
    assert ten["figures"].keys() == {"threadllm, same function", "aiohttp, one session"}
    assert all(0.1 < figure < 3 for by in ten["figures"].values() for figure in by[""])
    assert latency["figures"]["threadllm, same function"].keys() == {"64"}
    assert all(0 < figure < 50 for by in cpu["figures"].values() for figure in by["64"])
    drawn = {path.name for path in tmp_path.iterdir()} - {"results.json"}
    names = ("ten-calls", "latency", "latency-cpu")
    assert drawn == {f"{name}.{kind}" for name in names for kind in ("png", "svg")}
    assert (tmp_path / "ten-calls.png").read_bytes().startswith(b"\x89PNG")


def test_contenders_that_there_are_not_are_refused(tmp_path):
    """Before anything is measured."""
    ended = bench("--quick", "--contenders", "nobody", cwd=ROOT)
    assert ended.returncode == 1
    assert ended.stderr == "--contenders: no name of theirs has such a word in it\n"


@pytest.mark.parametrize(
    ("words", "takes_part"),
    [
        ([], True),
        (["--quick"], False),
        (["--quick", "--only", "peers"], True),
        (["--quick", "--contenders", "joblib", "dspy"], True),
        (["--contenders", "threadllm"], False),
    ],
)
def test_peers_take_no_part_in_a_minutes_run(beside, monkeypatch, words, takes_part):
    """Unless something is chosen by its name."""
    suite = beside("suite")
    monkeypatch.setattr(sys, "argv", ["benchmarks", *words])
    assert suite.takes_part("joblib, threads", suite.options()) is takes_part
    assert suite.takes_part("threadllm, same function", suite.options()) is ("joblib" not in words)


def ours(contender):
    return "threadllm" in contender


@pytest.mark.long
@pytest.mark.parametrize("name", ["five-prompts", "latency"])  # all contenders, several loads
def test_every_contender_has_its_turns(every, tiny, url, name):
    """As many as were announced, under each load; each has all its answers."""
    scenario = every[name]
    seen = [*scenario.run(url, tiny, lambda _: True)]
    assert len(seen) == scenario.turns(tiny, lambda _: True)
    assert len(seen[-1]) == len(scenario.measures)
    for result in seen[-1]:
        assert [*result.figures] == [one.name for one in scenario.contenders]
        assert all(figures[0] > 0 for by in result.figures.values() for figures in by.values())
        assert len(result.loads) == len(scenario.loads(tiny))


def test_who_would_take_minutes_is_asked_for_no_more(every, tiny, scenarios, url):
    """An asyncio client that takes 4 ms for each has no turn with hundreds at a time."""
    latency = every["latency"]
    loads = [scenarios.Load("64", 64, 0.01, 64), scenarios.Load("65", 65, 0.01, 65)]
    scenario = replace(latency, loads=lambda _: loads)
    *_, (result, _) = scenario.run(url, tiny, lambda name: "httpx" in name)
    assert [[*by] for by in result.figures.values()] == [["64"]]
    assert scenario.turns(tiny, lambda name: "httpx" in name) == 1


@pytest.mark.long
@pytest.mark.parametrize(
    "name", ["item-cost", "import-time", "memory", "memory-asking", "lazy-input"]
)
def test_every_program_prints_its_figure(every, tiny, url, name):
    """As many as were announced."""
    probe = every[name]
    seen = [*probe.run(url, tiny, ours)]
    assert len(seen) == probe.turns(tiny, ours)
    [result] = seen[-1]
    assert all(by[""][0] >= 0 for by in result.figures.values())


@pytest.mark.long
def test_every_way_streams(every, tiny):
    """All of it, with a first token that comes before the last."""
    *_, (whole, first) = every["streaming"].run("", tiny, lambda _: True)
    assert (
        len(whole.figures) == len(first.figures) == every["streaming"].turns(tiny, lambda _: True)
    )
    for contender in whole.figures:
        assert whole.figures[contender][""][0] > 0
        assert 0.1 < first.figures[contender][""][0] < 60


@pytest.mark.long
def test_a_storm_is_weathered(every, tiny):
    """All items are answered, by few requests that are refused, near the ideal."""
    *_, (answered, refused, times) = every["storm"].run("", tiny, ours)
    assert answered.figures == {"threadllm": {"": [100.0]}}
    assert refused.figures["threadllm"][""][0] < 1
    assert 0.9 < times.figures["threadllm"][""][0] < 4
    assert every["pacing"].turns(tiny, ours) == 0  # it takes its time


@pytest.mark.long
def test_what_still_begins_after_ctrl_c_is_counted(beside, every, tiny, url):
    """Whoever submits all at once and waits for it runs all of it; threadllm begins no more."""
    interrupts = beside("interrupts")
    calls, seconds = interrupts.interrupted(
        interrupts.WAYS["ThreadPoolExecutor, as_completed"], f"{url}/plain?delay=0.25"
    )
    assert calls == interrupts.CALLS - interrupts.AT_A_TIME
    assert seconds > 6 * 0.25
    [(begun, ended)] = every["ctrl-c"].run(url, tiny, ours)
    assert begun.figures == {"threadllm": {"": [0]}}
    assert 0 < ended.figures["threadllm"][""][0] < 10


@pytest.mark.sdks
@pytest.mark.parametrize(
    "name", ["joblib", "requests-futures", "more-executors", "langchain-core", "litellm", "dspy"]
)
def test_every_peer_gives_the_answers(beside, url, name):
    """By its own means, of a server that takes a moment and of one that takes none.

    In a process of its own, as some leave connections open.
    """
    if not beside("machine").version_of(name):
        pytest.skip(f"{name} is not installed")
    ended = subprocess.run(
        [sys.executable, "-c", ASK_A_PEER, ROOT / "benchmarks", name, url],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ended.returncode, ended.stdout.split()[-2:]) == (0, ["5", "5"]), ended.stderr


def test_peers_that_are_not_installed_take_no_part(beside):
    """Of which tqdm is none."""
    peers = beside("peers")
    nobody = beside("contenders").Contender("x", peers.by_joblib, "no-such-distribution")
    tqdms = peers.PEERS[0]
    assert peers.installed([nobody, tqdms]) == (tqdms,)


@pytest.fixture
def figures(results):
    """Results of three rounds, by their names."""

    def of(name, **contenders):
        made = results.Result(name, name, "x", "", more_is_better=True, ideal=3.0)
        for contender, loads in contenders.items():
            for load, rounds in loads.items():
                for figure in rounds:
                    made.add(contender, load, figure)
        return {name: made}

    return of


def test_goals_are_judged_by_the_rounds_ratios(beside, figures):
    """Their median; what was not measured is not judged."""
    verdicts = beside("verdicts")
    told = {
        **figures(
            "latency",
            **{
                verdicts.OURS: {"256": [1.05, 1.5, 1.06], "1000": [2.0, 2.2, 2.3]},
                verdicts.ASYNC: {"256": [1.0, 1.5, 2.0], "1000": [2.0, 2.0, 2.0]},
            },
        ),
        **figures("memory", threadllm={"": [64, 65, 66]}),
        **figures("lazy-input", other={"": [1]}),
    }
    judged = [(one.figure, one.goal, one.reached) for one in verdicts.verdicts(told)]
    assert judged == [
        ("1.06 x", "at most 1.06 x", True),
        ("1 x", "at most 1 x", True),
        ("1.1 x", "at most 1.05 x", False),
        ("65 kB", "at most 64 kB", False),
    ]


def test_a_goal_may_be_a_least(beside, figures):
    """Of throughput."""
    verdicts = beside("verdicts")
    rates = {verdicts.OURS: {"64": [50, 49, 90]}, verdicts.BARE: {"64": [10, 10, 10]}}
    [verdict] = verdicts.verdicts(figures("throughput", **rates))
    assert (verdict.figure, verdict.goal, verdict.reached) == ("5 x", "at least 5 x", True)


def test_claims_stand_beside_what_was_found(beside, figures):
    """Only those of which all was measured."""
    verdicts = beside("verdicts")
    bare, ours, best = verdicts.BARE, verdicts.OURS, verdicts.ASYNC
    one_by_one, clients = beside("contenders").SEQUENTIAL.name, verdicts.HTTPX_CLIENTS.name
    told = {
        **figures(
            "ten-calls", **{name: {"": [3.1]} for name in (bare, ours)}, **{one_by_one: {"": [30]}}
        ),
        **figures("latency", **{bare: {"256": [2]}, best: {"256": [1]}, ours: {"256": [1.25]}}),
        **figures("memory", **{"a thread for each prompt": {"": [16]}}),
        **figures(
            "throughput",
            **{
                name: {"64": [rate]}
                for name, rate in zip(
                    (bare, ours, best, clients), (600, 3000, 8000, 40), strict=True
                )
            },
        ),
    }
    claims = dict(verdicts.claims(told))
    assert [*claims] == [*verdicts.CLAIMS]
    ten, asyncs, memory, rates = claims.values()
    assert "30.00 s one after another" in ten
    assert "+100% of the bare pool's, +25% of threadllm's" in asyncs
    assert memory.startswith("16 kB")
    assert "600 in a bare pool, 3,000 with threadllm, 8,000 with aiohttp, 40" in rates
    told.pop("ten-calls")
    assert verdicts.CLAIMS[0] not in dict(verdicts.claims(told))
    assert verdicts.claims({}) == []


def test_what_was_written_is_read_again(results, result, tmp_path):
    """The results, and all else apart."""
    results.write([result], tmp_path / "results.json", quick=True)
    about, [again] = results.read(tmp_path / "results.json")
    assert about == {"quick": True}
    assert again == result


@pytest.mark.parametrize(
    ("only", "quick", "machine", "goes_on"),
    [
        (["x"], False, "this", True),
        (None, False, "this", False),
        (["x"], True, "this", False),
        (["x"], False, "another", False),
    ],
)
def test_a_scenario_can_be_measured_once_more(
    beside, results, tmp_path, only, quick, machine, goes_on
):
    """It takes its place among the others, if they are of the same machine; that is told."""

    def made(name, figure):
        one = results.Result(name, f"Of {name}", "x", "", more_is_better=True)
        one.add("threadllm", "", figure)
        return one

    old = [made("w", 1), made("x", 2), made("y", 3)]
    path = tmp_path / "results.json"
    results.write(old, path, machine={"name": "this"}, quick=False, again=["Of w"])
    given = argparse.Namespace(only=only, quick=quick, out=tmp_path)
    new = [made("x", 4), made("z", 5)]
    found, again = beside("suite").gone_on_with(given, {"name": machine}, new)
    if goes_on:
        assert (found, again) == ([old[0], new[0], old[2], new[1]], ["Of w", "Of x", "Of z"])
    else:
        assert (found, again) == (new, [])
    path.unlink()
    assert beside("suite").gone_on_with(given, {"name": machine}, new) == (new, [])


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
    drawn = paths[1].read_text()
    for text in ["Of two", "threads"] if loads[1:] else ["Of two, 1 threads", "another"]:
        assert f"<!-- {text} -->" in drawn
