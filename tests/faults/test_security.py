"""The security section: each of its promises end to end, over http and https."""

import logging
import pickle
import ssl

import pytest
import requests
import trustme
import urllib3

from tests.transport.support import call, reply, run
from tests.transport.wire.servers import SecureServer
from threadllm import Dispatcher, Retry, Session
from threadllm.cli import main
from threadllm.simulator import Simulator

KEY = "sk-planted-0123456789"
KEYS = {"Authorization": f"Bearer {KEY}", "x-api-key": KEY, "api-key": KEY}
ECHO = {"error": {"message": f"Incorrect API key provided: {KEY}. ?key={KEY}"}}
ONCE = Retry(attempts=2, wait_initial=0)
WELL = reply(b"well")


def ask(url, **options):
    response = requests.post(url, headers=KEYS, timeout=5, **options)
    response.raise_for_status()
    return response.text


@pytest.mark.parametrize("status", [200, 400, 429, 503])
def test_security_no_key_is_in_what_is_left_of_a_run(serve, tmp_path, caplog, status):
    """In the log, outcomes, their pickles and the journal, though the provider repeats it."""
    server = serve(reply(ECHO, status))
    journal = tmp_path / "run.db"

    def check(_):
        text = requests.post(f"{server.url}/v1?key={KEY}", headers=KEYS, timeout=5).json()["error"]
        raise ValueError(text["message"])

    retry = Retry(attempts=2, wait_initial=0, give_up_after=0)
    with (
        caplog.at_level(logging.DEBUG, logger="threadllm"),
        Dispatcher(1, on_stop="continue", retry=retry) as pool,
    ):
        [outcome] = pool.outcomes(check, ["a"], journal=journal)
    kept = b"".join(path.read_bytes() for path in tmp_path.glob("run.db*"))

    assert not outcome.ok
    assert server.headers("x-api-key")[0] == KEY
    assert b"[redacted]" in kept
    assert KEY.encode() not in kept + pickle.dumps(outcome)
    assert KEY not in repr(outcome) + caplog.text


def test_security_no_key_is_in_what_a_command_writes(serve, tmp_path, capsys, monkeypatch):
    """On the terminal, in the results, in the journal and what is shown of it."""
    server = serve(reply(ECHO, 400))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    (tmp_path / "in.jsonl").write_text('{"custom_id": "a", "prompt": "p", "model": "m"}\n')
    where = ["--base-url", f"{server.url}/v1", "-o", "out.jsonl", "--journal", "run.db"]

    assert main(["run", "in.jsonl", *where]) == 1
    assert main(["journal", "show", "run.db"]) == 0
    assert main(["journal", "export", "run.db"]) == 0
    shown = capsys.readouterr()
    written = b"".join(path.read_bytes() for path in tmp_path.iterdir())

    assert server.headers("authorization") == [f"Bearer {KEY}"]
    assert "[redacted]" in (tmp_path / "out.jsonl").read_text()
    assert KEY not in shown.out + shown.err
    assert KEY.encode() not in written


def test_security_no_key_follows_a_redirect_to_another_origin(serve):
    """Not one of the three names that keys have; to the same origin they go."""
    other = serve(WELL)
    answers = {"/away": other.url, "/on": "/end"}
    server = serve(
        lambda request: (
            reply(status=307, location=answers[request.target])
            if request.target in answers
            else WELL
        )
    )
    assert run(lambda path: ask(f"{server.url}{path}"), ["/away", "/on"])[1].value == "well"

    for name, value in KEYS.items():
        assert other.headers(name.lower()) == [None]
        assert server.headers(name.lower()) == [value] * 3


@pytest.mark.parametrize("made", [requests, Session()], ids=["requests", "Session"])
def test_security_a_netrc_overrides_no_header_of_the_code(serve, tmp_path, monkeypatch, made):
    """It is used where there is none."""
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login me password planted\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    server = serve(WELL)
    call(lambda: made.post(server.url, headers=KEYS, timeout=5))
    call(lambda: made.post(server.url, timeout=5))

    assert server.headers("authorization") == [f"Bearer {KEY}", "Basic bWU6cGxhbnRlZA=="]


def test_security_no_cookie_goes_to_the_next_item(serve):
    """Though the items share a thread and its connection."""
    server = serve(reply(b"well", set_cookie="session=of-this-item; Path=/"))
    outcomes = run(lambda _: ask(server.url), range(3))

    assert [one.value for one in outcomes] == ["well"] * 3
    assert (server.headers("cookie"), server.connections) == ([None] * 3, 1)


def test_security_a_certificate_is_asked_for_whatever_went_before(authority):
    """That one request asked for none weakens no other one to the same host."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(context)  # of somebody else's authority
    insecure = pytest.warns(urllib3.exceptions.InsecureRequestWarning)
    with SecureServer(lambda _: WELL, context=context) as server, insecure:
        lax, strict = run(lambda verify: ask(server.url, verify=verify), [False, True], retry=ONCE)

    assert lax.value == "well"
    assert isinstance(strict.error, requests.exceptions.SSLError)
    assert len(server.requests) == 1


def test_security_the_simulator_is_for_this_machine_alone():
    """It is at the loopback address, and answers to no other name: a page in a browser has one."""
    with Simulator() as simulator:
        url = f"{simulator.base_url}/models"
        for host, status in {"127.0.0.1": 200, "localhost": 200, "evil.example": 421}.items():
            answer = requests.get(url, headers={"Host": host}, timeout=5)
            assert answer.status_code == status, (host, answer.text)
        assert simulator.base_url.startswith("http://127.0.0.1:")
