import http.client
from contextlib import contextmanager
from functools import partial

import pytest
import requests
import urllib3.connection
import urllib3.connectionpool
import urllib3.response

import threadllm
from tests.transport.conftest import serve, sim
from tests.transport.support import reply

from .support import AT_ONCE, WAYS, asking, together, values

__all__ = ["serve", "sim"]

_ = threadllm.session  # the package's own class is made of requests' own, whoever comes later

_PATCHED = [  # what neighbours put their own things into
    requests,
    requests.api,
    requests.sessions,
    requests.adapters,
    requests.Session,
    requests.adapters.HTTPAdapter,
    http.client,
    http.client.HTTPConnection,
    http.client.HTTPResponse,
    urllib3.connection,
    urllib3.connection.HTTPConnection,
    urllib3.connection.HTTPSConnection,
    urllib3.connectionpool,
    urllib3.connectionpool.HTTPConnectionPool,
    urllib3.connectionpool.HTTPSConnectionPool,
    urllib3.response.HTTPResponse,
]


def _attributes():
    return {
        (owner.__name__, name): value
        for owner in _PATCHED
        for name, value in vars(owner).items()
        if not name.startswith("_abc")
    }


@pytest.fixture(autouse=True)
def _left_as_found():
    """After every test all libraries are what they were."""
    before = _attributes()
    yield
    after = _attributes()
    changed = {key for key in before | after if before.get(key) is not after.get(key)}
    assert changed == set()


@pytest.fixture(params=WAYS)
def post(request):
    """A way to post."""
    with requests.Session() as session:
        yield partial(request.param, session)


@pytest.fixture
def plain(serve):
    """A server that answers everybody "plain": it is reached by whoever passes a mock by."""
    return serve(reply(b"plain"))


@pytest.fixture(params=["before the run", "within the run"])
def beside(request, plain):
    """Starts a dispatcher beside a neighbour, which is there before it or comes while it runs.

    In the latter case each of its threads has made a request before the neighbour comes, and
    makes one after it has gone.
    """

    @contextmanager
    def started(neighbour, workers=4, post=requests.post):
        def expect_plain(pool):
            ask = together(asking(post, plain.url), workers)
            assert values(pool, ask, range(workers)) == ["plain"] * workers

        if request.param == "within the run":
            with threadllm.Dispatcher(workers, retry=AT_ONCE) as pool:
                expect_plain(pool)
                plain.requests.clear()
                with neighbour as active:
                    yield pool, active
                expect_plain(pool)
            return
        with neighbour as active, threadllm.Dispatcher(workers, retry=AT_ONCE) as pool:
            yield pool, active
        with threadllm.Dispatcher(workers, retry=AT_ONCE) as pool:
            expect_plain(pool)

    return started
