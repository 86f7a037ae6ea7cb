"""Rows 1 to 11 and 17: what a provider answers, and what must come of it."""

from email.utils import formatdate
from itertools import count

import pytest
import requests

from tests.transport.support import EXACT, call, get, reply, run, virtually
from threadllm import Dispatcher, Quota, Retry, RunStopped
from threadllm.cli import main

WELL = reply({"choices": [{"message": {"content": "well"}}]})
NOW = 1_700_000_000
ONCE = Retry(attempts=2, wait_initial=0)


def error(status, **fields):
    return reply({"error": {"message": "no", **fields}}, status)


def post(url):
    response = requests.post(url, json={"model": "m"}, timeout=5)
    response.raise_for_status()
    return response.text


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry_after": "7"}, 7),
        (
            {"retry_after": formatdate(NOW + 7, usegmt=True), "date": formatdate(NOW, usegmt=True)},
            7,
        ),
        ({}, 0.5),
    ],
    ids=["1: in seconds", "2: as a date", "3: without"],
)
def test_fault_01_to_03_a_429_is_a_pause_for_all(serve, headers, seconds):
    """They share one, then all succeed, and it is charged to nobody."""
    refused = reply({"error": {"message": "slow down"}}, 429, **headers)
    answers = count()
    server = serve(lambda _: refused if next(answers) < 3 else WELL)
    # What is learnt of it besides is another matter.
    options = {"max_workers": 3, "quota": Quota(3, adaptive=False), "retry": EXACT}
    outcomes, took = virtually(lambda _: post(server.url), range(20), **options)

    assert [one.error for one in outcomes] == [None] * 20
    assert {one.attempts for one in outcomes} == {1}
    # Time jumps once one of them waits: the others' 429s may come after that, and begin anew.
    assert seconds <= took <= 7 * seconds
    assert len(server.requests) == 23


@pytest.mark.parametrize(
    "fields",
    [
        {"type": "insufficient_quota", "code": "insufficient_quota"},
        {"type": "insufficient_quota", "code": None},
        {"type": None, "code": "insufficient_quota"},
    ],
    ids=["both", "null code", "null type"],
)
@pytest.mark.parametrize("status", [402, 429], ids=["11: 402", "4: 429"])
def test_fault_04_and_11_no_credit_stops_the_run(serve, tmp_path, fields, status):
    """What is done is kept; with credit the run goes on, and pays for nothing twice."""
    server = serve(WELL, WELL, error(status, **fields))
    journal, seen = tmp_path / "run.db", []
    with Dispatcher(1) as pool, pytest.raises(RunStopped):
        seen.extend(pool.outcomes(lambda _: post(server.url), range(50), journal=journal))
    assert [one.ok for one in seen].count(True) == 2
    assert len(server.requests) == 3

    again = serve(WELL)
    with Dispatcher(4) as pool:
        seen = list(pool.outcomes(lambda _: post(again.url), range(50), journal=journal))
    assert all(one.ok for one in seen)
    assert len(again.requests) == 48


@pytest.mark.parametrize("named", ["3600", "1e9", "nan", "inf", "-5", "", "soon", "1" * 400])
def test_fault_05_a_wait_without_sense_is_capped_or_ignored(serve, named):
    """No crash, and no wait for ever."""
    server = serve(reply(b"", 429, retry_after=named), WELL)
    outcomes, took = virtually(lambda _: post(server.url), retry=EXACT)

    assert outcomes[0].ok
    assert took <= 300


def test_fault_05_above_the_users_limit_the_run_stops(serve):
    """And says when to come back."""
    server = serve(WELL, reply(b"", 429, retry_after="3600"))
    seen = []
    policy = Retry(retry_after_stop=600)
    with Dispatcher(1, retry=policy) as pool, pytest.raises(RunStopped) as stopped:
        seen.extend(pool.outcomes(lambda _: post(server.url), range(50)))

    assert [one.ok for one in seen] == [True, False]
    assert len(server.requests) == 2
    assert "The provider asks to wait 3600 s: run again after that." in str(stopped.value)


def test_fault_06_a_wait_in_the_body_is_kept(serve):
    """Gemini's is an array, with RetryInfo among the details."""
    info = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "17s"}
    body = [{"error": {"code": 429, "status": "RESOURCE_EXHAUSTED", "details": [info]}}]
    server = serve(reply(body, 429), WELL)
    outcomes, took = virtually(lambda _: post(server.url), retry=EXACT)

    assert (outcomes[0].ok, took) == (True, 17)


def test_fault_07_an_error_in_the_body_of_a_200_is_that_error(serve):
    """A 502 there is retried; a 400 fails the item, whatever the function makes of it."""
    server = serve(error(200, code=502), WELL)
    assert (call(lambda: post(server.url), retry=Retry(wait_initial=0)).attempts) == 2
    failed = call(lambda: post(serve(error(200, code=400)).url))

    assert not failed.ok
    assert failed.attempts == 1


@pytest.mark.parametrize("status", [500, 502, 503, 504, 529, 408, 409, 425])
def test_fault_08_and_09_what_passes_is_retried(serve, status):
    """With growing waits; each try is charged to the item."""
    server = serve(*[reply(b"", status)] * 3, WELL)
    outcomes, took = virtually(lambda _: post(server.url), retry=EXACT)

    assert (outcomes[0].ok, outcomes[0].attempts) == (True, 4)
    assert took == 0.5 + 1 + 2


def test_fault_08_in_an_outage_few_ask(serve):
    """The breaker opens, some find out when it is over, and no item is lost."""
    asked = count()
    server = serve(lambda _: reply(b"", 503) if next(asked) < 150 else WELL)
    outcomes, _ = virtually(lambda _: post(server.url), range(300), max_workers=32)

    assert sum(one.ok for one in outcomes) >= 290
    assert len(server.requests) <= 150 + 300 + 32


@pytest.mark.parametrize("status", [401, 403])
def test_fault_10_a_key_that_is_revoked_stops_the_run(serve, status):
    """After the requests in flight."""
    asked = count()
    server = serve(lambda _: WELL if next(asked) < 5 else error(status))
    seen = []
    with Dispatcher(4) as pool, pytest.raises(RunStopped) as stopped:
        seen.extend(pool.outcomes(lambda _: post(server.url), range(1000)))

    assert sum(one.ok for one in seen) == 5
    assert len(server.requests) <= 5 + 4
    assert str(status) in str(stopped.value)


PAGE = reply(b"<html>maintenance</html>", content_type="text/html")


def test_fault_17_a_page_in_place_of_json_is_retried(serve):
    """By a function that asks requests for the JSON; what is no page may have been paid for."""
    answers = [PAGE, reply({"value": 1}), PAGE, PAGE, reply(b"no page")]
    server = serve(*answers)
    seen = run(lambda _: requests.post(server.url, timeout=5).json(), range(3), retry=ONCE)

    assert [one.attempts for one in seen] == [2, 2, 1]
    assert seen[0].value == {"value": 1}
    assert [type(one.error) for one in seen[1:]] == [requests.JSONDecodeError] * 2
    assert "it begins: '<html>maintenance" in repr(seen[1])


def test_fault_17_a_page_in_place_of_json_is_told(serve, tmp_path, capsys):
    """With the bytes that it begins with, by the command line."""
    server = serve(PAGE)
    source, output = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    source.write_text('{"custom_id": "a", "prompt": "p", "model": "m"}\n')
    where = ["--base-url", f"{server.url}/v1", "-o", str(output), "--no-progress"]

    assert main(["run", str(source), *where, "--retries", "1"]) == 1
    assert len(server.requests) == 2
    assert "but no JSON; it begins: '<html>maintenance" in output.read_text()


def test_each_item_has_one_outcome_whatever_is_answered(serve):
    """Nothing is lost, and nothing counted twice."""
    answers = [WELL, reply(b"", 503), error(400), reply(b"<p>"), None, [WELL[:-9], None]]
    turns = count()
    server = serve(lambda _: answers[next(turns) % len(answers)])
    seen, _ = virtually(
        lambda _: get(server.url), range(120), max_workers=8, retry=Retry(attempts=2)
    )

    assert [one.index for one in seen] == [*range(120)]
    assert any(one.ok for one in seen)
    assert run(lambda _: 1)[0].value == 1
