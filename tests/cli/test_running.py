"""`threadllm run`: requests in, answers out, in the form of OpenAI's Batch files."""

import json
import socket

import pytest

from tests.cli.conftest import records
from threadllm.simulator import Fault, Simulator, answer_to

MESSAGES = [{"role": "user", "content": "a"}]
BATCH = {
    "custom_id": "r-1",
    "method": "POST",
    "url": "/v1/chat/completions",
    "body": {"model": "m1", "messages": MESSAGES},
}
HTML = "<html><body>Bad gateway for Bearer sk-planted-0123456789 here</body></html>"


@pytest.fixture
def run(cli, write):
    """Runs `threadllm run` on lines, without retries."""

    def on(lines, *options):
        source = write("in.jsonl", "".join(json.dumps(line) + "\n" for line in lines))
        return cli("run", source, "-o", "out.jsonl", "--no-progress", "--retries", 0, *options)

    return on


@pytest.fixture
def faulty(monkeypatch):
    """A provider at which everything goes wrong in one way."""
    started = []

    def start(**fault):
        started.append(Simulator(faults=[Fault(**fault)]).__enter__())
        monkeypatch.setenv("OPENAI_BASE_URL", started[-1].base_url)
        return started[-1]

    yield start
    for simulator in started:
        simulator.__exit__()


def told(record):
    """A line of the output without what the provider makes up: ids, times, counts."""
    body = record["response"]["body"]
    return (
        record["id"],
        record["custom_id"],
        record["response"]["status_code"],
        record["error"],
        body["model"],
        body["choices"][0]["message"]["content"],
    )


def test_batch_lines_prompts_and_messages_are_sent(run, sim):
    """Each shape of line is answered in OpenAI's output form; a model is given where none is."""
    lines = [BATCH, {"id": 2, "prompt": "b"}, {"id": "2", "messages": MESSAGES, "model": "m3"}]

    done = run(lines, "--model", "m2")

    assert done.status == 0
    assert sorted(map(told, records_by_line())) == [
        ("batch_req_1", "r-1", 200, None, "m1", answer_to("a")),
        ("batch_req_2", 2, 200, None, "m2", answer_to("b")),
        ("batch_req_3", "2", 200, None, "m3", answer_to("a")),
    ]
    assert {len(line["response"]["request_id"]) for line in records_by_line()} == {16}
    assert done.err.startswith("3 items: 3 ok, 0 failed -> out.jsonl\n3 requests, ")


def records_by_line():
    return records("out.jsonl")


def test_standard_input_and_output_will_do(cli, stdin, sim):
    """Lines come from stdin and go to stdout, where dashes stand."""
    stdin(json.dumps(BATCH).encode())

    done = cli("run", "-", "-o", "-")

    assert told(json.loads(done.out)) == ("batch_req_1", "r-1", 200, None, "m1", answer_to("a"))


def test_a_line_that_is_no_request_is_refused(run, sim):
    """A line without a model, or for another host, is told; nothing is sent for it."""
    elsewhere = {**BATCH, "url": "https://elsewhere.example/v1/chat/completions"}

    done = run([{"prompt": "a"}, elsewhere, BATCH | {"custom_id": 3}])

    assert done.status == 1
    assert done.err.splitlines()[:3] == [
        'refused: line 1: names no model. Add "model" to it, or give a model for all lines',
        (
            "refused: line 2: has the url 'https://else...t/completions', which does not begin "
            "with /v1/. Write a path alone, such as /v1/chat/completions"
        ),
        "1 item: 1 ok, 0 failed; 2 lines refused -> out.jsonl",
    ]
    assert sim.counts().requests == 1


def test_an_error_of_the_provider_is_a_response(run, faulty):
    """Status and body stand in the line, without the key that the body quotes."""
    faulty(status=401, body={"error": {"message": "no leave for Bearer sk-planted-0123456789"}})

    done = run([BATCH])

    [line] = records_by_line()
    assert done.status == 1
    assert "sk-planted" not in done.err
    assert line["response"]["status_code"] == 401
    assert line["response"]["body"] == {"error": {"message": "no leave for Bearer [redacted]"}}
    assert line["error"] is None


def test_an_endpoint_that_there_is_not_is_a_response(run, sim):
    """404 with the provider's words."""
    assert run([{**BATCH, "url": "/v1/nothing"}]).status == 1

    [line] = records_by_line()
    assert line["response"]["status_code"] == 404
    assert line["response"]["body"]["error"]["message"]
    assert line["error"] is None


def test_an_error_within_a_200_is_a_failure(run, faulty):
    """What came with a 200 is handed over, and counted as what it is."""
    faulty(kind="error_200", status=400)

    done = run([BATCH])

    [line] = records_by_line()
    assert (done.status, line["response"]["status_code"]) == (1, 200)
    assert line["response"]["body"]["error"]["code"] == 400


@pytest.mark.parametrize(("fault", "status"), [({"kind": "html"}, 200), ({"status": 502}, 502)])
def test_a_page_instead_of_json_is_an_error_with_its_beginning(run, faulty, fault, status):
    """The status is kept, there is no body, and the error quotes the page without keys."""
    faulty(**fault, body=HTML)

    done = run([BATCH])

    assert done.status == 1
    assert [(line["response"], line["error"]) for line in records_by_line()] == [
        (
            {
                "status_code": status,
                "request_id": records_by_line()[0]["response"]["request_id"],
                "body": None,
            },
            {
                "code": "invalid_body",
                "message": (
                    f"status {status}, but no JSON; it begins: "
                    f"{HTML.replace('sk-planted-0123456789', '[redacted]')!r}"
                ),
            },
        )
    ]


def test_a_page_instead_of_json_is_tried_again(run, monkeypatch):
    """A proxy's page goes by, and the next try is answered."""
    with Simulator(script=[Fault(kind="html")]) as sim:
        monkeypatch.setenv("OPENAI_BASE_URL", sim.base_url)

        done = run([BATCH], "--retries", 1)

    assert done.status == 0
    assert told(records_by_line()[0])[2:] == (200, None, "m1", answer_to("a"))
    assert done.err.splitlines()[1] == "2 requests, 1 retry, 0 429s"


@pytest.mark.parametrize(
    "faults",
    [
        [],
        [Fault(status=404)],
        [Fault(kind="error_200", status=400)],
        [Fault(kind="html", body=HTML)],
    ],
)
def test_in_other_processes_the_lines_are_the_same(run, monkeypatch, faults):
    """The answers to what failed, too; the key is looked up there."""
    monkeypatch.setenv("PLANTED_KEY", "sk-planted-0123456789")
    lines = []
    for engine in ([], ["--engine", "processes", "--workers", 1]):
        with Simulator(api_keys=["sk-planted-0123456789"], faults=faults) as sim:
            options = ["--base-url", sim.base_url, "--api-key-env", "PLANTED_KEY", *engine]
            assert run([BATCH], *options, "--overwrite").status == bool(faults)
        [line] = records_by_line()
        response = line["response"]
        body = response["body"] or {}
        said = line["error"], body.get("choices"), body.get("error")
        lines.append((line["custom_id"], response["status_code"], *said))
    assert lines[0] == lines[1]
    assert any(lines[0][2:])


def test_where_nobody_listens_there_is_no_response(run):
    """The error's code is its type, and its text names host and port."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]

    done = run([BATCH], "--base-url", f"http://127.0.0.1:{port}/v1")

    [line] = records_by_line()
    assert done.status == 1
    assert line["response"] is None
    assert line["error"]["code"] == "requests.exceptions.ConnectionError"
    assert f"port={port}" in line["error"]["message"]
    assert "refused" in line["error"]["message"]


@pytest.mark.parametrize("base", ["{}", "{}/", "{}/v1", "{}/v1/"])
def test_a_base_url_may_end_as_it_likes(run, sim, base):
    """With or without /v1, with or without a slash, the endpoint is the same."""
    assert run([BATCH], "--base-url", base.format(sim.url)).status == 0
    assert sim.counts().by_path == {"/v1/chat/completions": 1}


def test_a_base_url_given_goes_before_that_of_the_environment(run, sim, monkeypatch):
    """--base-url wins over OPENAI_BASE_URL."""
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:9/v1")

    assert run([BATCH], "--base-url", sim.base_url).status == 0


def test_without_a_base_url_it_is_ollama(run, write, monkeypatch):
    """Nothing said, Ollama on this machine is asked; its port is tried."""
    asked = []
    monkeypatch.setattr(
        "threadllm.cli.running.join", lambda base, path: asked.append(base) or "http://127.0.0.1:9"
    )

    run([BATCH])

    assert asked == ["http://localhost:11434/v1"]


@pytest.mark.parametrize(
    "url", ["localhost:11434", "", "ftp://h/v1", "http://", "http://[::1", "http://h:70000/v1"]
)
def test_a_base_url_that_is_none_is_refused(run, sim, url):
    """It is told at once, and with an example, rather than once for each line."""
    done = run([BATCH], "--base-url", url)

    assert (done.status, done.err) == (
        2,
        f"threadllm: --base-url {url!r}: write it like http://localhost:11434/v1\n",
    )


def test_a_base_url_of_the_environment_is_told_without_its_password(run, monkeypatch):
    """The error names the variable, and hides what is secret in it."""
    monkeypatch.setenv("OPENAI_BASE_URL", "htp://me:sk-planted-0123456789@h/v1")

    assert run([BATCH]).err == (
        "threadllm: OPENAI_BASE_URL 'htp://[redacted]@h/v1': "
        "write it like http://localhost:11434/v1\n"
    )
