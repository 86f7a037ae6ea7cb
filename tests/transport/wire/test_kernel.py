"""What the kernel is asked and told directly, on sockets of its own."""

import errno
import os
import socket
import sys
import threading

import pytest

from threadllm.transport.wire import kernel

from .playing import reset

BODY = b"a\0b" * 100


@pytest.fixture
def pair():
    """Two ends of a connection, of which ours leaves its timeouts to the kernel."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        ours = socket.create_connection(listener.getsockname())
        theirs, _ = listener.accept()
    theirs.settimeout(10)
    with ours, theirs:
        yield ours, theirs


@pytest.fixture(params=["at once", "without ctypes"])
def _either_way(request, monkeypatch):
    """Some builds of Python have no ctypes."""
    if request.param == "without ctypes":
        monkeypatch.setitem(sys.modules, "ctypes", None)
    kernel._sender.cache_clear()
    yield
    kernel._sender.cache_clear()


def received(sock, number):
    with sock.makefile("rb") as stream:
        return stream.read(number)


def fill(sock):
    """Sends until there is no room; how many bytes that was."""
    sent = 0
    sock.settimeout(0)
    try:
        while True:
            sent += sock.send(b"x" * 4096)
    except BlockingIOError:
        sock.settimeout(None)
        return sent


@pytest.mark.usefixtures("_either_way")
@pytest.mark.parametrize("size", [0, 1, kernel.AT_ONCE, kernel.AT_ONCE + 1, 10 * kernel.AT_ONCE])
def test_all_is_sent(pair, size):
    """However long it is, whatever it holds."""
    data = (BODY * (size // len(BODY) + 1))[:size]
    kernel.send_all(pair[0], data)

    assert received(pair[1], size) == data


def test_a_socket_of_somebodys_own_is_asked(pair, monkeypatch):
    """As mocks of the network put into the place of all sockets."""
    sent = []
    monkeypatch.setattr(socket.socket, "sendall", lambda _, data: sent.append(data))
    kernel.send_all(pair[0], BODY)

    assert sent == [BODY]


@pytest.mark.usefixtures("_either_way")
def test_what_finds_no_room_waits_for_it(pair):
    """Until the other side has read."""
    ours, theirs = pair
    before, got = fill(ours), []
    reader = threading.Thread(target=lambda: got.append(received(theirs, before + len(BODY))))
    reader.start()
    kernel.send_all(ours, BODY)
    reader.join(10)

    assert got[0][before:] == BODY


@pytest.mark.usefixtures("_either_way")
def test_it_does_not_wait_for_room_for_ever(pair):
    """But for as long as the kernel was told."""
    fill(pair[0])
    kernel.set_timeouts(pair[0], 0.01, None)
    with pytest.raises(BlockingIOError):
        kernel.send_all(pair[0], BODY)


@pytest.mark.usefixtures("_either_way")
@pytest.mark.parametrize(
    ("end", "code"),
    [
        (lambda ours, _: ours.shutdown(socket.SHUT_WR), errno.EPIPE),
        (lambda ours, _: ours.close(), errno.EBADF),
        (lambda _, theirs: reset(theirs), errno.ECONNRESET),
    ],
)
def test_errors_are_those_of_sendall(pair, end, code):
    """Their kinds, their numbers and their texts."""
    end(*pair)
    expected = OSError(code, os.strerror(code))
    with pytest.raises(type(expected)) as raised:
        kernel.send_all(pair[0], BODY)
    assert (type(raised.value), raised.value.args) == (type(expected), expected.args)


def test_of_what_is_no_tcp_the_kernel_knows_no_state():
    """Then nobody can tell what has arrived."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        assert kernel.state_of(ours) is None
