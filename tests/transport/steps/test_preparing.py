"""Requests are prepared as requests prepares them, only sooner."""

import io
import pickle
from collections import OrderedDict
from contextlib import suppress
from copy import deepcopy
from unittest import mock

import pytest
import requests
from hypothesis import given, settings
from hypothesis import strategies as st
from requests.cookies import RequestsCookieJar, cookiejar_from_dict
from requests.sessions import merge_setting
from requests.structures import CaseInsensitiveDict

from threadllm.transport.steps.preparing import prepare_request

URL = "http://llm.test/v1/chat/completions"
NETRC = "machine llm.test login user password sk-planted-netrc\n"


@pytest.fixture(scope="module", autouse=True)
def _netrc(tmp_path_factory):
    """A file that knows one host."""
    path = tmp_path_factory.mktemp("home") / ".netrc"
    path.write_text(NETRC)
    with mock.patch.dict("os.environ", NETRC=str(path)):
        yield


class Text(str):
    """Text of a kind of its own."""

    __slots__ = ()


class Address:
    """What may be given as a URL."""

    def __str__(self):
        return URL


def sign(prepared):
    """An auth object that changes the URL, adds a header and registers a hook."""
    prepared.url += "#signed"
    prepared.headers["X-Signature"] = str(len(prepared.headers))
    prepared.register_hook("response", note)
    return prepared


def refuse(_):
    raise PermissionError("no key")


def note(response, **_):
    """A hook."""


def pieces():
    yield b"one"
    yield b"two"


def jar_with(name):
    return cookiejar_from_dict({name: "value"})


def fresh(*values):
    """A strategy of functions that give a fresh copy of one of the values."""
    return st.sampled_from([lambda value=value: deepcopy(value) for value in values])


def made(*makers):
    return st.sampled_from(makers)


ASCII = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=8)
WORDS = st.text(max_size=6) | ASCII

METHODS = fresh("GET", "POST", "pOsT", "HEAD", "ß", Text("GET"), b"GET", None)
URLS = fresh(
    *(URL, "http://LLM.test:80", "https://llm.test:443/a b?x=1&y=é#part", " http://a", "HTTP://a/"),
    *("http://user:pass%20word@llm.test/", "http://user@llm.test/", "http://ünï.test/ü?ü#ü"),
    *("http://*.a/", "http://.a/", "http://a..b/", "http://[::1]:8000/x", "http://"),
    *("http://a:port/", "http://a:99999/", "http://a/%zz%7e%20", "http://a?b", "mailto:a@b", "a/b"),
    *("", "data:text/plain,x", "http+unix://%2Fsocket/x", "http://\ud800/", Text(URL), Address()),
    *(URL.encode(), None),
) | WORDS.map(lambda word: lambda: f"http://llm.test/{word}")
NAMES = st.sampled_from(
    [
        *("Authorization", "authorization", "X-A", "x-a", "ACCEPT", "User-Agent", "Content-Type"),
        *("content-length", "Cookie", "Transfer-Encoding", "", " x", "x:y", "x\n", "é", Text("X")),
    ]
)
VALUES = st.sampled_from(["v", "w", "", None, b"bytes", " v", "v\n", "v\r\nw", "é", 1, Text("t")])
PAIRS = st.dictionaries(NAMES | WORDS | st.just(b"X-B"), VALUES | WORDS, max_size=3)
SOUND = st.dictionaries(st.sampled_from(["Authorization", "accept", "X-A", "x-a"]), ASCII)
HEADERS = (
    SOUND.map(lambda pairs: lambda: dict(pairs))
    | SOUND.map(lambda pairs: lambda: CaseInsensitiveDict(pairs))
    | PAIRS.map(lambda pairs: lambda: dict(pairs))
    | PAIRS.map(lambda pairs: lambda: OrderedDict(pairs))
    | PAIRS.map(lambda pairs: lambda: [*pairs.items()])
    | fresh(None)
)
PARAMS = fresh({}, None, "", "a=b", b"a=b", [], [("a", "b"), ("a", "ü")], ("ab",), 5) | (
    st.dictionaries(WORDS, WORDS | st.none() | st.integers() | st.lists(WORDS, max_size=2)).map(
        lambda params: lambda: dict(params)
    )
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | WORDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=3),
    max_leaves=5,
).map(lambda value: lambda: value) | fresh({1, 2}, {"key": object})
DATA = fresh({}, None, [], {"a": "b", "c": ["d", None]}, [("a", "ü")], "text", b"bytes", 5) | made(
    *(pieces, lambda: io.BytesIO(b"file"), lambda: io.StringIO("text"), lambda: iter(())),
)
FILES = fresh(
    None, [], {}, {"f": ("n.txt", b"data")}, [("f", ("n", "d", "t/p", {"X": "y"}))]
) | made(lambda: {"f": io.BytesIO(b"file")})
AUTHS = fresh(None, (), "", ("user", "sk-planted"), ("user",), ["a", "b"], 5) | made(
    lambda: sign, lambda: refuse
)
COOKIES = fresh(None, {}, {"a": "b"}, RequestsCookieJar(), jar_with("own"), 5)
HOOKS = made(lambda: None, lambda: {"response": note}, lambda: {"response": [note, 5, note]})


REQUEST = {
    "method": METHODS,
    "url": URLS,
    "headers": HEADERS,
    "params": PARAMS,
    "data": DATA,
    "json": JSON,
    "files": FILES,
    "auth": AUTHS,
    "cookies": COOKIES,
    "hooks": HOOKS,
}
SESSION = {
    "headers": HEADERS,
    "params": fresh({"a": "b"}, {"a": None}, None, "a=b"),
    "auth": AUTHS,
    "cookies": COOKIES,
    "hooks": HOOKS | made(dict, lambda: [note]),
    "trust_env": fresh(0),
}


def some(options, most):
    """Makers of a few of the options: what is sent is ordinary but for some of its parts."""
    names = st.sets(st.sampled_from(sorted(options)), max_size=most)
    return names.flatmap(lambda chosen: st.fixed_dictionaries({n: options[n] for n in chosen}))


def genuinely(session, request):
    """What requests itself makes of it; .netrc takes no header's place."""
    if says_who_asks(session, request):
        session.trust_env = False
    return requests.Session.prepare_request(session, request)


def says_who_asks(session, request):
    with suppress(Exception):
        merged = merge_setting(request.headers, session.headers, CaseInsensitiveDict)
        return any(name.lower() == "authorization" for name in merged)
    return False


def quickly(session, request):
    return prepare_request(session.prepare_request, session, request)


def told(prepare, session, request):
    """All that there is to say of a prepared request, or of the error."""
    session = made_of(requests.Session(), session)
    request = made_of(requests.Request("POST", URL, headers={"X-B": "c"}, json=["ü"]), request)
    try:
        with mock.patch("urllib3.filepost.choose_boundary", return_value="boundary"):
            prepared = prepare(session, request)
    except Exception as error:
        return type(error), str(error)
    state = vars(prepared) | {
        "headers": [type(prepared.headers), *prepared.headers.items()],
        "body": content_of(prepared.body),
        "_cookies": [type(prepared._cookies), *map(vars, prepared._cookies)],
        "_body_position": type(prepared._body_position),
    }
    return type(prepared), [*state.items()]


def made_of(thing, makers):
    for name, make in makers.items():
        setattr(thing, name, make())
    return thing


def content_of(body):
    return (type(body), [*body]) if hasattr(body, "__next__") else body


@settings(max_examples=500, deadline=None)
@given(session=some(SESSION, 2), request=some(REQUEST, 3))
def test_all_is_prepared_as_requests_does(session, request):
    """URL, headers in their order, body, hooks and cookies are the same, or else the error."""
    expected = told(genuinely, session, request)
    assert told(quickly, session, request) == expected
    assert told(quickly, session, request) == expected  # from what was remembered


ORDINARY = [
    {"json": {"a": ["ü"]}},
    {"json": ["x"], "headers": {"Authorization": "Bearer sk-planted", "X-A": "b"}},
    {"json": ["x"], "headers": CaseInsensitiveDict({"authorization": "Bearer sk-planted"})},
    {"params": {"key": "sk-planted"}, "headers": {"Accept": None}},
    {"data": {"a": "b"}, "auth": ("user", "sk-planted")},
    {"files": {"f": ("n.txt", b"data")}, "auth": sign},
    {"data": pieces, "hooks": {"response": note}},
    {"url": "http://user:password@other.test/"},
    {"cookies": {"a": "b"}},
]


@pytest.mark.parametrize("arguments", ORDINARY, ids=str)
def test_the_ordinary_takes_the_short_way(arguments):
    """Requests itself is not asked."""
    arguments = {"method": "POST", "url": URL} | arguments
    with requests.Session() as session:
        found = mock.Mock()
        prepared = prepare_request(found, session, requests.Request(**arguments))
        assert prepared.url == session.prepare_request(requests.Request(**arguments)).url
    found.assert_not_called()


def prepared(session, url=URL, **arguments):
    """What comes of a request, and whether requests itself was asked."""
    found = mock.Mock(side_effect=session.prepare_request)
    request = requests.Request("POST", url, **arguments)
    return prepare_request(found, session, request), found.called


@pytest.fixture
def session():
    with requests.Session() as made:
        yield made


def test_each_has_headers_of_its_own(session):
    """What is changed on one prepared request is not seen on the next."""
    first, _ = prepared(session, json={})
    first.headers["X-Mine"] = "1"
    first._cookies.set("mine", "1")
    second, _ = prepared(session, json={})

    assert "X-Mine" not in second.headers
    assert len(second._cookies) == 0
    assert pickle.loads(pickle.dumps(second)).headers == second.headers


@pytest.mark.parametrize(
    "name", ["prepare", "prepare_url", "prepare_headers", "prepare_cookies", "prepare_auth"]
)
def test_whoever_replaces_a_step_is_asked(session, name):
    """Also where the replacement calls what it replaces."""
    genuine = getattr(requests.PreparedRequest, name)
    calls = []

    def replacement(self, *args, **kwargs):
        calls.append(name)
        return genuine(self, *args, **kwargs)

    with mock.patch.object(requests.PreparedRequest, name, replacement):
        assert prepared(session, "http://other.test/")[1]
    assert calls == [name]
    assert not prepared(session, "http://other.test/")[1]


def test_a_prepared_request_of_another_class_is_made_where_it_was_put(session):
    """Whoever puts a class of their own into requests gets instances of it."""
    own = type("Own", (requests.PreparedRequest,), {})
    with mock.patch("requests.sessions.PreparedRequest", own):
        assert type(prepared(session, json={})[0]) is own


@pytest.mark.parametrize("headers", [{"authorization": "Bearer sk-planted"}, {}])
@pytest.mark.parametrize("on_session", [True, False])
@pytest.mark.parametrize("url", [URL, Text(URL)], ids=["quickly", "by requests"])
def test_netrc_takes_the_place_of_no_header(session, headers, on_session, url):
    """What the code sets stays, in its own spelling; .netrc serves those who set nothing."""
    if on_session:
        session.headers.update(headers)
        headers = {}
    sent, by_requests = prepared(session, url, headers=headers)

    found = {name: value for name, value in sent.headers.items() if name.lower() == "authorization"}
    own = {name: value for name, value in session.headers.items() if "auth" in name} | headers
    assert found == (own or {"Authorization": "Basic dXNlcjpzay1wbGFudGVkLW5ldHJj"})
    assert by_requests == (type(url) is Text)


def test_a_netrc_of_somebodys_own_is_asked(session):
    """A replacement of the look-up is called, and takes the place of no header either."""
    with mock.patch("requests.sessions.get_netrc_auth", return_value=("other", "one")) as look_up:
        sent, _ = prepared(session)
        kept, _ = prepared(session, Text(URL), headers={"Authorization": "own"})
    assert sent.headers["Authorization"] == "Basic b3RoZXI6b25l"
    assert kept.headers["Authorization"] == "own"
    assert look_up.call_args_list[0] == mock.call(URL)


def test_whoever_signs_in_place_of_prepare_request_is_heeded(session):
    """An Authorization that is not .netrc's is somebody's who was asked to set it."""

    def found(request):
        sent = session.prepare_request(request)
        sent.headers["Authorization"] = "signed"
        return sent

    request = requests.Request("GET", Text(URL), {"Authorization": "own"})
    assert prepare_request(found, session, request).headers["Authorization"] == "signed"


def test_whatever_is_found_may_give_what_it_likes(session):
    """A mock's answer is handed on."""
    found = mock.Mock(return_value="mocked")
    assert prepare_request(found, session, requests.Request("GET", b"http://a/")) == "mocked"
