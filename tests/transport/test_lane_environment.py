"""What is set in the environment counts at once by the lane, as it does plainly."""

import os
from unittest import mock

import pytest
import requests
from hypothesis import given, settings
from hypothesis import strategies as st

import threadllm
from threadllm.call import current
from threadllm.transport import lane

from .steps.test_environment import NAMES, VALUES
from .steps.test_preparing import URL
from .support import call, reply
from .test_lane import NETRC, seen

ONCE = threadllm.Retry(attempts=1)
KEY = "Bearer sk-planted"
HOSTS = ["llm.test", "LLM.test", "llm.test:8000", "sub.llm.test", "10.1.2.3", "bücher.test"]
URLS = [URL, *(f"{scheme}://{host}/v1" for scheme in ("http", "https") for host in HOSTS)]
URLS += ["http://user:sk-planted@llm.test/", "http://llm.test@other.test/", "http://LLM.TEST/"]


@pytest.fixture(autouse=True)
def _bare(tmp_path):
    """No variable that requests heeds is set, until a test sets one."""
    others = {name: value for name, value in os.environ.items() if name not in NAMES}
    with mock.patch.dict("os.environ", others | {"NETRC": str(tmp_path / "none")}, clear=True):
        yield


def asking(url, **options):
    makers = {"method": "post", "url": url, "json": {}, **options}
    return {name: lambda value=value: value for name, value in makers.items()}


def told_of(steps, asked):
    """What is sent after each step."""
    sent = []
    for step in steps:
        step()
        sent.append(seen(asked))
    return sent


def setting(variables):
    def step():
        for name in NAMES:
            os.environ.pop(name, None)
        os.environ.update(variables)

    return step


ENVIRONMENTS = st.dictionaries(st.sampled_from(NAMES), st.sampled_from(VALUES), max_size=3)


@settings(max_examples=60)
@given(several=st.lists(ENVIRONMENTS, min_size=2, max_size=4), url=st.sampled_from(URLS))
def test_variables_count_from_one_request_to_the_next(several, url):
    """Proxies, who is exempt from them, and certificates, within one call."""
    steps = [setting(variables) for variables in several]
    expected = told_of(steps, asking(url))
    assert call(lambda: told_of(steps, asking(url)), retry=ONCE).value == expected


def test_a_proxy_is_used_from_the_moment_it_is_set(serve, monkeypatch):
    """On the wire, and no more once it is gone or the host is exempt."""
    server, proxy = serve(reply(b"direct")), serve(reply(b"by proxy"))

    def ask():
        return requests.post(server.url, json={}, timeout=5).text

    def work():
        seen = [ask()]
        with mock.patch.dict("os.environ", HTTP_PROXY=proxy.url):
            seen.append(ask())
            with mock.patch.dict("os.environ", NO_PROXY="127.0.0.1"):
                seen.append(ask())
            seen.append(ask())
        with mock.patch.dict("os.environ", ALL_PROXY=proxy.url):
            seen.append(ask())
        return [*seen, ask()]

    outcome = call(work)

    assert outcome.value == ["direct", "by proxy", "direct", "by proxy", "by proxy", "direct"]
    assert [request.target for request in proxy.requests] == [f"{server.url}/"] * 3


@pytest.mark.parametrize("headers", [None, {}, {"X": "y"}, {"Authorization": None}], ids=str)
@pytest.mark.parametrize("url", URLS)
def test_credentials_count_from_one_request_to_the_next(tmp_path, url, headers):
    """~/.netrc as it appears, changes, is named elsewhere, is broken and goes."""
    file, other = tmp_path / "netrc", tmp_path / "other"
    other.write_text("default login anybody password sk-planted-default\n")

    def name(path):
        return lambda: os.environ.update(NETRC=str(path))

    steps = [
        name(file),
        lambda: file.write_text("machine elsewhere.test login a password sk-planted-a\n"),
        lambda: file.write_text(NETRC),
        name(other),
        name(file),
        lambda: file.write_text(NETRC.replace("user", "somebody")),
        lambda: file.write_text("machine"),
        # Which some versions of Python cannot read.
        lambda: file.write_text('machine "bücher.test" login b password c', encoding="utf-8"),
        lambda: file.write_text("machine bücher.test login b password c", encoding="utf-8"),
        lambda: file.write_text(NETRC),
        file.unlink,
    ]
    expected = told_of(steps, asking(url, headers=headers))
    assert call(lambda: told_of(steps, asking(url, headers=headers)), retry=ONCE).value == expected


def test_credentials_at_home_count(tmp_path):
    """Where no variable names a file, requests looks for two by their names."""

    def step(name):
        def write():
            os.environ.pop("NETRC", None)
            os.environ["HOME"] = str(tmp_path)
            (tmp_path / name).write_text(NETRC)

        return write

    steps = [step("_netrc"), step(".netrc"), (tmp_path / ".netrc").unlink]
    expected = told_of(steps, asking(URL))
    (tmp_path / "_netrc").unlink()
    assert call(lambda: told_of(steps, asking(URL)), retry=ONCE).value == expected
    assert len({str(each) for each in expected}) == 1
    assert "Authorization" in str(expected)


@pytest.mark.parametrize("name", ["Authorization", "authorization"])
@pytest.mark.parametrize("url", [URL, "http://llm.test:8000/"])
def test_credentials_take_no_headers_place(tmp_path, monkeypatch, name, url):
    """What the code sets goes out, in its own spelling."""
    (tmp_path / "netrc").write_text(NETRC)
    expected = seen(asking(url, headers={name: KEY}))
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    assert call(lambda: seen(asking(url, headers={name: KEY})), retry=ONCE).value == expected
    assert seen(asking(url, headers={name: KEY})) != expected


def test_who_says_who_is_asking_takes_the_lane(serve, tmp_path, monkeypatch):
    """A file with credentials for the host does not matter then."""
    server = serve(reply(b"well"))
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login user password sk-planted-netrc\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))

    def work():
        found = mock.Mock(return_value="requests'")
        for headers in ({"authorization": KEY}, {"X": "y"}):
            yield lane.request(current.get(), found, "get", server.url, {"headers": headers})

    by_lane, by_requests = call(lambda: list(work())).value
    assert (by_lane.text, by_requests) == ("well", "requests'")


def test_an_address_that_only_netrc_cannot_read_is_refused_the_same(tmp_path, monkeypatch):
    """The error is requests' own."""
    (tmp_path / "netrc").write_text(NETRC)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    for url in ("http://[::1", "http://a℀b.test/", "http://[v1.x]/", "http://a:99999/"):
        expected = seen(asking(url))
        assert call(lambda url=url: seen(asking(url)), retry=ONCE).value == expected


def test_credentials_that_appear_while_no_request_runs_are_not_kept(tmp_path):
    """A call later they are as they are then."""
    file = tmp_path / "netrc"
    os.environ["NETRC"] = str(file)

    def work(_):
        return seen(asking(URL))

    with threadllm.Dispatcher(1, retry=ONCE) as pool:
        before = pool.submit(work, 1).result()
        file.write_text(NETRC)
        during = pool.submit(work, 1).result()
        file.unlink()
        after = pool.submit(work, 1).result()

    assert ("Authorization" in str(before), "Authorization" in str(during)) == (False, True)
    assert after == before
