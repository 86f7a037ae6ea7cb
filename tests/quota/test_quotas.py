import pytest

from threadllm.exceptions import OptionError
from threadllm.quota import NO_QUOTAS, Quota, Quotas


def test_the_longest_prefix_counts():
    """A path may have a quota of its own beside its host's, wherever it stands in the mapping."""
    host, chat, deep = Quota(), Quota(), Quota()
    quotas = Quotas(
        {
            "https://a.example/v1": chat,
            "https://a.example": host,
            "https://a.example/v1/deep/": deep,
        }
    )
    found = {
        "https://a.example:443": host,
        "https://a.example:443/": host,
        "https://a.example:443/v2": host,
        "https://a.example:443/v1": chat,
        "https://a.example:443/v1/": chat,
        "https://a.example:443/v1/chat": chat,
        "https://a.example:443/v11": host,
        "https://a.example:443/v1/deep": deep,
        "https://a.example:443/v1/deeper": chat,
    }
    assert {url: quotas.of("https://a.example:443", url) for url in found} == found
    assert quotas.all == (chat, host, deep)


def test_a_request_elsewhere_has_none():
    """Another host, another scheme, another port, or another path."""
    quotas = Quotas({"https://a.example/v1": Quota()})
    elsewhere = [
        ("https://b.example:443", "https://b.example:443/v1"),
        ("http://a.example:80", "http://a.example:80/v1"),
        ("https://a.example:8443", "https://a.example:8443/v1"),
        ("https://a.example:443", "https://a.example:443/v2"),
    ]
    assert [quotas.of(*asked) for asked in elsewhere] == [None] * 4


@pytest.mark.parametrize(
    ("prefix", "origin"),
    [
        ("https://a.example", "https://a.example:443"),
        ("http://a.example", "http://a.example:80"),
        ("http://a.example:8000/", "http://a.example:8000"),
        ("HTTPS://A.Example", "https://a.example:443"),
    ],
)
def test_a_prefix_has_its_port(prefix, origin):
    """That of the scheme, unless it names one; case does not matter."""
    quota = Quota()
    assert Quotas({prefix: quota}).of(origin, f"{origin}/any/path") is quota


@pytest.mark.parametrize(
    "prefix",
    [
        "a.example",
        "ftp://a.example",
        "https://",
        "https://a.example?x=1",
        "https://a.example#x",
        "https://a.example:port",
        7,
        None,
    ],
)
def test_what_is_no_prefix_is_refused(prefix):
    """The error shows how to write one."""
    with pytest.raises(OptionError) as caught:
        Quotas({prefix: Quota()})
    assert str(caught.value) == (
        f"quotas: {prefix!r}: write it like 'https://api.example.com' or with a path"
    )


def test_what_is_no_quota_is_refused():
    """The error says where it stands."""
    with pytest.raises(OptionError) as caught:
        Quotas({"https://a.example": 5})
    assert str(caught.value) == "quotas: 'https://a.example' has 5: give it a Quota()"


def test_where_none_is_given_none_is_found():
    """Every request goes by its dispatcher's quota."""
    assert NO_QUOTAS.of("https://a.example:443", "https://a.example:443/v1") is None
    assert NO_QUOTAS.all == ()
