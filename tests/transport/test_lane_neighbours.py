"""Whoever replaces what the lane passes by is asked, whenever they come and go."""

import json
import pkgutil
import threading
from contextlib import contextmanager
from unittest import mock

import pytest
import requests
from hypothesis import given, settings
from hypothesis import strategies as st
from requests import api
from requests.adapters import HTTPAdapter

import threadllm
from threadllm.transport import header_dicts, lane

from .steps.test_preparing import URL
from .support import Server, call, reply
from .test_lane import seen
from .test_patching import running

ONCE = threadllm.Retry(attempts=1)
REQUEST, POST = api.request, api.post  # as somebody has them who has imported them before
SESSION = "__init__ __enter__ __exit__ request send mount close resolve_redirects"
SESSION += " get_redirect_target prepare_request merge_environment_settings get_adapter"
PREPARED = "__init__ prepare prepare_method prepare_url prepare_headers prepare_cookies"
PREPARED += " prepare_body prepare_content_length prepare_auth prepare_hooks"
FUNCTIONS = [
    "requests.api.request",
    *(f"requests.sessions.Session.{name}" for name in SESSION.split()),
    *(f"requests.models.PreparedRequest.{name}" for name in PREPARED.split()),
    "requests.models.Request.__init__",
    *(f"requests.adapters.HTTPAdapter.{name}" for name in ("__init__", "send", "close")),
    "requests.adapters.HTTPAdapter.init_poolmanager",
    "requests.sessions.cookiejar_from_dict",
    "requests.sessions.default_headers",
    "requests.sessions.dispatch_hook",
    "requests.sessions.extract_cookies_to_jar",
    "requests.sessions.get_environ_proxies",
    "requests.sessions.get_netrc_auth",
    "requests.sessions.merge_setting",
    "requests.utils.default_user_agent",
    "requests.utils.getproxies",
    "requests.utils.proxy_bypass",
    "requests.utils.should_bypass_proxies",
    "requests.models.check_header_validity",
    "requests.models.get_auth_from_url",
    "requests.models.parse_url",
    "requests.models.requote_uri",
    "json.dumps",
    "json.JSONEncoder.__init__",
    "json.JSONEncoder.encode",
    "json.JSONEncoder.iterencode",
]
CLASSES = [
    "requests.adapters.PoolManager",
    "requests.adapters.Retry",
    "requests.models.CaseInsensitiveDict",
    "requests.models.HTTPBasicAuth",
    "requests.sessions.CaseInsensitiveDict",
    "requests.sessions.HTTPAdapter",
    "requests.sessions.PreparedRequest",
    "requests.sessions.Request",
    "requests.sessions.RequestsCookieJar",
    "requests.sessions.Session",
    "json.JSONEncoder",
]


@pytest.fixture(scope="module")
def server():
    with Server(lambda _: reply(b"well")) as running:
        yield running


@pytest.fixture(autouse=True)
def _as_it_was(monkeypatch, tmp_path):
    """There are no credentials; and after every test all is what it was, to whoever looks."""
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    before = [resolved(target) for target in (*FUNCTIONS, *CLASSES, "requests.request")]
    yield
    assert [resolved(target) for target in (*FUNCTIONS, *CLASSES, "requests.request")] == before


def resolved(target):
    return pkgutil.resolve_name(target)


class Spy:
    """Something in the place of a function or class, which it asks, and counts."""

    def __init__(self, target):
        genuine, self.calls = resolved(target), []
        if isinstance(genuine, type):
            self.replacement = self._class(genuine)
        else:
            self.replacement = self._function(genuine)
        self.patch = mock.patch(target, self.replacement)

    def _function(self, genuine):
        def spying(*args, **kwargs):
            self.calls.append((len(args), {*kwargs}))
            return genuine(*args, **kwargs)

        return spying

    def _class(self, genuine):
        def init(this, *args, **kwargs):
            self.calls.append((len(args), {*kwargs}))
            genuine.__init__(this, *args, **kwargs)

        return type("Spying", (genuine,), {"__init__": init})


def ask(server, post=None):
    address = server.url.replace("//", "//user:sk-planted@")
    return (post or requests.post)(address, json={"a": 1}, headers={"X": "y"}, timeout=5).text


def counted(spy, server, **options):
    """What a request asks of a spy."""
    spy.calls.clear()
    assert ask(server, **options) == "well"
    return [*spy.calls]


def plainly(target, server):
    spy = Spy(target)
    with spy.patch:
        return counted(spy, server)


@contextmanager
def by_lane():
    """Sees that what is asked within takes the lane."""
    taken, genuine = [], lane.request

    def watched(now, found, *asked):
        taken.append(True)
        return genuine(now, mock.Mock(side_effect=AssertionError), *asked)

    with mock.patch.object(lane, "request", watched):
        yield
    assert taken


@pytest.mark.parametrize("target", FUNCTIONS + CLASSES)
def test_who_is_there_before_is_asked(server, target):
    """As often, and with as much, as requests asks them plainly."""
    expected = plainly(target, server)
    spy = Spy(target)

    def work():
        ask(server)
        return counted(spy, server)

    with spy.patch:
        outcome = call(work)
        assert resolved(target) is spy.replacement

    assert expected
    assert outcome.value == expected


@pytest.mark.parametrize("target", FUNCTIONS + CLASSES)
def test_who_comes_and_goes_within_a_call_is_asked(server, target):
    """From one request to the next; without them the lane is taken."""
    expected = plainly(target, server)

    def work():
        with by_lane():
            ask(server)
        spy = Spy(target)
        with spy.patch:
            seen = counted(spy, server)
        with by_lane():
            ask(server)
        return seen

    assert call(work).value == expected


@pytest.mark.parametrize("target", FUNCTIONS + CLASSES)
def test_who_stays_after_a_run_is_asked_and_leaves_nothing(server, target):
    """They are asked plainly then; when they have gone, a later run is as the first."""
    expected = plainly(target, server)
    with running():
        spy = Spy(target)
        spy.patch.start()
    assert counted(spy, server) == expected
    spy.patch.stop()
    assert ask(server) == "well"
    spy.calls.clear()

    def work():
        with by_lane():
            return ask(server)

    assert call(work).value == "well"
    assert spy.calls == []


class Event:
    """Begins when it is first called, and ends when it is called again."""

    def __init__(self, manager):
        self._manager = manager
        self._begun = False

    def __call__(self):
        if self._begun:
            self._manager.__exit__(None, None, None)
        else:
            self._manager.__enter__()
        self._begun = True


NAMES = ["requests.api.request", "requests.request", "requests.Session.send"]


@settings(max_examples=30)
@given(
    order=st.permutations([0, 0, 1, 1, 2, 2, 3, 3]),
    names=st.lists(st.sampled_from(NAMES), min_size=2, max_size=2, unique=True),
)
def test_runs_and_mocks_may_come_and_go_in_any_order(order, names):
    """Two runs and two mocks: whoever is there is asked, and all is as it was at the end."""
    before = [resolved(name) for name in (*NAMES, "requests.post")]
    with Server(lambda _: reply(b"well")) as server:
        spies = [Spy(name) for name in names]
        events = [Event(spy.patch) for spy in spies]
        pools = []

        @contextmanager
        def run():
            with running() as pool:
                pools.append(pool)
                yield
                pools.remove(pool)

        events += [Event(run()), Event(run())]
        there = [False] * 4
        for number in order:
            events[number]()
            there[number] = not there[number]
            for submit in [lambda fn: fn(), *(in_pool(pool) for pool in pools)]:
                for name, spy, here in zip(names, spies, there, strict=False):
                    spy.calls.clear()
                    assert submit(lambda: requests.post(server.url, timeout=5).text) == "well"
                    assert bool(spy.calls) == (here and name != "requests.request")
                    spy.calls.clear()
                    assert submit(lambda: requests.request("get", server.url).text) == "well"
                    assert bool(spy.calls) == (here and name != "requests.api.request")
        call(int)
    assert [resolved(name) for name in (*NAMES, "requests.post")] == before


def in_pool(pool):
    return lambda fn: pool.submit(fn).result()


def test_overlapping_runs_leave_all_as_it_was(server):
    """The first to come may be the first to go, or the last."""
    for order in ([0, 1, 0, 1], [0, 1, 1, 0]):
        runs = [Event(running()), Event(running())]
        for number in order:
            runs[number]()
        assert (requests.request, api.request, requests.post) == (REQUEST, REQUEST, POST)


def test_functions_that_were_imported_before_work(server):
    """`from requests import post` takes the lane; either is on record."""

    def by_post():
        with by_lane():
            return ask(server, POST)

    def by_request():
        return REQUEST("post", server.url, json={}, timeout=5).text

    for work in (by_post, by_request):
        outcome = call(work)
        assert (outcome.value, len(outcome.requests)) == ("well", 1)


def test_a_function_that_was_imported_within_a_run_works_after_it(server):
    """Plainly outside runs, and in a later one."""
    with running():
        late = requests.request
    assert late is not REQUEST
    assert late("post", server.url, timeout=5).text == "well"
    outcome = call(lambda: late("post", server.url, timeout=5).text)
    assert (outcome.value, len(outcome.requests)) == ("well", 1)


def test_requests_that_are_not_to_be_patched_are_not(server):
    """A dispatcher without patching has plain ones, beside one that patches."""
    with (
        running(),
        threadllm.Dispatcher(1, patch_requests=False) as pool,
        mock.patch.object(lane, "request", side_effect=AssertionError),
    ):
        [outcome] = pool.outcomes(lambda _: ask(server), [1])
    assert (outcome.value, outcome.requests) == ("well", ())


def test_a_mock_of_requests_session_does_not_matter(serve):
    """`requests.get` does not look there, nor for redirects."""
    server = serve(reply(b"", 302, location="/a"), reply(b"well"))

    def work():
        with mock.patch("requests.Session", side_effect=AssertionError), by_lane():
            return requests.get(server.url, timeout=5).text

    assert call(work).value == "well"


def test_a_mock_of_the_sessions_module_is_asked(server):
    """Where `requests.api` has it."""

    def work():
        with mock.patch("requests.api.sessions") as mocked:
            mocked.Session.return_value.__enter__.return_value.request.return_value = "mocked"
            response = requests.post(server.url, json={})
            made = mocked.Session.return_value.__enter__.return_value.request
        made.assert_called_once_with(method="post", url=server.url, data=None, json={})
        return response

    assert call(work).value == "mocked"


@pytest.mark.parametrize(
    ("target", "value", "header"),
    [
        ("requests.utils.DEFAULT_ACCEPT_ENCODING", "identity", "accept-encoding"),
        ("requests.utils.default_user_agent", lambda: "me", "user-agent"),
        ("requests.sessions.default_headers", lambda: {"x-own": "me", "accept": "a"}, "x-own"),
    ],
)
def test_what_is_sent_by_default_may_be_set(serve, target, value, header):
    """For as long as it is set, and not a request longer."""
    server = serve(reply(b"well"))

    def ask():
        requests.post(server.url, json={}, timeout=5)

    def work():
        ask()
        with mock.patch(target, value):
            ask()
        ask()

    with mock.patch(target, value):
        call(work)
    call(work)
    before, within, after, *others = server.headers(header)
    assert (before, within, after) == (within, within, within)
    assert others[1] == within
    assert others[0] == others[2] != within


def test_the_number_of_retries_by_default_may_be_set(server):
    """As people do who find no other way: sessions have adapters of their own then."""

    def work():
        with (
            mock.patch("requests.adapters.DEFAULT_RETRIES", 3),
            mock.patch.object(
                HTTPAdapter, "send", autospec=True, side_effect=HTTPAdapter.send
            ) as send,
        ):
            ask(server)
        return type(send.call_args.args[0])

    assert call(work).value is HTTPAdapter


def test_another_json_is_used(server):
    """simplejson, where it is installed, or whatever stands there."""

    def work():
        with mock.patch("requests.models.complexjson") as other:
            other.dumps.return_value = '"other"'
            return requests.post(server.url, json={}, timeout=5).request.body

    assert call(work).value == b'"other"'


@pytest.mark.parametrize(("name", "made"), [("encode", b"bytes"), ("iterencode", [""])])
def test_json_may_be_made_otherwise(name, made):
    """In whatever form requests can take it from there, be it nothing."""
    asked = {"method": lambda: "post", "url": lambda: URL, "json": list}

    def work():
        with mock.patch.object(json.JSONEncoder, name, return_value=made):
            return seen(asked)

    assert call(work).value == work()


def test_json_may_be_taught_more(server):
    """A default that somebody has put into the standard library's encoder is asked."""

    def work():
        with mock.patch.object(json.JSONEncoder, "default", lambda _, thing: [*thing]), by_lane():
            return requests.post(server.url, json={1}, timeout=5).request.body

    assert call(work).value == b"[1]"


@pytest.mark.parametrize("kind", ["Session", "HTTPAdapter", "PreparedRequest"])
def test_a_class_that_passes_itself_off_as_the_one_it_replaces_is_used(server, kind):
    """A mock with its specification is a class to whoever asks it."""
    target = f"requests.sessions.{kind}"

    def work():
        with mock.patch(target, autospec=True, side_effect=LookupError("mocked")):
            ask(server)

    assert str(call(work, retry=ONCE).error) == "mocked"


def test_threads_of_many_calls_take_the_lane_at_once(server):
    """Nobody's request is another's."""
    together = threading.Barrier(8)

    def work(number):
        together.wait(20)
        with requests.post(server.url, json=number, headers={"X": str(number % 3)}) as response:
            return json.loads(response.request.body), response.request.headers["X"]

    with threadllm.Dispatcher(8) as pool:
        found = [outcome.value for outcome in pool.outcomes(work, range(64), ordered=True)]

    assert found == [(number, str(number % 3)) for number in range(64)]


@pytest.mark.parametrize("headers", [{"Authorization": "Bearer sk-planted"}, {}], ids=str)
def test_who_has_replaced_the_rule_for_redirects_is_asked(serve, headers):
    """Before a run and within it, whether or not a key is there to stay."""
    server = serve(lambda request: reply(b"", 307 if request.target == "/" else 200, location="/a"))

    def follow():
        requests.post(server.url, json={}, headers=headers, timeout=5)

    genuine = requests.Session.rebuild_auth
    with mock.patch.object(
        requests.Session, "rebuild_auth", autospec=True, side_effect=genuine
    ) as before:
        call(follow)
        follow()
    with running() as pool, mock.patch.object(requests.Session, "rebuild_auth") as within:
        pool.submit(follow).result()

    assert (before.call_count, within.call_count) == (2, 1)


def test_who_knows_credentials_is_asked_once(server):
    """A look-up of somebody's own, in place of that in ~/.netrc."""

    def work():
        with mock.patch("requests.sessions.get_netrc_auth") as look_up:
            look_up.return_value = "user", "sk-planted"
            sent = requests.post(server.url, json={}, timeout=5).request
        look_up.assert_called_once_with(server.url)
        return sent.headers["Authorization"]

    assert call(work).value == "Basic dXNlcjpzay1wbGFudGVk"


def test_headers_that_requests_keeps_otherwise_are_the_same(server, monkeypatch):
    """Should it change how it does, it is given them as it wants them."""
    sent = []
    with mock.patch.object(lane, "carrier_of", wraps=lane.carrier_of) as taken:
        for expected in (True, False):
            lane._plan.cache_clear()
            monkeypatch.setattr(header_dicts, "_OF_REQUESTS_AS_EXPECTED", expected)
            response = call(lambda: requests.post(server.url, json={}, timeout=5)).value
            sent.append([*response.request.headers.items()])

    assert sent[0] == sent[1]
    assert taken.call_count == 2
