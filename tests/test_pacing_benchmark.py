"""What the benchmark of pacing reckons with: ideals, questions, fast time, verdicts, its table."""

import importlib
import re
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests

from threadllm.simulator import Limits, Simulator

pytestmark = pytest.mark.long
BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
ORIGINS = "two origins, 500 and 1,000 requests a minute, burst 20, unknown; 429s say how long"


@pytest.fixture(scope="module")
def scenarios(beside):
    return beside("pacing_scenarios")


@pytest.fixture(scope="module")
def contenders(beside):
    return beside("pacing_contenders")


@pytest.fixture(scope="module")
def turns(beside):
    return beside("pacing_turns")


@pytest.fixture(scope="module")
def pacing(beside):
    return beside("pacing")


def ideal_of(scenarios, limits, items=3000, at_a_time=64, *, varied=False):
    questions = scenarios.questions("http://llm.test", items, varied=varied)
    return scenarios.ideal(limits, questions, at_a_time)


def test_a_rate_s_ideal_is_its_burst_and_what_flows_in(scenarios):
    """The burst costs no time, each item after it its share of a minute, the last its latency."""
    limits = Limits(requests_per_minute=500, burst=20)

    assert ideal_of(scenarios, limits) == pytest.approx(2980 / 500 * 60 + 1)


def test_a_rate_without_a_burst_of_its_own_has_a_minute_s_worth(scenarios):
    """So the simulator keeps it."""
    assert ideal_of(scenarios, Limits(requests_per_minute=500)) == pytest.approx(301)


def test_an_ideal_follows_limits_that_move(scenarios):
    """What flows in is added up over each span, the last of which never ends."""
    limits = Limits(requests_per_minute=500, burst=20, moves=((120, 0.5), (240, 1.0)))

    # 1,020 after 120 s, 1,520 after 240 s, and 1,480 more at 500 a minute
    assert ideal_of(scenarios, limits) == pytest.approx(240 + 1480 / 500 * 60 + 1)


@pytest.mark.parametrize(("items", "moment"), [(20, 0), (1020, 120), (1270, 180), (1520, 240)])
def test_the_last_of_an_amount_starts_when_all_before_it_have(scenarios, items, moment):
    """At once within the burst, and at the ends of spans just then."""
    moves = ((120, 0.5), (240, 1.0))

    assert scenarios.last_start(items, 500, 20, moves) == pytest.approx(moment)


@pytest.mark.parametrize(("at_a_time", "ideal"), [(128, 150), (10, 300)])
def test_the_ideal_of_a_limit_on_concurrency_shares_the_latencies(scenarios, at_a_time, ideal):
    """Among the provider's places, or the threads where these are fewer."""
    limits = Limits(concurrency=20)

    assert ideal_of(scenarios, limits, at_a_time=at_a_time) == pytest.approx(ideal)


def test_one_item_takes_its_latency(scenarios):
    """However many places and tokens there are."""
    assert ideal_of(scenarios, Limits(requests_per_minute=500), items=1) == pytest.approx(1)


def test_the_ideal_of_tokens_counts_what_is_charged(scenarios):
    """A minute's worth at once, the rest as it flows in."""
    questions = scenarios.questions("http://llm.test", 1000, varied=True)
    charged = sum(question.tokens for question in questions)
    limits = Limits(tokens_per_minute=60_000)

    assert scenarios.ideal(limits, questions, 64) == pytest.approx((charged - 60_000) / 1000 + 1)


def test_lengths_vary_tenfold(scenarios):
    """Those of prompts and of answers do, and not together."""
    questions = scenarios.questions("http://llm.test", 1000, varied=True)
    prompts = [len(question.prompt) for question in questions]
    answers = [question.most for question in questions]

    assert (min(prompts), max(prompts)) == (400, 4000 - 4)
    assert (min(answers), max(answers)) == (2, 20)
    assert len({question.prompt for question in questions}) == 1000
    longer = [most for most, prompt in zip(answers, prompts, strict=True) if prompt > 1264]
    assert sum(most > 6 for most in longer) / len(longer) == pytest.approx(0.5, abs=0.05)


@pytest.mark.parametrize("varied", [False, True])
def test_questions_know_their_answers_and_what_they_cost(scenarios, contenders, varied):
    """As the simulator answers and charges them."""
    with Simulator() as simulator:
        for question in scenarios.questions(simulator.url, 12, varied=varied):
            body = {
                "model": "m",
                "messages": [{"role": "user", "content": question.prompt}],
                **({"max_tokens": question.most} if varied else {}),
            }
            answer = requests.post(f"{simulator.base_url}/chat/completions", json=body).json()
            assert question.tokens == answer["usage"]["total_tokens"]
            assert question.answer == answer["choices"][0]["message"]["content"]
            assert question.answer == contenders.ask(question)


def test_every_scenario_can_be_told_to_the_quota(scenarios):
    """What threadllm is told of limits is what they are."""
    told = {one.name: one.quota for one in scenarios.SCENARIOS if one.quota}

    assert told == {
        "known": {"concurrency": 64, "requests_per_minute": 500, "burst": 20},
        "tokens": {"concurrency": 64, "tokens_per_minute": 200_000},
    }


def test_fast_time_passes_faster(beside):
    """Its seconds are as many times as many, and what it waits for takes as much less."""
    fast = beside("fast_time").FastTime(10_000)
    began, date, real = fast.monotonic(), fast.time(), time.monotonic()

    fast.sleep(600)
    assert fast.monotonic() - began >= 600
    assert fast.time() - date >= 600
    assert time.monotonic() - real >= 0.06


def test_a_hurried_process_lives_in_fast_time():
    """Its clocks, its sleeps and its timeouts are fast, also where modules had them before."""
    script = (
        f"import sys; sys.path.insert(0, {str(BENCHMARKS)!r})\n"
        "import queue, threading, time\n"
        "from concurrent import futures\n"
        "from contextlib import suppress\n"
        "from time import monotonic, perf_counter, sleep\n"
        "from fast_time import FastTime, hurry\n"
        "hurry(FastTime(10_000))\n"
        "from time import monotonic as later\n"
        "clocks = (monotonic, perf_counter, time.time, later)\n"
        "before = [clock() for clock in clocks]\n"
        "sleep(600); time.sleep(600)\n"
        "threading.Event().wait(600)\n"
        "with suppress(queue.Empty): queue.Queue().get(timeout=600)\n"
        "with suppress(futures.TimeoutError): futures.Future().result(timeout=600)\n"
        "print(all(clock() - was > 2999 for clock, was in zip(clocks, before)))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True
    )

    assert done.stdout == "True\n"


@contextmanager
def stuck(plan):
    """Answers one question, and of several the first alone, wherever it is asked them."""
    ask = importlib.import_module("pacing_contenders").ask

    def ask_all(questions):
        texts = [ask(questions[0])]
        while len(questions) > 1:
            threading.Event().wait()
        return texts

    yield ask_all


@contextmanager
def broken(plan):
    """Cannot be used."""
    raise RuntimeError("broken")
    yield


@contextmanager
def cheating(plan):
    """Gives an answer without asking."""
    yield lambda questions: ["Answer"] * len(questions)


@pytest.mark.parametrize(
    ("opened", "ended", "failed"),
    [
        (stuck, "stopped", {2, 3}),  # a busy machine may be slow to answer even the first
        (broken, "broke off", {3}),
        (cheating, "in time", {3}),
    ],
)
def test_a_turn_ends_however_a_way_does(scenarios, contenders, turns, opened, ended, failed):
    """One that takes too long is stopped; what is not answered, or wrongly, has failed."""
    scenario = scenarios.Scenario("x", "x", (Limits(requests_per_minute=500),))
    way = contenders.Contender("x", "x", opened, hurried=False)
    turn = turns.take_turn(way, scenario, contenders.Plan(64, 1, speed=5.0), 3)

    assert turn.ended == ended
    assert turn.results[0].failed in failed
    assert (turn.core is None) is (ended != "in time")


def series_of(pacing, turns, *, over_ideal, refused, failed):
    """One way's results of 1,000 items in as many rounds as there are figures."""
    results = [
        turns.Result(100 * over, 100.0, 1000, wrong, 1000 + full, full)
        for over, full, wrong in zip(over_ideal, refused, failed, strict=True)
    ]
    ended = [turns.Turn([result], 0.5, "in time") for result in results]
    return pacing.Series("threadllm", 0, 20.0, ended)


def test_a_scenario_is_judged_by_medians_and_by_its_worst_failure(scenarios, pacing, turns):
    """Makespan and 429s within their goals, and no item failed in any round."""
    scenario = scenarios.Scenario("x", "x", (Limits(),), most=1.10, refused=0.05)
    series = series_of(
        pacing, turns, over_ideal=[1.1, 1.0, 1.3], refused=[60, 50, 90], failed=[0, 0, 1]
    )

    assert [
        (one.figure, one.goal, one.reached) for one in pacing.verdicts_on(scenario, [series])
    ] == [
        ("1.100 x", "at most 1.10 x", True),
        ("5.66%", "at most 5.0%", False),
        ("1", "none", False),
    ]


def test_where_there_is_no_goal_only_failures_are_judged(scenarios, pacing, turns):
    """What is shown without a bar is still to lose nothing."""
    scenario = scenarios.Scenario("x", "x", (Limits(),))
    series = series_of(pacing, turns, over_ideal=[9.0], refused=[900], failed=[0])

    assert [one.reached for one in pacing.verdicts_on(scenario, [series])] == [True]


def test_429s_are_counted_by_item_and_by_request(pacing, turns):
    """250 of 1,250 requests for 1,000 items are a quarter an item, and a fifth of requests."""
    series = series_of(pacing, turns, over_ideal=[1.5], refused=[250], failed=[7])

    assert pacing.row(series) == (
        *("threadllm", "1.500", "1.500 to 1.500", "150.0", "0.250", "20.00%", "7"),
        *("20", "0.50", "in time"),
    )


def test_pacing_is_measured_and_judged():
    """A row for each way, those that are not installed named as such, and each goal judged."""
    command = [
        *(sys.executable, BENCHMARKS / "pacing.py", "--items", "60", "--speed", "40"),
        *("--only", "told", "origins", "--contenders", "threadllm,more-executors"),
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=True)
    machine, *tables = done.stdout.split("\n\n")
    rows = [[re.split(r"  +", row) for row in table.splitlines()] for table in tables]

    assert re.fullmatch(
        r"\d+ cores, \w+, \w+ 3[.\w+]+, threadllm \S+, (more-executors \S+, )?requests \S+, "
        r"urllib3 \S+, aiohttp \S+",
        machine,
    )
    assert [[row[0] for row in table] for table in rows] == [
        [
            "told: 500 requests a minute, burst 20, unknown; 429s say how long to wait",
            "60 items, 64 at a time, ideally 5.8 s, rounds: 1",
            *("way", "threadllm", "more-executors"),
        ],
        [
            f"origins: {ORIGINS}",
            "60 items, 64 at a time, ideally 5.8 and 3.4 s, rounds: 1",
            *("way", "threadllm, 500/min", "threadllm, 1,000/min", "more-executors"),
        ],
        [
            *("Verdicts", "what"),
            *("told: threadllm, ideal", "told: threadllm, 429s of requests"),
            "told: threadllm, failed",
            *("origins: threadllm, 500/min, ideal", "origins: threadllm, 500/min, failed"),
            *("origins: threadllm, 1,000/min, ideal", "origins: threadllm, 1,000/min, failed"),
        ],
    ]
    assert [row[-1] for table in rows[:2] for row in table[3:]] == [
        *("in time", "not installed"),
        *("in time", "in time", "not installed"),
    ]
    assert all(row[-1].endswith("reached") for row in rows[2][2:])
