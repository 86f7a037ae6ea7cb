"""Keys: they are in nothing that this package writes."""

import logging

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
    assert [line for line in caplog.messages if KEY in line and "threadllm" in line] == []
    assert [one for one in caplog.records if one.name.startswith("threadllm")] == []


def test_no_key_is_in_a_url_of_a_broken_connection(serve):
    """Records of requests that never had an answer leave the query out as well."""
    server = serve(None)

    outcome = call(lambda: ask(server.url, stream=False), retry=ONCE)

    assert [record.url for record in outcome.requests] == [f"{server.url}/v1"] * 2
