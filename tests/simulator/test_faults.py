from types import SimpleNamespace

import openai
import pytest
import requests

from tests.simulator.support import chat, chat_body, connect, read_all
from tests.support import until
from threadllm.exceptions import OptionError
from threadllm.simulator import Fault, Simulator, answer_to
from threadllm.simulator.clock import FastClock
from threadllm.simulator.faults import Rates
from threadllm.simulator.wire import Delivery


def statuses(sim, count):
    return [chat(sim, f"prompt {number}").status_code for number in range(count)]


def test_a_script_is_played_in_order():
    """The first requests get what the script says, then the usual rules hold."""
    script = [Fault(status=429, retry_after=0.05), Fault(kind="ok"), Fault(status=503)]
    with Simulator(script=script, faults=[Fault(status=500)]) as sim:
        first = chat(sim)
        assert first.headers["retry-after"] == "0.05"
        assert [first.status_code, *statuses(sim, 3)] == [429, 200, 503, 500]


def test_a_script_for_each_prompt():
    """The first requests with a prompt get what the script says for it, on any path."""
    with Simulator(script={"hello": [Fault(status=503), Fault(kind="html")]}) as sim:
        assert chat(sim, "other").status_code == 200
        assert chat(sim).status_code == 503
        search = requests.get(f"{sim.url}/search?q=hello", timeout=5)
        assert search.headers["content-type"] == "text/html; charset=utf-8"
        assert chat(sim).status_code == 200


def test_a_script_hits_what_cannot_be_read_too():
    """Every request takes its turn in the script, a path that is not there included."""
    with Simulator(script=[Fault(status=503)]) as sim:
        asked = [requests.get(f"{sim.url}/nothing", timeout=5).status_code for _ in range(2)]
    assert asked == [503, 404]


def test_a_script_can_be_replaced():
    """A script put in while running takes the place of the last; reset takes it away."""
    with Simulator(script=[Fault(status=500)] * 3) as sim:
        sim.script([Fault(status=503)] * 3)
        assert chat(sim).status_code == 503
        sim.reset()
        assert chat(sim).status_code == 200


@pytest.mark.parametrize("text", ["nan", "-5", "1e9", "", "Wed, 21 Oct 2026 07:28:00 GMT"])
def test_retry_after_is_sent_as_it_is(text):
    """A retry-after that is text goes out verbatim."""
    with Simulator(script=[Fault(status=429, retry_after=text)]) as sim:
        assert chat(sim).headers["retry-after"] == text


def test_an_error_of_ones_own():
    """Body and headers of an error can be given, an array such as Gemini's included."""
    delay = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "47s"}
    body = [{"error": {"code": 429, "details": [delay]}}]
    fault = Fault(status=429, body=body, headers={"X-Should-Retry": "true"})
    with Simulator(script=[fault]) as sim:
        response = chat(sim)
    assert (response.status_code, response.json()) == (429, body)
    assert response.headers["x-should-retry"] == "true"
    assert response.headers["content-type"] == "application/json"


@pytest.mark.parametrize("body", ["", "gone", b"\xff"])
def test_a_body_that_is_not_json(body):
    """A text or bytes are sent as they are."""
    with Simulator(script=[Fault(status=200, body=body)]) as sim:
        response = chat(sim)
        counts = sim.counts()
    assert response.content == (body.encode() if isinstance(body, str) else body)
    assert (counts.by_status, counts.answered_of("hello")) == ({200: 1}, 0)


def test_an_error_with_status_200():
    """An error in a 200 names its code, and does not count as answered."""
    with Simulator(script=[Fault(kind="error_200"), Fault(kind="error_200", status=429)]) as sim:
        responses = [chat(sim), chat(sim)]
        counts = sim.counts()
    assert [one.status_code for one in responses] == [200, 200]
    assert [one.json()["error"]["code"] for one in responses] == [502, 429]
    assert counts.answered_of("hello") == 0


def test_a_page_of_html():
    """A proxy's page comes with status 200."""
    with Simulator(script=[Fault(kind="html")]) as sim:
        response = chat(sim)
    assert (response.status_code, response.text[:15]) == (200, "<!DOCTYPE html>")


def test_reset_before_headers():
    """A reset before headers is an RST, and nothing was answered."""
    with Simulator(script=[Fault(kind="reset")]) as sim:
        with connect(sim) as sock, pytest.raises(ConnectionResetError):
            sock.recv(1)
        until(lambda: sim.counts().aborted == 1)
        assert sim.counts().by_status == {}


def test_reset_in_mid_body():
    """A reset in mid-body is an RST after half of the body."""
    with Simulator(script=[Fault(kind="reset_body", interval=0.01)]) as sim:
        with connect(sim) as sock:
            assert sock.recv(65536).startswith(b"HTTP/1.1 200 OK\r\n")
            with pytest.raises(ConnectionResetError):
                read_all(sock)
        until(lambda: sim.counts().aborted == 1)


def test_a_body_shorter_than_announced():
    """A short body ends the connection cleanly at half of what Content-Length said."""
    with Simulator(script=[Fault(kind="short_body", interval=0.01)]) as sim:
        with connect(sim) as sock:
            head, body = read_all(sock).split(b"\r\n\r\n")
        until(lambda: sim.counts().aborted == 1)
    announced = int(head.split(b"Content-Length: ")[1].split(b"\r\n")[0])
    assert len(body) == announced // 2


def test_a_body_in_drips():
    """A dripping body is the whole answer in the end."""
    with Simulator(script=[Fault(kind="body_drip", interval=0.0001)]) as sim:
        response = chat(sim)
        counts = sim.counts()
    assert response.json()["choices"][0]["message"]["content"] == answer_to("hello")
    assert counts.answered_of("hello") == 1


def test_headers_in_drips():
    """Dripping headers do not end; when the client leaves, the request is over."""
    with Simulator(script=[Fault(kind="header_drip", interval=0.001)]) as sim:
        with connect(sim) as sock:
            received = b""
            while len(received) < 40:
                received += sock.recv(1)
            assert received.startswith(b"HTTP/1.1 200 OK\r\nx-drip: ...")
        until(lambda: sim.counts().in_flight == 0)
        assert sim.counts().aborted == 1


def test_a_hang_ends_when_the_client_leaves():
    """A request that hangs is over once its client has gone."""
    with Simulator(script=[Fault(kind="hang")]) as sim:
        with connect(sim):
            until(lambda: sim.counts().in_flight == 1)
        until(lambda: sim.counts().in_flight == 0)
        assert sim.counts().aborted == 1


def test_a_hang_ends_when_the_server_stops():
    """A request that hangs does not keep the server from stopping."""
    with Simulator(script=[Fault(kind="hang")]) as sim:
        sock = connect(sim)
        until(lambda: sim.counts().in_flight == 1)
    with sock:
        assert sock.recv(1) == b""
    assert (sim.counts().aborted, sim.counts().in_flight) == (1, 0)


def test_faults_by_rate_follow_the_seed():
    """Which prompts are hit depends on the seed alone, and how many on the rate."""
    faults = [Fault(status=429, rate=0.3), Fault(status=503, rate=0.2)]
    runs = []
    for seed in (1, 1, 2):
        with Simulator(faults=faults, seed=seed) as sim:
            runs.append(statuses(sim, 60))
    assert runs[0] == runs[1] != runs[2]
    assert 10 <= runs[0].count(429) <= 26
    assert 4 <= runs[0].count(503) <= 20


def test_rates_share_out_the_requests():
    """Each fault has its stretch of the dice; what is left goes well."""
    first, second = Fault(status=429, rate=0.25), Fault(status=503, rate=0.5)
    rates = Rates([first, second])
    rolled = [rates.pick(roll) for roll in (0.0, 0.24, 0.25, 0.74, 0.75, 0.99)]
    assert rolled == [first, first, second, second, None, None]


def test_faults_through_the_sdk():
    """The openai SDK raises its own errors for what the simulator does."""
    script = [Fault(status=429), Fault(status=503), Fault(kind="reset")]
    with (
        Simulator(script=script) as sim,
        openai.OpenAI(base_url=sim.base_url, api_key="sk-x", max_retries=0) as client,
    ):
        raised = []
        for _ in script:
            with pytest.raises(openai.APIError) as caught:
                client.chat.completions.create(**chat_body())
            raised.append(caught.type)
    assert raised == [openai.RateLimitError, openai.InternalServerError, openai.APIConnectionError]


def test_a_client_that_has_left_is_a_broken_connection():
    """Where there is no connection any more, a delivery says so."""
    delivery = Delivery(SimpleNamespace(transport=None), reply=None, headers={}, clock=FastClock())
    with pytest.raises(ConnectionError, match="the client has left"):
        _ = delivery.transport


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"kind": "flood"}, "kind='flood': give one of status, hang, "),
        ({}, "status=None: give an HTTP status from 200 to 599"),
        ({"status": 99}, "status=99: give an HTTP status from 200 to 599"),
        ({"kind": "hang", "status": 500}, "status=500: kind='hang' has none, leave it out"),
        ({"kind": "ok", "body": "a"}, "body: kind='ok' has none of its own, leave it out"),
        ({"status": 429, "rate": 1.1}, "rate=1.1: give a share from 0 to 1"),
        ({"status": 429, "rate": float("nan")}, "rate=nan: give a share from 0 to 1"),
        ({"status": 429, "interval": 0}, "interval=0: give a finite number above 0"),
        ({"status": 429, "retry_after": "1\r\nx: y"}, "a header is one line"),
        ({"status": 429, "headers": {"a\n": "b"}}, "a header is one line"),
    ],
)
def test_faults_that_cannot_be(options, text):
    """A fault that makes no sense is refused, with what would do."""
    with pytest.raises(OptionError) as caught:
        Fault(**options)
    assert text in str(caught.value)


def test_rates_that_add_up_to_too_much():
    """More faults than requests are refused."""
    with pytest.raises(OptionError) as caught:
        Simulator(faults=[Fault(status=429, rate=0.6), Fault(status=503, rate=0.6)])
    assert str(caught.value) == "faults: their rates add up to more than 1, lower them"
