"""Retries that the user gave to an adapter are the adapter's: ours do not multiply them."""

import pytest
import requests
from requests.adapters import BaseAdapter, HTTPAdapter
from urllib3 import Retry

import threadllm

from .support import reply, run

AT_ONCE = threadllm.Retry(wait_initial=0, attempts=4)


def ask_with(policy, url):
    def work(_):
        with requests.Session() as session:
            session.mount("http://", HTTPAdapter(max_retries=policy))
            return session.get(url, timeout=5).status_code

    return run(work, retry=AT_ONCE)[0]


@pytest.mark.parametrize("total", [2, None])
def test_statuses_that_the_adapter_retries_are_its_own(serve, total):
    """When it gives up, that is final: its tries are all that is sent."""
    server = serve(reply(status=503))
    policy = Retry(total, status=2, status_forcelist=[503])

    outcome = ask_with(policy, server.url)

    assert type(outcome.error) is requests.exceptions.RetryError
    assert (len(server.requests), outcome.attempts) == (3, 1)


def test_a_status_that_the_adapter_hands_over_in_the_end_is_final_too(serve):
    """With `raise_on_status=False` the function gets the last response, once."""
    server = serve(reply(status=503))
    policy = Retry(2, status_forcelist=[503], raise_on_status=False)

    outcome = ask_with(policy, server.url)

    assert outcome.error.response.status_code == 503
    assert (len(server.requests), outcome.attempts) == (3, 1)


def test_statuses_that_the_adapter_does_not_retry_are_retried(serve):
    """`max_retries=3` is for connections that fail: a 503 is none of its business."""
    server = serve(reply(status=503), reply(b"well"))

    outcome = ask_with(3, server.url)

    assert (outcome.value, outcome.attempts, len(server.requests)) == (200, 2, 2)


def test_broken_connections_are_the_adapters_own(serve):
    """It tries as often as it was told, and nobody tries after it."""
    server = serve(lambda _: None)

    outcome = ask_with(2, server.url)

    assert type(outcome.error) is requests.exceptions.ConnectionError
    assert (len(server.requests), outcome.attempts) == (3, 1)


def test_what_the_adapter_would_not_repeat_is_repeated(serve):
    """urllib3 sends no POST again whose answer broke off: nobody has tried twice yet."""
    left = [None, reply(b"well")]
    server = serve(lambda _: left.pop(0))

    def work(_):
        with requests.Session() as session:
            session.mount("http://", HTTPAdapter(max_retries=2))
            return session.post(server.url, json={}, timeout=5).status_code

    outcome = run(work, retry=AT_ONCE)[0]

    assert (outcome.value, outcome.attempts, len(server.requests)) == (200, 2, 2)


@pytest.mark.parametrize("policy", [0, Retry(0), Retry(None), Retry(total=False)])
def test_an_adapter_without_retries_has_none_of_its_own(serve, policy):
    """However that is said, broken connections are then tried again here."""
    server = serve(reply(status=503), reply(b"well"))

    outcome = ask_with(policy, server.url)

    assert (outcome.value, outcome.attempts) == (200, 2)


def test_an_adapter_that_knows_no_retries_has_none(serve):
    """One that is not requests' own, and has no `max_retries` at all."""
    left = [503, 200]

    class Plain(BaseAdapter):
        def send(self, request, **options):
            response = requests.Response()
            response.status_code = left.pop(0)
            return response

        def close(self):
            pass

    def work(_):
        with requests.Session() as session:
            session.mount("http://", Plain())
            return session.get("http://a/").status_code

    outcome = run(work, retry=AT_ONCE)[0]

    assert (outcome.value, outcome.attempts) == (200, 2)


def test_a_429_stays_a_matter_of_pace(serve):
    """It is waited out, whatever the adapter retries."""
    server = serve(reply(status=429), reply(b"well"))

    outcome = ask_with(Retry(2, status_forcelist=[503]), server.url)

    assert (outcome.value, outcome.attempts) == (200, 1)
