"""Credentials from ~/.netrc: what the file says now, and read no more often than that needs."""

import netrc
from unittest import mock

import pytest
from requests.utils import get_netrc_auth

from threadllm.transport.steps.netrc import netrc_auth

URL = "http://llm.test:8000/v1"
LONG_AGO = 1_000_000_000


@pytest.fixture
def home(tmp_path, monkeypatch):
    """An empty home."""
    monkeypatch.delenv("NETRC", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


def write(path, password, host="llm.test"):
    path.write_text(f"machine {host} login user password {password}\n")


def both(url=URL):
    """What is found, which is what requests finds."""
    found = netrc_auth(url)
    assert found == get_netrc_auth(url)
    return found


@pytest.fixture
def settled():
    """Files are long written when they are looked at."""
    with mock.patch("threadllm.transport.steps.netrc.SYSTEM") as clock:
        clock.time.return_value = 1e12
        yield


@pytest.fixture
def readings():
    """Each time that the file is read."""
    with mock.patch("netrc.netrc", wraps=netrc.netrc) as read:
        yield read.call_args_list


def test_without_a_file_there_is_nothing(home):
    """And nothing is what comes of an empty one."""
    assert both() is None
    (home / ".netrc").touch()
    assert both() is None


@pytest.mark.usefixtures("settled")
def test_the_file_counts_from_when_it_is_there(home):
    """Written, changed in place, replaced, removed, and found under its other name."""
    file, seen = home / ".netrc", []
    for password in ["one", "two", "three"]:
        write(file, password)
        seen.append(both())
    write(home / "new", "replaced")
    (home / "new").replace(file)
    seen.append(both())
    file.rename(home / "_netrc")
    seen.append(both())
    (home / "_netrc").unlink()

    assert seen == [("user", word) for word in ["one", "two", "three", "replaced", "replaced"]]
    assert both() is None


@pytest.mark.usefixtures("settled")
def test_each_host_is_read_for_once(home, readings):
    """The file is read for each host that is asked for, and again when it has changed."""
    file = home / ".netrc"
    write(file, "one")
    for _ in range(2):
        assert netrc_auth(URL) == netrc_auth(URL + "/more") == ("user", "one")
        assert netrc_auth("http://other.test/") is None
    assert len(readings) == 2
    write(file, "other")
    assert netrc_auth(URL) == ("user", "other")


def test_a_file_just_written_is_read_each_time(home, readings):
    """Two changes may carry the same time, as long as that is now."""
    write(home / ".netrc", "one")
    assert [netrc_auth(URL), netrc_auth(URL)] == [("user", "one")] * 2
    assert len(readings) == 2


@pytest.mark.usefixtures("settled")
def test_the_variables_count_from_when_they_are_set(home, monkeypatch):
    """Another home, and a file that is named, even if it is not there."""
    write(home / ".netrc", "one")
    seen = [both()]
    (home / "other").mkdir()
    write(home / "other" / ".netrc", "two")
    monkeypatch.setenv("HOME", str(home / "other"))
    seen.append(both())
    for name in ["~/../.netrc", "~/missing", "~no-such-user/.netrc", ""]:
        monkeypatch.setenv("NETRC", name)
        seen.append(both())

    assert seen == [("user", "one"), ("user", "two"), ("user", "one"), None, None, None]


@pytest.mark.usefixtures("settled")
@pytest.mark.parametrize("text", [b"machine", b"\xff\xfe", b"machine llm.test oops\n"])
def test_a_broken_file_is_none(home, text):
    """Requests passes it over, and so does this."""
    (home / ".netrc").write_bytes(text)
    assert outcome(netrc_auth) == outcome(get_netrc_auth)
    assert outcome(netrc_auth) == outcome(get_netrc_auth)


def outcome(look_up):
    try:
        return look_up(URL)
    except Exception as error:
        return type(error), str(error)


@pytest.mark.usefixtures("settled")
@pytest.mark.parametrize(
    "url", ["http://user@llm.test:1/", "LLM.test", "", "http://[::1", b"http://llm.test/", None, 5]
)
def test_any_url_is_looked_up_as_requests_does(home, url):
    """Odd ones included, and their errors."""
    write(home / ".netrc", "one")
    assert outcome(lambda _: netrc_auth(url)) == outcome(lambda _: get_netrc_auth(url))


def test_whoever_replaces_the_look_up_is_asked(home):
    """Nothing is remembered of what they say."""
    with mock.patch("requests.sessions.get_netrc_auth", side_effect=["one", "two"]):
        assert [netrc_auth(URL), netrc_auth(URL)] == ["one", "two"]
    assert netrc_auth(URL) is None
