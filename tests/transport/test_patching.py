"""How requests is patched: for a while, for those who want it, under mocks and over them."""

import threading
from contextlib import contextmanager
from types import FunctionType
from unittest import mock

import pytest
import requests
import requests_mock
import responses

import threadllm

from .support import call, reply, run

PLAIN = requests.Session.get_adapter
METHODS = ["get_adapter", "merge_environment_settings", "prepare_request", "rebuild_auth"]
URL = "http://llm.test/"


@pytest.fixture(autouse=True)
def _left_as_found():
    """After every test requests is what it was, to whoever looks at it."""
    seen = {name: getattr(requests.Session, name) for name in METHODS}
    before = dict(vars(requests.Session))
    yield
    for name, method in seen.items():
        assert getattr(requests.Session, name) is method
    assert dict(vars(requests.Session)) == before


@contextmanager
def running():
    """A dispatcher with a call in progress, which does whatever it is handed."""
    begun, done = threading.Event(), threading.Event()
    with threadllm.Dispatcher(2) as pool:
        pool.submit(lambda: (begun.set(), done.wait(5)))
        assert begun.wait(5)
        try:
            yield pool
        finally:
            done.set()


def get(url=URL):
    return requests.get(url, timeout=5).text


def redirecting(request):
    """The answer of a server that sends everybody to another of its pages."""
    return reply(b"well") if request.target == "/there" else reply(status=302, location="/there")


def test_outside_calls_nothing_is_changed():
    """While calls run, a session elsewhere has the adapters and cookies that it had."""
    with requests.Session() as session:
        adapters, jar = session.adapters.copy(), session.cookies
        with running():
            assert session.get_adapter("http://a/") is adapters["http://"]
            assert session.cookies is jar
            with pytest.raises(requests.exceptions.InvalidSchema):
                session.get_adapter("mailto:a")


def test_unpatched_requests_are_plain(serve):
    """With `patch_requests=False` they are neither retried nor put on record."""
    server = serve(reply(status=503), reply(b"well"))

    [outcome] = run(lambda _: requests.get(server.url, timeout=5).status_code, patch_requests=False)

    assert (outcome.value, outcome.error, outcome.requests) == (503, None, ())


def test_the_threads_session_is_paced_all_the_same(serve):
    """`threadllm.session()` has its retries, its records and the slots of its dispatcher."""
    server = serve(reply(status=503), reply(b"well"))

    [outcome] = run(
        lambda _: threadllm.session().get(server.url, timeout=5).text,
        patch_requests=False,
        retry=threadllm.Retry(wait_initial=0),
    )

    assert outcome.value == "well"
    assert [record.status for record in outcome.requests] == [503, 200]
    assert outcome.attempts == 2


def test_the_threads_session_is_plain_outside_calls(serve):
    """Nothing is retried there."""
    server = serve(reply(status=503), reply(b"well"))

    assert threadllm.session().get(server.url, timeout=5).status_code == 503
    threadllm.session().close()


def test_two_dispatchers_each_have_their_way(serve):
    """One patches and one does not, at the same time, with one session for both."""
    server = serve(reply(b"well", set_cookie="given=1"))
    together = threading.Barrier(2)

    def work(session):
        together.wait(5)
        session.get(server.url, timeout=5)
        cookies = session.cookies.get_dict()
        together.wait(5)
        return cookies

    with requests.Session() as session, threadllm.Dispatcher(1) as patched:
        with threadllm.Dispatcher(1, patch_requests=False) as unpatched:
            pools = patched.outcomes(work, [session]), unpatched.outcomes(work, [session])
            found = {}
            threads = [
                threading.Thread(target=lambda n=n: found.update({n: next(pools[n])}))
                for n in range(2)
            ]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        assert session.cookies.get_dict() == {"given": "1"}  # of the unpatched call

    assert [len(found[n].requests) for n in range(2)] == [1, 0]


@responses.activate
def test_responses_answer_where_they_were_activated_before():
    """The mock answers, and its answer is retried and put on record like any other."""
    responses.get(URL, status=503)
    responses.get(URL, body="mocked")

    outcome = call(get, retry=threadllm.Retry(wait_initial=0))

    assert outcome.value == "mocked"
    assert [record.status for record in outcome.requests] == [503, 200]


def test_responses_answer_where_they_are_activated_within_a_call():
    """A function may mock for itself."""

    def work():
        with responses.RequestsMock() as mocked:
            mocked.get(URL, body="mocked")
            return get()

    assert call(work).value == "mocked"


def test_responses_answer_where_they_are_activated_while_calls_run(serve):
    """They begin and end in the midst of a run."""
    server = serve(reply(b"well"))
    with running() as pool:
        with responses.RequestsMock() as mocked:
            mocked.get(URL, body="mocked")
            assert pool.submit(get).result() == "mocked"
        assert pool.submit(get, server.url).result() == "well"


def test_a_stream_of_responses_is_followed():
    """The mock's body is streamed, counted and done with."""

    def work():
        with responses.RequestsMock() as mocked:
            mocked.get(URL, body="one\ntwo")
            return list(requests.get(URL, stream=True, timeout=5).iter_lines())

    outcome = call(work)

    assert outcome.value == [b"one", b"two"]
    assert [record.bytes for record in outcome.requests] == [7]


def test_requests_mock_answers_before_a_run():
    """Its sessions have their own adapter, which is left alone."""
    with requests_mock.Mocker() as mocker:
        mocker.get(URL, text="mocked")
        assert call(get).value == "mocked"


def test_requests_mock_answers_within_a_run(serve):
    """It may begin within a run and end after it, on a session that outlives both."""
    server = serve(reply(b"well"))
    with requests.Session() as session, requests_mock.Mocker() as outlasting:
        outlasting.get(URL, text="outlasting")
        with running() as pool:
            mocker = requests_mock.Mocker()
            mocker.start()
            mocker.get(URL, text="mocked")
            assert pool.submit(session.get, URL).result().text == "mocked"
        mocker.stop()
        assert session.get(URL).text == "outlasting"
        outlasting.stop()
        assert session.get(server.url, timeout=5).text == "well"
        outcome = call(lambda: session.get(server.url, timeout=5).text)

    assert outcome.value == "well"


class Answering(requests.adapters.BaseAdapter):
    """Gives the same response to everybody, with no body of urllib3's."""

    def __init__(self, text="mocked"):
        super().__init__()
        self.text = text

    def send(self, request, **options):
        response = requests.Response()
        response.status_code = 200
        response.request = request
        response.url = request.url
        response._content = self.text.encode()
        return response

    def close(self):
        pass


@pytest.mark.parametrize("autospec", [True, False])
def test_a_mock_that_is_there_before_is_looked_through(autospec):
    """It answers as it does plainly, whether or not it is a function, and is there afterwards."""
    with mock.patch.object(requests.Session, "get_adapter", autospec=autospec) as get_adapter:
        get_adapter.return_value = Answering()
        outcome = call(get)
        assert requests.Session.get_adapter is get_adapter
        if not autospec:
            get_adapter.assert_called_once_with(url=URL)

    assert outcome.value == "mocked"
    assert [record.status for record in outcome.requests] == [200]


def test_a_mock_within_a_run_answers_and_goes():
    """Begun and ended while calls run, it leaves them patched as before."""
    with running() as pool:
        ours = requests.Session.get_adapter
        with mock.patch.object(requests.Session, "get_adapter", return_value=Answering()):
            assert pool.submit(get).result() == "mocked"
        assert requests.Session.get_adapter is ours


def test_a_mock_that_outlives_its_run_leaves_nothing_behind(serve):
    """It puts back what it found in the run, which is not what should be there any more."""
    server = serve(reply(b"well"))
    with mock.patch.object(requests.Session, "get_adapter") as get_adapter:
        get_adapter.return_value = Answering()
        requests.Session.get_adapter = PLAIN
        with running():
            outlasting = mock.patch.object(requests.Session, "get_adapter")
            outlasting.start().return_value = Answering("outlasting")
        assert get() == "outlasting"
        with running() as pool:
            assert pool.submit(get).result() == "outlasting"
            outlasting.stop()
            assert pool.submit(get, server.url).result() == "well"
        assert get(server.url) == "well"
        with requests.Session() as session:
            assert type(session.get_adapter("http://a/")) is requests.adapters.HTTPAdapter
    requests.Session.get_adapter = PLAIN


def test_a_mock_of_the_cookies_is_left_alone():
    """Whoever has replaced the other attribute meanwhile keeps it."""
    with running():
        patch = mock.patch.object(requests.Session, "cookies", "mocked")
        patch.start()
    assert requests.Session.cookies == "mocked"
    del requests.Session.cookies


def test_the_attributes_can_be_looked_at_while_they_are_there():
    """On the class they are what will be put back by whoever replaces them for a while."""
    with running():
        for name in (*METHODS, "cookies"):
            assert getattr(requests.Session, name) is vars(requests.Session)[name]


@pytest.mark.parametrize("name", METHODS)
def test_each_method_may_be_mocked_before_a_run(serve, name):
    """The mock is called, with what requests gives it, and is there afterwards."""
    server = serve(redirecting)
    genuine = getattr(requests.Session, name)
    calls = []

    def mocked(self, *args, **kwargs):
        calls.append(self)
        return genuine(self, *args, **kwargs)

    class Own(requests.Session):
        pass

    with mock.patch.object(requests.Session, name, mocked):
        with Own() as session:  # what is out of the ordinary is not passed by
            session.params = None
            session.proxies = None
            outcome = call(lambda: session.get(server.url, timeout=5).text)
        assert getattr(requests.Session, name) is mocked

    assert outcome.value == "well"
    assert calls
    assert {*calls} == {session}


@pytest.mark.parametrize("name", METHODS)
def test_each_method_may_be_mocked_within_a_run(serve, name):
    """Begun and ended while calls run, the mock answers for so long and no longer."""
    server = serve(redirecting)
    with running() as pool:
        ours = getattr(requests.Session, name)
        with mock.patch.object(requests.Session, name, side_effect=KeyError("mocked")):
            assert str(pool.submit(get, server.url).exception()) == "'mocked'"
        assert getattr(requests.Session, name) is ours
        assert pool.submit(get, server.url).result() == "well"


@pytest.mark.parametrize("name", METHODS)
def test_a_mock_of_any_method_may_outlive_its_run(serve, name):
    """What it puts back afterwards is not ours to whoever looks, nor to those who call."""
    server = serve(reply(b"well"))
    with running():
        outlasting = mock.patch.object(requests.Session, name)
        outlasting.start()
    outlasting.stop()

    assert get(server.url) == "well"
    assert type(getattr(requests.Session, name)) is FunctionType


def test_the_methods_are_plain_to_sessions_outside_calls(serve):
    """While calls run elsewhere, requests does all itself."""
    server = serve(reply(b"well"))
    with (
        running(),
        mock.patch("threadllm.transport.steps.preparing.PreparedRequest", side_effect=KeyError),
    ):
        assert get(server.url) == "well"


def test_a_session_class_that_was_put_in_place_of_requests_own_is_served(serve):
    """The methods are its parent's, as they were when this package was imported."""
    server = serve(reply(b"well"))
    own = type("Own", (requests.Session,), {})
    with mock.patch.object(requests, "Session", own), mock.patch("requests.sessions.Session", own):
        outcome = call(lambda: get(server.url))
        assert not {*METHODS, "cookies"} & {*vars(own)}

    assert (outcome.value, len(outcome.requests)) == ("well", 1)


def test_a_subclass_that_finds_its_adapter_itself_does(serve):
    """Its own `get_adapter` is used, whether or not it asks its parent."""
    server = serve(reply(b"well"))

    class Finding(requests.Session):
        def get_adapter(self, url):
            return super().get_adapter(url=url)

    class Answered(requests.Session):
        def get_adapter(self, url):
            return Answering()

    def work():
        with Finding() as finding, Answered() as answered:
            return finding.get(server.url, timeout=5).text, answered.get(URL).text

    outcome = call(work)

    assert outcome.value == ("well", "mocked")
    assert len(outcome.requests) == 1


def test_an_adapter_found_within_a_call_can_be_mounted(serve):
    """It carries requests once, not twice."""
    server = serve(reply(b"well"))

    def work():
        with requests.Session() as session:
            session.mount(server.url, session.get_adapter(server.url))
            return session.get(server.url, timeout=5).text

    outcome = call(work)

    assert (outcome.value, len(outcome.requests)) == ("well", 1)
