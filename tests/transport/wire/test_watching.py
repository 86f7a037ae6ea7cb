import http.client
import logging
from functools import wraps

import pytest
from urllib3 import connection, connectionpool

from threadllm.transport.wire import conversation, watching

from .playing import attempt, ended, ways

STEPS = watching._PASSED_BY.steps


@pytest.fixture
def short(monkeypatch):
    """The requests that went the short way."""
    gone, exchange = [], conversation.exchange

    def counted(*args, **options):
        gone.append(args)
        return exchange(*args, **options)

    monkeypatch.setattr(conversation, "exchange", counted)
    return gone


def ask(player):
    session, _ = ways()
    with ended(session):
        assert attempt(session, player.url)["status"][0] == 200


def test_a_request_goes_the_short_way(player, short):
    """As long as nobody stands on the long one."""
    ask(player)
    assert len(short) == 1


@pytest.mark.parametrize(("owner", "name"), STEPS)
def test_whoever_puts_a_function_of_their_own_there_is_asked(
    monkeypatch, player, short, owner, name
):
    """A request goes the long way if any step from requests' adapter to the socket is watched."""
    original = getattr(owner, name)

    @wraps(original)
    def instrumented(*args, **options):
        return original(*args, **options)

    monkeypatch.setattr(owner, name, instrumented)
    ask(player)
    assert short == []
    assert not watching.unwatched()


def test_whoever_puts_a_connection_of_their_own_there_is_asked(monkeypatch, player, short):
    """As tapes and mocks do."""

    class Theirs(connection.HTTPConnection):
        asked = 0

        def request(self, *args, **options):
            Theirs.asked += 1
            super().request(*args, **options)

    monkeypatch.setattr(connectionpool.HTTPConnectionPool, "ConnectionCls", Theirs)
    ask(player)
    assert (short, Theirs.asked) == ([], 1)


def test_whoever_has_a_secure_connection_of_their_own_is_asked(monkeypatch):
    """The same for TLS."""

    class Theirs(connection.HTTPSConnection):
        pass

    monkeypatch.setattr(connectionpool.HTTPSConnectionPool, "ConnectionCls", Theirs)
    assert not watching.unwatched()


def test_whoever_debugs_sees_each_step(monkeypatch, player, short, capsys):
    """http.client prints what it sends and receives, if it is told to."""
    monkeypatch.setattr(http.client.HTTPConnection, "debuglevel", 1)
    ask(player)
    assert short == []
    assert "send: b'POST / HTTP/1.1" in capsys.readouterr().out


def test_whoever_logs_at_debug_sees_each_step(player, short, caplog):
    """urllib3 tells of connections and answers."""
    with caplog.at_level(logging.DEBUG, logger="urllib3"):
        ask(player)
    assert short == []
    assert '"POST / HTTP/1.1" 200' in caplog.text
