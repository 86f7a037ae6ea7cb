"""What goes along with a redirect: to another origin no key, and nowhere another one's."""

from unittest import mock

import pytest
import requests

import threadllm
from tests.transport.support import call, reply

KEY = "sk-planted-key"
KEYS = ["Authorization", "authorization", "x-api-key", "X-API-Key", "api-key", "x-goog-api-key"]
KEYS += ["Ocp-Apim-Subscription-Key", "xi-api-key", "X-Subscription-Token", "Helicone-Auth"]
KEYS += ["cf-aig-authorization", "x-portkey-api-key", "X-Amz-Security-Token"]


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A file of credentials for the loopback host."""
    path = tmp_path / "netrc"
    path.write_text("machine 127.0.0.1 login user password sk-planted-netrc\n")
    monkeypatch.setenv("NETRC", str(path))


def to(url, status=307):
    return reply(status=status, location=url)


@pytest.fixture
def target(serve):
    return serve(reply(b"well"))


def by_requests(url, **options):
    return requests.post(url, timeout=5, **options)


def by_session(url, **options):
    with requests.Session() as session:
        return session.post(url, timeout=5, **options)


def by_own_session(url, **options):
    with threadllm.Session() as session:
        return session.post(url, timeout=5, **options)


def by_hand(url, **options):
    """As `response.next` has it."""
    with requests.Session() as session:
        response = session.post(url, timeout=5, allow_redirects=False, **options)
        return session.send(response.next, timeout=5)


@pytest.mark.parametrize("ask", [by_requests, by_session, by_own_session, by_hand])
@pytest.mark.parametrize("name", KEYS)
def test_no_key_goes_along_to_another_origin(serve, target, ask, name):
    """Another port is another origin, by requests' own rule; what is no key goes along."""
    server = serve(to(target.url))

    outcome = call(lambda: ask(server.url, headers={name: KEY, "X-Mine": "1"}).text)

    assert outcome.value == "well"
    assert server.headers(name.lower()) == [KEY]
    [sent] = target.requests
    assert KEY not in str(sent)
    assert sent.headers["x-mine"] == "1"


@pytest.mark.parametrize("ask", [by_requests, by_own_session])
@pytest.mark.parametrize("name", KEYS)
def test_keys_stay_within_their_origin(serve, ask, name):
    """To another path of the same server they go along."""
    answers = [to("/there"), reply(b"well")]
    server = serve(*answers)

    outcome = call(lambda: ask(server.url, headers={name: KEY}).text)

    assert outcome.value == "well"
    assert server.headers(name.lower()) == [KEY, KEY]


def test_keys_of_the_session_stay_behind_too(serve, target):
    """It does not matter where a header was set, nor how many redirects there are."""
    again = serve(to(target.url))
    server = serve(to("/there"), to(again.url))

    def work():
        with threadllm.Session() as session:
            session.headers.update({"x-api-key": KEY, "api-key": KEY})
            return len(session.get(server.url, timeout=5).history)

    assert call(work).value == 3
    assert server.headers("x-api-key") == [KEY, KEY]
    assert [KEY in str(request) for request in (*again.requests, *target.requests)] == [False] * 2


@pytest.mark.usefixtures("home")
@pytest.mark.parametrize("ask", [by_requests, by_session, by_own_session, by_hand])
def test_netrc_takes_no_headers_place(serve, ask):
    """Not at first and not on a redirect, where the header may stay."""
    server = serve(to("/there"), reply(b"well"))

    call(lambda: ask(server.url, headers={"authorization": KEY}))

    assert server.headers("authorization") == [KEY, KEY]


@pytest.mark.usefixtures("home")
def test_netrc_serves_where_no_header_stays(serve, target):
    """On another origin it says who is asking, as with plain requests."""
    server = serve(to(target.url))

    call(lambda: by_requests(server.url, headers={"Authorization": KEY}))

    assert server.headers("authorization") == [KEY]
    assert target.headers("authorization") == ["Basic dXNlcjpzay1wbGFudGVkLW5ldHJj"]


@pytest.mark.usefixtures("home")
def test_outside_calls_the_packages_session_is_as_careful(serve, target):
    """Its headers are safe there too."""
    server = serve(to("/there"), to(target.url))

    by_own_session(server.url, headers={"Authorization": KEY, "x-api-key": KEY})

    assert server.headers("authorization") == server.headers("x-api-key") == [KEY, KEY]
    assert target.headers("x-api-key") == [None]


class Trusting(requests.Session):
    """Keeps Authorization wherever it goes, as code for servers that send one on does."""

    def should_strip_auth(self, old_url, new_url):
        return False


class Handling(requests.Session):
    """Decides for itself."""

    def rebuild_auth(self, prepared_request, response):
        prepared_request.headers["x-decided"] = "1"


@pytest.mark.parametrize("kind", [Trusting, Handling])
def test_a_subclass_with_a_rule_of_its_own_has_it(serve, target, kind):
    """What it lets go along goes along."""
    server = serve(to(target.url))

    def work():
        with kind() as session:
            session.get(server.url, headers={"Authorization": KEY, "x-api-key": KEY}, timeout=5)

    call(work)

    assert target.headers("authorization") == target.headers("x-api-key") == [KEY]
    assert target.headers("x-decided") == ["1" if kind is Handling else None]


def test_whoever_replaces_the_rule_is_asked(serve):
    """A patch of `rebuild_auth` under ours is called for each redirect, whatever stays."""
    server = serve(to("/there"), reply(b"well"))
    with mock.patch.object(requests.sessions.SessionRedirectMixin, "rebuild_auth") as rebuild:
        call(lambda: by_requests(server.url, headers={"Authorization": KEY}))

    assert len(rebuild.call_args_list) == 1
