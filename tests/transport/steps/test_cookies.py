"""Cookies: what one call is given is its own."""

import copy
import pickle
import threading
from http.cookiejar import CookieJar, DefaultCookiePolicy

import pytest
import requests
from requests.cookies import create_cookie

import threadllm
from tests.transport.support import call, reply, run

shared = requests.Session()


@pytest.fixture
def giving(serve):
    """A server that sets another cookie with every answer."""
    numbers = iter(range(1000))
    return serve(lambda _: reply(b"well", set_cookie=f"given=n{next(numbers)}"))


@pytest.fixture
def session():
    """A session that threads share, with a cookie of its own."""
    with requests.Session() as made:
        made.cookies.set("own", "1")
        yield made


def own_session():
    return requests.Session()


def shared_session():
    return shared


@pytest.mark.parametrize("find", [own_session, shared_session, threadllm.session])
@pytest.mark.parametrize("workers", [1, 4])
def test_no_cookie_of_a_call_reaches_another(giving, find, workers):
    """Within a call the second request sends what the first was given; the next call's does not."""

    def work(_):
        session = find()
        session.get(giving.url, timeout=5)
        first = session.cookies.get("given")
        second = session.get(giving.url, timeout=5)
        return second.request.headers["Cookie"] == f"given={first}"

    outcomes = run(work, range(10), max_workers=workers)

    assert [outcome.value for outcome in outcomes] == [True] * 10
    assert giving.headers("cookie").count(None) == 10
    assert list(shared.cookies) == []


@pytest.mark.parametrize("patch_requests", [True, False])
def test_the_threads_session_keeps_no_cookie_from_call_to_call(giving, patch_requests):
    """`threadllm.session()` lends each call a jar, whether or not others are patched."""

    def work(_):
        threadllm.session().get(giving.url, timeout=5)
        return len(threadllm.session().cookies)

    outcomes = run(work, range(3), patch_requests=patch_requests)

    assert [outcome.value for outcome in outcomes] == [1, 1, 1]
    assert giving.headers("cookie") == [None] * 3


def test_the_sessions_own_cookies_go_out_with_every_call(giving, session):
    """What was set outside is sent by all and is the same after the run."""
    run(lambda _: session.get(giving.url, timeout=5), range(6), max_workers=3)

    assert giving.headers("cookie") == ["own=1"] * 6
    assert session.cookies.get_dict() == {"own": "1"}


def test_a_cookie_changed_within_a_call_is_changed_there_alone(session):
    """The call's jar holds copies, so that not even a cookie's value passes from call to call."""

    def change(_):
        [cookie] = session.cookies
        before, cookie.value = cookie.value, "changed"
        return before, session.cookies["own"]

    assert [outcome.value for outcome in run(change, range(2))] == [("1", "changed")] * 2
    assert session.cookies.get_dict() == {"own": "1"}


def test_a_jar_of_the_standard_library_serves_too(giving, session):
    """A CookieJar that is not requests' own is lent as one of its kind, with its policy."""
    policy = DefaultCookiePolicy(blocked_domains=["127.0.0.1"])
    session.cookies = CookieJar(policy)
    session.cookies.set_cookie(create_cookie("own", "1", domain="elsewhere.test"))

    def work(_):
        session.get(giving.url, timeout=5)
        return type(session.cookies), [cookie.name for cookie in session.cookies]

    assert [outcome.value for outcome in run(work, range(2))] == [(CookieJar, ["own"])] * 2
    assert giving.headers("cookie") == [None, None]


def test_what_is_no_jar_is_lent_as_a_copy(session):
    """A dict in place of a jar does what it does plainly, and no more."""
    session.cookies = {"own": "1"}

    def work(n):
        session.cookies[n] = "2"
        return dict(session.cookies)

    outcomes = run(work, "ab")

    assert [outcome.value for outcome in outcomes] == [
        {"own": "1", "a": "2"},
        {"own": "1", "b": "2"},
    ]
    assert session.cookies == {"own": "1"}


def test_a_jar_assigned_within_a_call_stays_in_it(giving, session):
    """The next call, and the code outside, find the session's own."""

    def work(n):
        session.cookies = requests.cookies.cookiejar_from_dict({"assigned": n})
        session.get(giving.url, timeout=5)

    run(work, "ab")

    assert giving.headers("cookie") == ["assigned=a", "assigned=b"]
    assert session.cookies.get_dict() == {"own": "1"}


def test_other_threads_see_nothing_of_a_call(session):
    """While a call has changed its jar, code outside reads and writes the session's own."""
    changed, looked = threading.Event(), threading.Event()

    def work():
        session.cookies.set("mine", "2")
        changed.set()
        assert looked.wait(5)
        return session.cookies.get_dict()

    with threadllm.Dispatcher(1) as pool:
        future = pool.submit(work)
        assert changed.wait(5)
        seen = session.cookies.get_dict()
        session.cookies = requests.cookies.cookiejar_from_dict({"new": "3"})
        looked.set()

    assert seen == {"own": "1"}
    assert future.result() == {"own": "1", "mine": "2"}
    assert session.cookies.get_dict() == {"new": "3"}


def test_copies_and_pickles_of_a_session_work_within_a_call(session):
    """They carry the call's cookies, as they would the session's."""

    def work():
        session.cookies.set("mine", "2")
        twins = copy.copy(session), pickle.loads(pickle.dumps(session))
        return [twin.cookies.get_dict() for twin in twins]

    assert call(work).value == [{"own": "1", "mine": "2"}] * 2
    assert session.cookies.get_dict() == {"own": "1"}


class Equal(requests.Session):
    """All are equal, and none can be hashed."""

    def __eq__(self, other):
        return True

    __hash__ = None


def test_sessions_go_by_identity():
    """Sessions that compare equal, or cannot be hashed, have a jar each."""

    def work():
        one, other = Equal(), Equal()
        one.cookies.set("one", "1")
        return one.cookies.get_dict(), other.cookies.get_dict()

    assert call(work).value == ({"one": "1"}, {})


def test_a_session_at_the_address_of_one_that_is_gone_has_a_jar_of_its_own():
    """Many sessions made and dropped within a call inherit nothing from each other."""

    def work():
        found = []
        for n in range(50):
            session = requests.Session()
            found += [*session.cookies]
            session.cookies.set(f"mine{n}", "1")
            del session
        return found

    assert call(work).value == []


class OwnProperty(requests.Session):
    """Its cookies are its own affair."""

    @property
    def cookies(self):
        return self.__dict__["jar"]

    @cookies.setter
    def cookies(self, jar):
        self.__dict__["jar"] = jar


def test_a_session_whose_cookies_are_a_property_keeps_them(giving):
    """A subclass that manages its cookies itself goes on doing so."""
    with OwnProperty() as session:
        run(lambda _: session.get(giving.url, timeout=5), range(2))

    assert giving.headers("cookie") == [None, "given=n0"]


def test_a_session_without_cookies_says_so_while_calls_run():
    """Before it is set and after it is deleted, `cookies` is missing as it is plainly."""

    class Early(requests.Session):
        def __init__(self):
            self.had = hasattr(self, "cookies")
            super().__init__()

    def work():
        session = Early()
        del session.cookies
        with pytest.raises(AttributeError, match="cookies"):
            del session.cookies
        return session.had, hasattr(session, "cookies")

    assert call(work).value == (False, False)


def test_no_credential_of_a_call_stays_in_the_threads_session(serve):
    """What a call puts into `threadllm.session()` goes with the call."""
    server = serve(reply(b"fine"))

    def work(n):
        session = threadllm.session()
        assert threadllm.session() is session
        seen = dict(session.headers).get("x-api-key"), session.auth
        session.headers["x-api-key"], session.auth = f"sk-planted-{n}", ("user", "sk-planted")
        return seen, session.get(server.url, timeout=5).text

    outcomes = run(work, range(4), max_workers=1, patch_requests=False)

    assert [outcome.value for outcome in outcomes] == [((None, None), "fine")] * 4


def test_a_session_made_within_a_call_is_whole(serve):
    """Its cookies are there for threads that know no call, and for whoever gets the session."""
    giving = serve(reply(b"", **{"Set-Cookie": "sid=abc"}))
    made = []

    def work(_):
        session = requests.Session()
        made.append(session)
        session.get(giving.url, timeout=5)
        seen = []
        helper = threading.Thread(target=lambda: seen.append(session.cookies.get("sid")))
        helper.start()
        helper.join()
        return [*seen, session.cookies.get("sid")]

    assert call(lambda: work(None)).value == ["abc", "abc"]
    assert made[0].cookies.get("sid") == "abc"


def test_a_session_made_within_a_call_lends_others_nothing(serve):
    """What one call's server gave it does not reach the next call that finds the session."""
    giving = serve(reply(b"", **{"Set-Cookie": "sid=abc"}))
    made = []

    def work(_):
        if not made:
            made.append(requests.Session())
            made[0].get(giving.url, timeout=5)
        return made[0].cookies.get("sid")

    assert [one.value for one in run(work, range(3), max_workers=1)] == ["abc", None, None]
