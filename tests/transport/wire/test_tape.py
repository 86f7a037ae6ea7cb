import socket

import pytest

from threadllm.transport.wire.tape import Tape


@pytest.fixture
def pair():
    """A connection's socket, and its other end."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield ours, theirs


def test_what_came_is_played_before_what_comes(pair):
    """Bytes that were received come first, then those of the socket, then its end."""
    ours, theirs = pair
    theirs.sendall(b"three")
    theirs.close()
    with Tape(ours, b"one two ").makefile("rb") as file:
        assert (file.read(2), file.read(4), file.read()) == (b"on", b"e tw", b"o three")


def test_what_came_is_followed_by_what_broke(pair):
    """An error is met again where it was met, as often as it is asked for."""
    ours, _ = pair
    broke = ConnectionResetError("reset")
    with Tape(ours, b"one", broke=broke).makefile("rb") as file:
        assert file.read(3) == b"one"
        for _ in range(2):
            with pytest.raises(ConnectionResetError) as caught:
                file.read(1)
            assert caught.value is broke


def test_what_was_sent_is_not_sent_again(pair):
    """A request is swallowed; if it could not be sent, that is said again."""
    ours, theirs = pair
    refused = BrokenPipeError("gone")
    Tape(ours).sendall(b"request")
    with pytest.raises(BrokenPipeError) as caught:
        Tape(ours, refused=refused).sendall(b"request")
    assert caught.value is refused
    theirs.settimeout(0)
    with pytest.raises(BlockingIOError):
        theirs.recv(1)


def test_it_is_the_socket_in_all_else(pair):
    """Its number, its timeout, and whatever else is asked of it."""
    ours, _ = pair
    tape = Tape(ours, b"one")
    tape.settimeout(7)
    assert (tape.fileno(), ours.gettimeout()) == (ours.fileno(), 7)
    with tape.makefile("rb") as file:
        assert file.fileno() == ours.fileno()
        assert file.readable()


def test_the_file_keeps_the_socket_open(pair):
    """As with a socket's own file: the connection ends when both are closed."""
    ours, theirs = pair
    theirs.settimeout(10)
    tape = Tape(ours, b"one")
    file = tape.makefile("rb")
    tape.close()
    theirs.sendall(b"two")
    assert file.read(6) == b"onetwo"
    file.close()
    assert theirs.recv(1) == b""


@pytest.mark.parametrize(
    ("tape", "blank", "sent"),
    [
        (Tape(None), True, True),
        (Tape(None, b"x"), False, True),
        (Tape(None, refused=BrokenPipeError()), True, False),
        (Tape(None, refused=TimeoutError()), False, False),
        (Tape(None, broke=ConnectionResetError()), False, True),
        (Tape(None, broke=TimeoutError()), False, True),
    ],
)
def test_it_knows_whether_anything_came(tape, blank, sent):
    """An end without a word is blank, and so is a request that was not taken; no other error."""
    assert (tape.is_blank, tape.was_sent) == (blank, sent)
