"""How long a request may take where the function does not say."""

import pytest
import requests
from requests.adapters import BaseAdapter

import threadllm
from threadllm.simulator import Fault

from .support import CHAT, call, chat_body, run


class Noting(BaseAdapter):
    """Notes the timeouts that reach it, and answers nothing."""

    def __init__(self):
        super().__init__()
        self.timeouts = []

    def send(self, request, *, timeout, **_):
        self.timeouts.append(timeout)
        response = requests.Response()
        response.status_code = 200
        return response

    def close(self):
        pass


@pytest.mark.parametrize(
    ("options", "given", "reached"),
    [
        ({}, {}, (10, 600)),
        ({"request_timeout": 5}, {}, (5, 5)),
        ({"request_timeout": (1, 2.5)}, {}, (1, 2.5)),
        ({}, {"timeout": 3}, 3),
        ({}, {"timeout": (1, None)}, (1, None)),
        ({"request_timeout": 5}, {"timeout": 3}, 3),
    ],
)
def test_the_default_stands_in_where_the_function_gives_none(options, given, reached):
    """A timeout of the function's own is kept, whatever the dispatcher's is."""
    adapter = Noting()
    with requests.Session() as session:
        session.mount("http://", adapter)
        outcome = run(lambda _: session.get("http://a/", **given), **options)[0]

    assert outcome.value.content is None
    assert adapter.timeouts == [reached]


def test_a_prepared_request_has_the_default_too():
    """`Session.send` passes no timeout on, and still there is one."""
    adapter = Noting()
    with requests.Session() as session:
        session.mount("http://", adapter)
        call(lambda: session.send(requests.Request("GET", "http://a/").prepare()))

    assert adapter.timeouts == [(10, 600)]


def test_an_answer_that_never_comes_ends(sim):
    """A provider that hangs is given up at the dispatcher's timeout, and tried again."""
    sim.script([Fault(kind="hang")])

    outcome = run(
        lambda _: requests.post(sim.url + CHAT, json=chat_body()).status_code,
        request_timeout=0.2,
        retry=threadllm.Retry(wait_initial=0),
    )[0]

    assert outcome.value == 200
    assert [record.status for record in outcome.requests] == [None, 200]


def test_a_body_that_never_comes_ends(serve):
    """The timeout holds between the bytes of the body as well."""
    server = serve(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf")

    outcome = run(
        lambda _: requests.get(server.url), request_timeout=0.2, retry=threadllm.Retry(attempts=1)
    )[0]

    assert type(outcome.error) is requests.exceptions.ConnectionError
    assert "Read timed out" in str(outcome.error)
