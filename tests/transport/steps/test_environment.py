"""What the environment's variables say to requests, as they are now."""

import os
from unittest import mock

import pytest
import requests
from hypothesis import given, settings
from hypothesis import strategies as st

from threadllm.transport.steps.environment import FromEnvironment, merge_environment_settings

URL = "http://llm.test/v1"
NAMES = ["http_proxy", "HTTPS_PROXY", "all_proxy", "no_proxy", "NO_PROXY"]
NAMES += ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"]
VALUES = ["", "http://proxy.test:3128", "llm.test,10.0.0.0/8", "llm.test:8000", "*", "/bundle.pem"]
URLS = [URL, "https://llm.test:8000", "http://sub.llm.test/", "http://10.1.2.3/", "data:x", "a"]
URLS += ["http://[::1]/", "http://[::1", "http://a:port/", b"http://llm.test/", None]

proxies = st.dictionaries(
    st.sampled_from(["http", "https", "all", "http://llm.test", "no_proxy"]),
    st.sampled_from(["http://own.test", "", None, "llm.test"]),
    max_size=2,
)
flags = st.sampled_from([None, None, True, False, "", "/own.pem", ("a", "b"), {"a": 1}, 0])


@pytest.fixture(autouse=True)
def _bare():
    """No variable that requests heeds is set, until a test sets one."""
    others = {name: value for name, value in os.environ.items() if name not in NAMES}
    with mock.patch.dict("os.environ", others, clear=True):
        yield


@pytest.fixture
def session():
    with requests.Session() as made:
        yield made


def merged(session, *, found=None, url=URL, given=None, stream=None, verify=None, cert=None):
    """The settings for a request; by default requests itself is not to be asked."""
    found = found or mock.Mock(side_effect=AssertionError)
    given = {} if given is None else given
    return merge_environment_settings(found, session, url, given, stream, verify, cert)


def told(merge, own, url, given, *flags):
    """What comes of it, what became of the argument that requests changes, or the error."""
    session = requests.Session()
    vars(session).update(own)
    given = None if given is None else dict(given)
    try:
        settings = merge(session, url, given, *flags)
    except Exception as error:
        return type(error), str(error)
    proxies = settings["proxies"]
    return [*settings.items()], type(proxies), [*(proxies or ())], given


def quickly(session, *arguments):
    return merge_environment_settings(session.merge_environment_settings, session, *arguments)


@settings(max_examples=500, deadline=None)
@given(
    variables=st.dictionaries(st.sampled_from(NAMES), st.sampled_from(VALUES), max_size=3),
    own=st.fixed_dictionaries(
        {},
        optional={
            "proxies": proxies | st.none(),
            "stream": flags,
            "verify": flags,
            "cert": flags,
            "trust_env": st.booleans(),
        },
    ),
    url=st.sampled_from(URLS),
    given=proxies | st.none(),
    flags=st.tuples(flags, flags, flags),
)
def test_settings_are_merged_as_requests_does(variables, own, url, given, flags):
    """Whatever the variables, the session and the request say, in whatever order they change."""
    # In one order: what is remembered keeps that of the variables, which requests goes by, too.
    with mock.patch.dict("os.environ", dict(sorted(variables.items()))):
        expected = told(requests.Session.merge_environment_settings, own, url, given, *flags)
        assert told(quickly, own, url, given, *flags) == expected
        assert told(quickly, own, url, given, *flags) == expected  # from what was remembered


def test_a_variable_counts_from_when_it_is_set(session, monkeypatch):
    """Set, changed and deleted between requests, proxies and certificates are what it says."""
    seen = []
    for name, value in [("HTTP_PROXY", "one"), ("HTTP_PROXY", "two"), ("CURL_CA_BUNDLE", "pem")]:
        monkeypatch.setenv(name, value)
        seen.append(merged(session))
    monkeypatch.delenv("HTTP_PROXY")
    seen.append(merged(session))

    assert [(one["proxies"].get("http"), one["verify"]) for one in seen] == [
        ("one", True),
        ("two", True),
        ("two", "pem"),
        (None, "pem"),
    ]


def test_each_request_has_proxies_of_its_own(session, monkeypatch):
    """Requests changes the dict that it is given."""
    monkeypatch.setenv("HTTP_PROXY", "one")
    first, second = merged(session), merged(session)
    first["proxies"].clear()

    assert second["proxies"] == merged(session)["proxies"] == {"http": "one"}
    assert session.proxies == {}


@pytest.mark.parametrize(
    "name",
    [
        "requests.sessions.merge_setting",
        "requests.sessions.get_environ_proxies",
        "requests.utils.should_bypass_proxies",
        "requests.utils.getproxies",
        "requests.utils.proxy_bypass",
    ],
)
def test_whoever_replaces_a_step_is_asked(session, name):
    """Then requests itself merges, by way of the replacement."""
    found = mock.Mock(return_value="merged")
    with mock.patch(name):
        assert merged(session, found=found) == "merged"
    found.assert_called_once_with(URL, {}, None, None, None)
    assert merged(session)["verify"] is True


def test_what_depends_on_variables_is_made_once_until_one_changes(monkeypatch):
    """Any variable counts, whatever its name."""
    made = FromEnvironment(iter(range(9)).__next__)
    seen = [made(), made()]
    monkeypatch.setenv("ANY", "1")
    seen += [made(), made()]
    monkeypatch.setenv("ANY", "2")
    seen += [made()]
    monkeypatch.delenv("ANY")
    seen += [made(), made()]

    assert seen == [0, 0, 1, 1, 2, 3, 3]


def test_an_environment_of_another_kind_is_read_each_time(session):
    """Whoever puts another mapping in place of `os.environ` may change it unseen."""
    with mock.patch("os.environ", {"CURL_CA_BUNDLE": "/one.pem"}):
        made = FromEnvironment(iter(range(9)).__next__)
        assert [made(), made()] == [0, 1]
        assert merged(session)["verify"] == "/one.pem"
        os.environ["CURL_CA_BUNDLE"] = "/two.pem"
        assert merged(session)["verify"] == "/two.pem"
