"""Sessions of the package's own: in a call part of it, outside plain ones."""

import copy
import pickle
import threading

import pytest
import requests
from requests.adapters import HTTPAdapter

import threadllm

from .support import call, reply, run

NO_WAIT = threadllm.Retry(wait_initial=0)


@pytest.fixture
def session():
    with threadllm.Session() as made:
        yield made


class Subclass(threadllm.Session):
    """One with an attribute and a header of its own."""

    def __init__(self):
        super().__init__()
        self.headers["X-Mine"] = "1"


@pytest.mark.parametrize("patch_requests", [True, False])
@pytest.mark.parametrize("make", [threadllm.Session, threadllm.session, Subclass])
def test_in_a_call_requests_are_paced_retried_and_recorded(serve, make, patch_requests):
    """Whether or not the dispatcher patches requests, and over its connections."""
    server = serve(reply(status=503), reply(b"well"))

    def work(_):
        with make() as session:
            return session.get(server.url, timeout=5).text

    outcomes = run(work, range(3), patch_requests=patch_requests, retry=NO_WAIT)

    assert [outcome.value for outcome in outcomes] == ["well"] * 3
    assert [len(outcome.requests) for outcome in outcomes] == [2, 1, 1]
    assert server.connections == 1


def test_outside_calls_a_session_is_plain(serve, session):
    """Nothing is retried, cookies stay, and connections are its own."""
    server = serve(reply(status=503, set_cookie="given=1"), reply(b"well"))

    assert session.get(server.url, timeout=5).status_code == 503
    assert session.get(server.url, timeout=5).text == "well"
    assert server.headers("cookie") == [None, "given=1"]
    assert server.connections == 1


def test_a_session_shared_by_calls_lends_each_its_cookies(serve, session):
    """What one call is given does not go out with another's, nor stay."""
    numbers = iter(range(100))
    server = serve(lambda _: reply(b"", set_cookie=f"given=n{next(numbers)}"))
    session.cookies.set("own", "1")

    def work(_):
        return [session.get(server.url, timeout=5).status_code for _ in range(2)]

    run(work, range(3), patch_requests=False)

    sent = server.headers("cookie")
    assert sent[::2] == ["own=1"] * 3
    assert [cookies.count("given=") for cookies in sent[1::2]] == [1] * 3
    assert session.cookies.get_dict() == {"own": "1"}


@pytest.mark.parametrize("patch_requests", [True, False])
def test_adapters_are_those_that_are_mounted(serve, patch_requests):
    """Within a call too: one that is found can be looked at, and what is mounted sends."""
    server = serve(reply(status=503), reply(b"well"))
    sent = []

    class Counting(HTTPAdapter):
        def send(self, request, **options):
            sent.append(request.url)
            return super().send(request, **options)

    def work():
        with threadllm.Session() as session:
            found = session.get_adapter(server.url)
            assert found is session.adapters["http://"]
            assert isinstance(found, HTTPAdapter)
            mounted = Counting()
            session.mount(server.url, mounted)
            assert session.get_adapter(server.url) is mounted
            return session.get(server.url, timeout=5).text

    outcome = call(work, patch_requests=patch_requests, retry=NO_WAIT)

    assert (outcome.value, outcome.error) == ("well", None)
    assert len(outcome.requests) == len(sent) == 2


def test_no_adapter_is_an_error_as_it_is_plainly(session):
    """In a call and outside."""
    with pytest.raises(requests.exceptions.InvalidSchema) as caught:
        session.get("ftp://a")

    assert str(caught.value) == "No connection adapters were found for 'ftp://a'"
    assert str(call(lambda: session.get("ftp://a")).error) == str(caught.value)


def test_a_sending_session_finds_what_sends_again_after_an_error(serve):
    """An error on the way leaves the session as it was."""
    server = serve(reply(b"well"))

    def work():
        with threadllm.Session() as session:
            with pytest.raises(requests.exceptions.InvalidSchema):
                session.get("ftp://a")
            return session.get(server.url, timeout=5).text, session.get_adapter("http://a")

    outcome = call(work)
    assert outcome.value[0] == "well"
    assert type(outcome.value[1]) is HTTPAdapter


@pytest.mark.parametrize("kind", [threadllm.Session, Subclass])
@pytest.mark.parametrize("duplicate", [copy.copy, lambda one: pickle.loads(pickle.dumps(one))])
@pytest.mark.parametrize("within", [True, False])
def test_a_session_is_pickled_and_copied_as_requests_own(serve, kind, duplicate, within):
    """The twin has its settings and its cookies, and sends."""
    server = serve(reply(b"well"))

    def work():
        with kind() as session:
            session.headers["X-Set"] = "2"
            session.cookies.set("own", "1")
            twin = duplicate(session)
        assert type(twin) is kind
        assert twin.__getstate__().keys() == requests.Session().__getstate__().keys()
        return twin.get(server.url, timeout=5).text

    assert (call(work).value if within else work()) == "well"
    assert server.headers("x-set") == ["2"]
    assert server.headers("cookie") == ["own=1"]


def test_each_thread_has_a_session_outside_calls(serve):
    """The same one each time, and another one in another thread."""
    server = serve(reply(b"well"))
    sessions = [threadllm.session(), threadllm.session()]
    thread = threading.Thread(target=lambda: sessions.append(threadllm.session()))
    thread.start()
    thread.join()
    assert [threadllm.session().get(server.url, timeout=5).text for _ in range(2)] == ["well"] * 2
    threadllm.session().close()

    assert type(sessions[0]) is threadllm.Session
    assert [session is sessions[0] for session in sessions] == [True, True, False]
    assert server.connections == 1


def test_a_session_of_a_call_is_not_the_next_ones():
    """Whatever is set on it goes with the call."""

    def work(_):
        session = threadllm.session()
        assert threadllm.session() is session
        before, session.mine = vars(session).get("mine"), 1
        return before

    assert [outcome.value for outcome in run(work, range(3))] == [None] * 3
