import http.client
from unittest import mock

from tests.transport.support import reply

from .support import asking, together, values


def test_the_debug_level_prints_what_is_sent_and_received(beside, serve, post, capsys):
    """`http.client.HTTPConnection.debuglevel = 1` shows each request and each answer."""
    server = serve(reply(b"well"))
    with beside(mock.patch.object(http.client.HTTPConnection, "debuglevel", 1), post=post) as (
        pool,
        _,
    ):
        found = values(pool, together(asking(post, server.url), 4), range(4))

    printed = capsys.readouterr().out
    assert found == ["well"] * 4
    assert [printed.count(f"POST /{item} HTTP/1.1") for item in range(4)] == [1] * 4
    assert printed.count("reply: 'HTTP/1.1 200 Reason") == 4
