"""Keys: they are in nothing that this package writes."""

import logging
import pickle

import pytest
import requests

import threadllm

from .support import call, reply

KEY = "planted-0123456789"
ONCE = threadllm.Retry(attempts=2, wait_initial=0)


def ask(url, stream):
    headers = {"Authorization": f"Bearer {KEY}", "x-api-key": KEY}
    requests.post(f"{url}/v1?key={KEY}", headers=headers, stream=stream, timeout=5)


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("status", [200, 401, 429, 503])
def test_no_key_is_in_anything_written(serve, caplog, status, stream):
    """Neither in records, errors nor logs, though the provider repeats what it was sent."""
    said = f"no good: Bearer {KEY}, ?key={KEY}, api_key={KEY}, https://u:{KEY}@a/"
    server = serve(reply(said.encode(), status))

    with caplog.at_level(logging.DEBUG, logger="threadllm"):
        outcome = call(
            lambda: ask(server.url, stream),
            retry=threadllm.Retry(attempts=2, wait_initial=0, give_up_after=0),
        )

    assert len(server.requests) in {1, 2}
    assert server.headers("x-api-key")[0] == KEY
    assert KEY not in repr(outcome.requests)
    assert KEY not in repr(outcome.error)
    assert KEY not in str(outcome.error)
    assert KEY not in repr(outcome)
    written = [one.getMessage() for one in caplog.records if one.name.startswith("threadllm")]
    assert bool(written) is (status == 429)  # what the quota makes of it
    assert [line for line in written if KEY in line] == []


def test_no_key_is_in_a_url_of_a_broken_connection(serve):
    """Records of requests that never had an answer leave the query out as well."""
    server = serve(None)

    outcome = call(lambda: ask(server.url, stream=False), retry=ONCE)

    assert [record.url for record in outcome.requests] == [f"{server.url}/v1"] * 2


def refused(url):
    return url.replace(url.rpartition(":")[2], "9")  # nobody listens there


FAILURES = {
    "refused": lambda url: ask(refused(url), stream=False),
    "status": lambda url: requests.get(f"{url}/?key={KEY}", headers=HEADERS).raise_for_status(),
    "schema": lambda url: requests.get(f"ftp://u:{KEY}@h/?key={KEY}"),
    "redirects": lambda url: requests.get(f"{url}/loop?key={KEY}", headers=HEADERS),
    "swallowed": lambda url: requests.get(f"{url}/?key={KEY}", headers=HEADERS).status_code,
    "header": lambda url: requests.get(url, headers={"x-api-key": f"{KEY}\n"}),
}
HEADERS = {"Authorization": f"Bearer {KEY}", "api-key": KEY}


@pytest.mark.parametrize("failure", FAILURES)
def test_no_key_travels_with_an_outcome(serve, failure):
    """Errors of requests hold the request, and their texts its URL: neither is pickled or shown."""
    server = serve(
        lambda request: (
            reply(status=302, location="/loop") if "loop" in request.target else reply(status=404)
        )
    )

    outcome = call(lambda: FAILURES[failure](server.url), retry=ONCE)

    assert outcome.error is not None
    assert KEY not in repr(outcome)
    data = pickle.dumps(outcome)
    assert KEY.encode() not in data
    assert type(pickle.loads(data).error) is type(outcome.error)


def test_no_key_travels_with_a_deadlines_outcome(serve):
    """Nor with the error of ours that holds the request."""
    server = serve(lambda _: [b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n"])

    outcome = call(lambda: ask(server.url, stream=False), deadline=0.2)

    assert type(outcome.error) is threadllm.DeadlineExceeded
    assert KEY not in repr(outcome)
    assert KEY.encode() not in pickle.dumps(outcome)
