import pytest
import requests
import requests_cache

import threadllm
from tests.transport.support import reply

from .support import AT_ONCE, asking, outcomes, together, values

OPTIONS = {"backend": "memory", "allowable_methods": ["POST"]}


def echo(request):
    return reply(request.target.encode())


def post_in_session(url, **options):
    with requests.Session() as session:
        return session.post(url, timeout=5, **options)


@pytest.fixture(params=[requests.post, post_in_session], ids=["function", "session"])
def post(request):
    """A way to post that makes its session when it is called, as an installed cache needs it."""
    return request.param


def test_an_installed_cache_answers_the_second_time(beside, serve, post):
    """It keeps each item's answer; the server is asked once for each."""
    server = serve(echo)
    with beside(requests_cache.enabled(**OPTIONS), post=post) as (pool, _):
        ask = asking(post, server.url)
        first = values(pool, together(ask, 4), range(4))
        assert len(server.requests) == 4
        again = outcomes(pool, together(ask, 4), range(4))

    assert first == [outcome.value for outcome in again] == [f"/{item}" for item in range(4)]
    assert [outcome.requests for outcome in again] == [()] * 4
    assert len(server.requests) == 4


def test_a_miss_is_tried_again_and_its_last_answer_kept(beside, serve, post):
    """The transport works below the cache: a 503 is mended before anything is kept."""
    server = serve(reply(status=503), reply(b"well"))
    with beside(requests_cache.enabled(**OPTIONS), post=post) as (pool, _):
        [first] = outcomes(pool, asking(post, server.url), [0])
        [again] = outcomes(pool, asking(post, server.url), [0])

    assert (first.value, first.attempts) == ("well", 2)
    assert [record.status for record in first.requests] == [503, 200]
    assert (again.value, again.attempts, again.requests) == ("well", 1, ())
    assert len(server.requests) == 2


def test_a_session_of_its_own_is_shared_by_all_calls(serve):
    """A `CachedSession` made beforehand asks the server once for each item."""
    server = serve(echo)
    with requests_cache.CachedSession(**OPTIONS) as session:
        ask = asking(session.post, server.url)
        with threadllm.Dispatcher(4, retry=AT_ONCE) as pool:
            first = values(pool, together(ask, 4), range(4))
            again = outcomes(pool, together(ask, 4), range(4))

    assert first == [outcome.value for outcome in again] == [f"/{item}" for item in range(4)]
    assert [outcome.requests for outcome in again] == [()] * 4
    assert len(server.requests) == 4
