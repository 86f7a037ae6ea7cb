"""Exchanges of a call whose deadline passes: connections are shut down while they are theirs."""

import socket
import threading
from contextlib import suppress
from types import SimpleNamespace

import pytest

from tests.call.conftest import SOON, TEXT, URL, begun, opened
from threadllm.call import Call
from threadllm.exceptions import CallExpired


@pytest.fixture
def call(terms):
    """A call that has begun, with 30 seconds to go."""
    return begun(terms, SOON)


@pytest.fixture
def sockets():
    """Two ends of a connection."""
    ours, theirs = socket.socketpair()
    yield ours, theirs
    ours.close()
    theirs.close()


def on(sock):
    """A connection with that socket."""
    return SimpleNamespace(sock=sock)


def is_at_end(sock):
    """Whether the other side has ended the connection; else it says nothing."""
    sock.settimeout(0)
    with suppress(BlockingIOError):
        return sock.recv(1) == b""
    return False


def test_exchanges_are_cut(call, sockets):
    """The other side and whoever reads are told of an end; the socket stays as it is."""
    ours, theirs = sockets
    exchange = opened(call)
    exchange.travels(on(ours))

    assert not exchange.is_cut
    assert call.expire() == 1.0
    assert (exchange.is_cut, exchange.expired) == (True, True)
    assert is_at_end(ours)
    assert is_at_end(theirs)
    assert ours.fileno() > 0
    assert exchange.overdue == f"GET {URL}: {TEXT}"


def test_a_socket_within_others_is_found(call, sockets):
    """However it is wrapped; a wrapper without one is left alone."""
    wrapped, other = opened(call), opened(call)
    wrapped.travels(on(SimpleNamespace(socket=SimpleNamespace(sock=sockets[0]))))
    other.travels(on(object()))
    call.expire()

    assert is_at_end(sockets[1])
    assert (wrapped.is_cut, other.is_cut) == (True, False)


def test_a_socket_that_its_connection_has_given_away_is_remembered(call, sockets):
    """http.client does so before the body of an answer that ends with the connection."""
    connection, exchange = on(sockets[0]), opened(call)
    exchange.travels(connection)
    connection.sock = None
    exchange.travels(connection)
    call.expire()

    assert is_at_end(sockets[1])


def test_a_socket_that_is_closed_is_no_error(call, sockets):
    """It needs no cut any more."""
    exchange = opened(call)
    exchange.travels(on(sockets[0]))
    sockets[0].close()

    assert call.expire() == 1.0


@pytest.mark.parametrize("given_back", ["by the connection", "by the end of the exchange"])
def test_a_connection_that_was_given_back_is_not_cut(call, sockets, given_back):
    """It may be another's by now."""
    exchange = opened(call)
    exchange.travels(on(sockets[0]))
    if given_back == "by the connection":
        exchange.travels(None)
    else:
        exchange.finish()

    assert exchange.cut() is False
    assert not exchange.is_cut
    assert not is_at_end(sockets[1])


def test_a_connection_that_comes_too_late_is_refused(call, sockets):
    """While it was being made the deadline passed: the exchange itself says so."""
    exchange, connection = opened(call), on(None)
    exchange.travels(connection)
    assert call.expire() == 1.0  # there is a connection, which will not be used
    connection.sock = sockets[0]

    with pytest.raises(CallExpired) as refused:
        exchange.travels(connection)
    assert str(refused.value) == f"GET {URL}: {TEXT}"
    exchange.travels(None)
    assert not exchange.is_cut


def test_exchanges_without_a_connection_have_a_moment_to_end(call):
    """They may end by timeouts that were set to what was left."""
    opened(call)

    assert call.expire() == 0.025


def test_once_a_connection_is_given_back_it_is_left_alone(terms, eager_switching):
    """Whatever the moment of the deadline: it is cut before that, or not at all."""
    for _ in range(200):
        call = Call(terms, SOON)
        call.begin()
        exchange, (ours, theirs) = opened(call), socket.socketpair()
        with ours, theirs:
            exchange.travels(on(ours))
            expiring = threading.Thread(target=call.expire)
            expiring.start()
            exchange.travels(None)
            cut = exchange.is_cut
            expiring.join()
            assert (exchange.is_cut, is_at_end(theirs)) == (cut, cut)
        call.end()
