"""What the benchmarks run on: real prompts, and functions that know nothing of this package."""

import ast
import importlib
import itertools
import json
import re
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
import requests
import responses
from responses import matchers

pytestmark = pytest.mark.long
BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
KEY = "sk-planted-0123456789"
PLAIN = (
    "call_llm",
    "call_llm_or_none",
    "call_llm_in_own_session",
    "call_llm_in_shared_session",
)


@pytest.fixture
def legacy(monkeypatch):
    """The module as a script beside it imports it, its endpoint set only afterwards."""
    monkeypatch.syspath_prepend(BENCHMARKS)
    monkeypatch.delitem(sys.modules, "legacy", raising=False)
    for name in ("OPENAI_BASE_URL", "OPENAI_API_KEY", "OPENAI_MODEL", "SEARCH_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    module = importlib.import_module("legacy")
    monkeypatch.setenv("OPENAI_BASE_URL", "http://llm.test/v1")
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setenv("OPENAI_MODEL", "m")
    monkeypatch.setenv("SEARCH_BASE_URL", "http://search.test")
    yield module
    module.session.close()


@pytest.fixture
def web():
    with responses.RequestsMock() as mock:
        yield mock


def chat(*messages):
    """What a request must be like to be answered."""
    return [
        matchers.json_params_matcher({"model": "m", "messages": list(messages)}),
        matchers.header_matcher({"Authorization": f"Bearer {KEY}"}),
    ]


def answer(text):
    return {"choices": [{"message": {"role": "assistant", "content": text}}]}


def test_there_are_a_thousand_prompts_of_many_lengths():
    """Every id and every prompt is there once, each a text of its own length."""
    with (BENCHMARKS / "prompts.jsonl").open(encoding="utf-8") as file:
        prompts = [json.loads(line) for line in file]

    assert {tuple(prompt) for prompt in prompts} == {("id", "prompt")}
    assert len(prompts) == 1000
    assert len({prompt["id"] for prompt in prompts}) == 1000
    assert len({prompt["prompt"] for prompt in prompts}) == 1000
    assert len({len(prompt["prompt"]) for prompt in prompts}) > 300


def test_the_legacy_functions_know_nothing_of_this_package():
    """They import the standard library and requests, and nothing else."""
    tree = ast.parse((BENCHMARKS / "legacy.py").read_text(encoding="utf-8"))
    imported = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            imported.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            imported.add(node.module)

    assert imported == {"__future__", "os", "requests", "typing"}


@pytest.mark.parametrize("name", PLAIN)
def test_a_prompt_is_sent_as_it_is(legacy, web, name):
    """The last user message is the prompt; what comes back is the model's text."""
    url = "http://llm.test/v1/chat/completions"
    web.post(url, json=answer("4"), match=chat({"role": "user", "content": "2+2?"}))

    assert getattr(legacy, name)("2+2?") == "4"


@pytest.mark.parametrize("name", [name for name in PLAIN if name != "call_llm_or_none"])
def test_an_error_is_raised(legacy, web, name):
    """A bad status is an HTTPError of requests."""
    web.post("http://llm.test/v1/chat/completions", status=500)

    with pytest.raises(requests.HTTPError):
        getattr(legacy, name)("2+2?")


def test_an_error_is_swallowed_where_tutorials_swallow_it(legacy, web, capsys):
    """What went wrong is printed, and None returned."""
    web.post("http://llm.test/v1/chat/completions", status=500)

    assert legacy.call_llm_or_none("2+2?") is None
    assert capsys.readouterr().out == (
        "Error calling the API: 500 Server Error: Internal Server Error "
        "for url: http://llm.test/v1/chat/completions\n"
    )


def test_an_answer_is_made_of_what_was_found(legacy, web):
    """Search at one host, then ask at another: the question stays the last user message."""
    web.get(
        "http://search.test/search",
        json={"results": [{"title": "A", "snippet": "a"}, {"title": "B", "snippet": "b"}]},
        match=[matchers.query_param_matcher({"q": "who?"})],
    )
    context = "Answer from these search results.\n\nA\na\n\nB\nb"
    web.post(
        "http://llm.test/v1/chat/completions",
        json=answer("me"),
        match=chat({"role": "system", "content": context}, {"role": "user", "content": "who?"}),
    )

    assert legacy.answer_with_search("who?") == "me"


@pytest.fixture(scope="module")
def answering(beside):
    return beside("answering")


@pytest.fixture(scope="module")
def transport(beside):
    return beside("transport")


@pytest.fixture
def url(answering):
    with answering.answering() as url:
        yield url


class Wire:
    """What a connection of the server has written."""

    def __init__(self):
        self.written = []
        self.write = self.written.append


def ask(path, body=b"{}"):
    head = f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


def test_both_shapes_of_an_answer_say_the_same(answering, url):
    """With a length or in compressed chunks: the JSON is one, and only the framing differs."""
    plain, gzipped = (requests.post(url + path, json={"a": 1}) for path in ("/plain", "/gzip"))

    assert plain.json() == gzipped.json()
    assert plain.json()["choices"][0]["message"]["content"] == answering.TEXT
    assert plain.json()["usage"]["total_tokens"] == 169
    assert 900 < len(plain.content) < 1100
    assert plain.headers.pop("Content-Length") == str(len(plain.content))
    assert gzipped.headers.pop("Content-Encoding") == "gzip"
    assert gzipped.headers.pop("Transfer-Encoding") == "chunked"
    assert plain.headers == gzipped.headers
    assert len(plain.headers) == 16


def test_no_two_answers_in_a_row_are_the_same(url):
    """Ids and counters differ, so that nothing is gained by remembering an answer."""
    first, second = (requests.post(url + "/plain", json={}) for _ in range(2))

    assert first.headers["x-request-id"] != second.headers["x-request-id"]
    assert first.json()["id"] != second.json()["id"]


def test_a_request_is_answered_once_it_is_all_there(answering):
    """However head and body are split, the answer comes with the last byte, and comes once."""
    wire = Wire()
    connection = answering.Answering({b"/plain": itertools.cycle([b"answer"])})
    connection.connection_made(wire)
    *others, last = (
        bytes([byte]) for byte in ask("/plain", b"\r\n\r\nPOST /plain HTTP/1.1\r\n\r\n")
    )

    for byte in others:
        connection.data_received(byte)
    assert wire.written == []
    connection.data_received(last)
    assert wire.written == [b"answer"]


def test_requests_that_come_together_are_all_answered(url):
    """A body is no request, and what follows it is one: in its turn, on the same connection."""
    host, _, port = url.removeprefix("http://").partition(":")
    with socket.create_connection((host, int(port)), timeout=60) as sock:
        sock.sendall(ask("/plain", b"x" * 100_000) + ask("/elsewhere") + ask("/gzip"))
        sock.shutdown(socket.SHUT_WR)
        received = sock.makefile("rb").read()

    assert re.findall(rb"HTTP/1.1 (\d+)", received) == [b"200", b"404", b"200"]


def test_an_answer_takes_the_time_it_was_asked_to_take(url):
    """A delay is waited for, and is part of the query alone."""
    start = time.monotonic()
    answer = requests.post(f"{url}/plain?delay=0.05", json={})

    assert answer.status_code == 200
    assert time.monotonic() - start >= 0.05


def test_the_server_ends_with_the_one_who_started_it():
    """Also where that one ended without a word: then the output, which both held, is at its end."""
    script = (
        f"import os, sys; sys.path.insert(0, {str(BENCHMARKS)!r})\n"
        "from answering import answering\n"
        "print(answering().__enter__(), flush=True)\n"
        "os._exit(0)\n"
    )
    ended = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True
    )

    with pytest.raises(requests.ConnectionError):
        requests.post(f"{ended.stdout.strip()}/plain", json={})


def test_the_journal_is_measured_by_turns(tmp_path):
    """A row for each round, the median of their ratios, and the goal judged."""
    command = [sys.executable, BENCHMARKS / "journal.py", "--items", "200", "--rounds", "3"]
    done = subprocess.run(
        command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=True
    )
    machine, names, *rounds, verdict = done.stdout.splitlines()
    ratios = [float(row.split()[7]) for row in rounds]
    said = re.fullmatch(
        r"median ([0-9.]+) times as long with a journal, 1.10 at most: (reached|MISSED)", verdict
    )

    assert machine.startswith("200 items, 64 threads, 30 ms a call, Python ")
    assert names.split()[:4] == ["round", "without", "with", "ratio"]
    assert [row.split()[0] for row in rounds] == ["1", "2", "3"]
    assert float(said[1]) == sorted(ratios)[1]
    assert (said[2] == "reached") is (float(said[1]) <= 1.1)
    assert [*tmp_path.iterdir()] == []


def test_the_transport_is_measured_beside_the_other_ways():
    """A row for each way and each shape, the latency's rows, and each goal judged."""
    command = [sys.executable, BENCHMARKS / "transport.py", "--quick", "--threads", "8"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=True)
    machine, *tables = done.stdout.split("\n\n")
    names = [re.split(r"  +", row)[0] for table in tables for row in table.splitlines()]
    everyone = [
        "way",
        "requests.post, ThreadPoolExecutor",
        "session per thread, ThreadPoolExecutor",
        "threadllm, same function",
        "urllib3 pool",
        "http.client per thread",
        "aiohttp, one session",
    ]

    assert re.fullmatch(
        r"\d+ cores, \w+, \w+ 3[.\w+]+, threadllm \S+, requests \S+, urllib3 \S+, aiohttp \S+",
        machine,
    )
    assert [re.sub("[0-9,]+ answers", "N answers", name) for name in names] == [
        "Content-Length, no latency, 8 at a time, rounds: 2",
        *everyone,
        "The server gives N answers a second at least.",
        "chunked gzip, no latency, 8 at a time, rounds: 2",
        *everyone,
        "The server gives N answers a second at least.",
        "Content-Length, 200 ms latency, 100 at a time, 200 requests, ideally 0.40 s",
        *("way", everyone[3], everyone[6], everyone[1]),
        "Verdicts",
        "what",
        "Content-Length: threadllm over requests.post, ThreadPoolExecutor",
        "Content-Length: threadllm over session per thread, ThreadPoolExecutor",
        "Content-Length: share of the server's limit that the fastest took",
        "chunked gzip: threadllm over requests.post, ThreadPoolExecutor",
        "chunked gzip: threadllm over session per thread, ThreadPoolExecutor",
        "chunked gzip: share of the server's limit that the fastest took",
        "200 ms latency: threadllm's wall time over aiohttp's",
    ]
    assert all(row.endswith("reached") for row in tables[-1].splitlines()[2:])


def series_of(transport, **seconds):
    """What contenders took for 100 requests a round."""
    contenders = {name: getattr(transport, name) for name in seconds}
    return {
        contender: transport.Series(contender, [transport.Turn(100, wall, 0.1) for wall in walls])
        for contender, walls in zip(contenders.values(), seconds.values(), strict=True)
    }


def test_throughput_is_judged_by_medians(transport):
    """Times the one and the other goal, and no more than half of what the server gives."""
    series = series_of(
        transport, REQUESTS=[5, 5, 1], SESSION=[3.4, 9, 1], THREADLLM=[1, 0.1, 7], AIOHTTP=[0.5]
    )

    verdicts = transport.throughput_verdicts("x", series, most=400)
    assert [(verdict.figure, verdict.reached) for verdict in verdicts] == [
        ("5.00 x", True),
        ("3.40 x", False),
        ("50%", True),
    ]


@pytest.mark.parametrize(("wall", "reached"), [(2.0, True), (2.1, False)])
def test_latency_is_judged_beside_asyncio(transport, wall, reached):
    """No slower than aiohttp, by the medians."""
    series = series_of(transport, THREADLLM=[wall, 1, 9], AIOHTTP=[2, 1, 9])

    assert transport.latency_verdict(series).reached is reached


def test_each_round_begins_with_another_contender(transport):
    """Each takes its turn once a round, and none is always the first."""
    taken = []

    def take(contender):
        taken.append(contender)
        return transport.Turn(1, 1, 1)

    transport.in_turns("abc", 4, take)
    assert taken == [*"abc", *"bca", *"cab", *"abc"]


def test_answers_that_are_not_the_server_s_do_not_count(transport, beside):
    """A way that is fast because it asks nothing is no contender."""
    cheat = beside("contenders").Contender("cheat", lambda url, count, at_a_time: [""] * count)

    with pytest.raises(RuntimeError, match="cheat: not the answers that the server gave"):
        transport.take_turn(cheat, "http://127.0.0.1:1", 3, 1)
