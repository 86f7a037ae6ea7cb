"""Whose connections requests go over, and what stays in force."""

import threading

import pytest
import requests
from requests.adapters import HTTPAdapter
from urllib3.poolmanager import PoolManager

import threadllm

from .support import call, reply, run, script

THREADS = 4
shared = requests.Session()


def get(url):
    return requests.get(url, timeout=5)


def post(url):
    return requests.post(url, json={}, timeout=5)


def request(url):
    return requests.request("PUT", url, timeout=5)


def in_own_session(url):
    with requests.Session() as session:
        return session.get(url, timeout=5)


def in_shared_session(url):
    return shared.get(url, timeout=5)


def in_thread_session(url):
    return threadllm.session().get(url, timeout=5)


@pytest.mark.parametrize(
    "ask", [get, post, request, in_own_session, in_shared_session, in_thread_session]
)
def test_a_thread_keeps_its_connection_from_call_to_call(serve, ask):
    """However a function asks, no more connections are opened than there are threads."""
    server = serve(reply(b"well"))
    together = threading.Barrier(THREADS)

    def work(n):
        if n < THREADS:
            together.wait(5)
        return ask(server.url).text

    outcomes = run(work, range(40), max_workers=THREADS)

    assert [outcome.value for outcome in outcomes] == ["well"] * 40
    assert server.connections == THREADS


@pytest.mark.parametrize("ask", [get, post, request, in_own_session])
def test_outside_a_dispatcher_each_opens_its_own(serve, ask):
    """Plain requests open a connection each, also while some dispatcher runs a call."""
    server = serve(reply(b"well"))
    for _ in range(3):
        assert ask(server.url).text == "well"
    assert server.connections == 3

    running, done = threading.Event(), threading.Event()
    with threadllm.Dispatcher(1) as pool:
        pool.submit(lambda: (running.set(), done.wait(5)))
        assert running.wait(5)
        for _ in range(3):
            assert ask(server.url).text == "well"
        done.set()
    assert server.connections == 6


def test_what_a_session_carries_stays_in_force(serve):
    """Headers, auth, params and hooks of the user's session go out and act."""
    server = serve(reply(b"well"))
    seen = []
    with requests.Session() as session:
        session.headers["X-Mine"] = "1"
        session.auth = ("user", "word")
        session.params = {"v": "2"}
        session.hooks["response"].append(lambda response, **_: seen.append(response.text))
        outcome = call(lambda: session.get(server.url + "/path", timeout=5).status_code)

    assert outcome.value == 200
    assert seen == ["well"]
    [sent] = server.requests
    assert sent.target == "/path?v=2"
    assert sent.headers["x-mine"] == "1"
    assert sent.headers["authorization"] == "Basic dXNlcjp3b3Jk"


class Counting(HTTPAdapter):
    """An adapter of the user's own."""

    sent = 0

    def send(self, request, **options):
        self.sent += 1
        return super().send(request, **options)


def test_an_adapter_of_the_users_own_is_used(serve):
    """It does the exchanges, and still the request is tried again and put on record."""
    server = serve(reply(status=503), reply(b"well"))
    adapter = Counting()
    with requests.Session() as session:
        session.mount(server.url, adapter)
        outcome = call(
            lambda: session.get(server.url, timeout=5).text,
            retry=threadllm.Retry(wait_initial=0),
        )

    assert (outcome.value, adapter.sent) == ("well", 2)
    assert [record.status for record in outcome.requests] == [503, 200]


def changed_kind(adapter):
    adapter.poolmanager = type("Own", (PoolManager,), {})()


@pytest.mark.parametrize(
    "change",
    [
        lambda adapter: setattr(adapter, "send", adapter.send),
        lambda adapter: adapter.init_poolmanager(10, 10, source_address=("127.0.0.1", 0)),
        lambda adapter: (
            adapter.poolmanager.pool_classes_by_scheme.copy()
            and setattr(adapter.poolmanager, "pool_classes_by_scheme", {"http": Pool})
        ),
        changed_kind,
    ],
)
def test_an_adapter_with_settings_of_its_own_is_kept(serve, change):
    """Whatever was changed about a plain HTTPAdapter, its own connections are used."""
    server = serve(reply(b"well"))
    with requests.Session() as session:
        adapter = session.get_adapter(server.url)
        change(adapter)
        outcome = call(lambda: session.get(server.url, timeout=5).text)
        used = len(adapter.poolmanager.pools)

    assert (outcome.value, used) == ("well", 1)


class Pool(PoolManager().pool_classes_by_scheme["http"]):
    """A connection pool of the user's own."""


def test_a_larger_pool_is_kept_and_a_plain_one_is_not():
    """An adapter that is as requests makes it gives way to the thread's; any other does not."""
    with requests.Session() as session:
        session.mount("http://a", HTTPAdapter(pool_maxsize=20))
        session.mount("http://b", HTTPAdapter())
        outcome = call(lambda: (session.get_adapter("http://a/").poolmanager, adapter_of(session)))
        larger = session.get_adapter("http://a/").poolmanager
        plain = session.get_adapter("http://b/").poolmanager

    assert outcome.value[0] is larger
    assert outcome.value[1] is not plain


def adapter_of(session):
    return session.get_adapter("http://b/").poolmanager


def test_an_adapter_shows_what_the_one_within_has():
    """Code that looks at a session's adapter finds the attributes it knows, and no others."""

    def look():
        adapter = shared.get_adapter("http://a/")
        return adapter.max_retries.total, hasattr(adapter, "_none"), hasattr(adapter, "none")

    assert call(look).value == (0, False, False)


def test_a_session_closed_within_a_call_leaves_the_dispatchers_connections_alone(serve):
    """Closing a session closes what is its own, and it can be used again."""
    server = serve(reply(b"well"))

    def ask(close):
        session = threadllm.session()
        text = session.get(server.url, timeout=5).text
        if close:
            session.close()
        return text

    outcomes = run(ask, [False, True, False, False])

    assert [outcome.value for outcome in outcomes] == ["well"] * 4
    assert server.connections == 1


def test_an_idle_connection_that_the_server_closed_is_replaced(serve):
    """A fresh connection is opened, and no item is lost."""
    server = serve(reply(b"well", connection="close"))

    outcomes = run(lambda _: get(server.url).text, range(3))

    assert [outcome.value for outcome in outcomes] == ["well"] * 3
    assert server.connections == 3


def test_a_plain_request_beside_the_calls_is_not_recorded(serve):
    """A thread that the function starts belongs to no call, unless it takes its context along."""
    server = serve(script(reply(b"well")))

    def ask():
        thread = threading.Thread(target=get, args=(server.url,))
        thread.start()
        thread.join()

    assert call(ask).requests == ()
    assert len(server.requests) == 1


def test_what_a_call_leaves_behind_sends_plainly_after_it(serve):
    """A response knows what it came over, also when its call and the dispatcher have ended."""
    server = serve(reply(b"well"))
    response = call(lambda: requests.get(server.url)).value

    assert response.connection.send(response.request).text == "well"
    assert len(server.requests) == 2


def test_an_exchange_that_is_broken_off_by_force_gives_its_slot_back():
    """What ends programs may be raised anywhere: the item has it, and the next one its slot."""

    class Adapter(HTTPAdapter):
        def send(self, *args, **options):
            raise KeyboardInterrupt

    def work(_):
        with requests.Session() as session:
            session.mount("http://", Adapter())
            session.get("http://host/")

    outcomes = run(work, range(3))

    assert [type(outcome.error) for outcome in outcomes] == [KeyboardInterrupt] * 3
    assert [len(outcome.requests) for outcome in outcomes] == [1, 1, 1]
