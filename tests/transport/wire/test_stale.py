import socket
from contextlib import suppress

import pytest
import requests
from urllib3.util.wait import wait_for_read

from threadllm.transport.wire import connections, kernel

from .corpus import Case
from .playing import WELL, attempt, ended, in_pieces, open_to, reset, ways, whole
from .puppets import ENDS


@pytest.fixture
def ask(puppet, trusted):
    """Makes a request; after the first there is an idle connection."""
    session, _ = ways()
    with ended(session):

        def ask(read=whole, **options):
            options = {"verify": trusted, "data": b"{}", **options}
            return attempt(session, puppet.url, read, **options)

        assert ask()["status"][0] == 200
        assert (puppet.connections, puppet.processed) == (1, 1)
        yield ask


@pytest.mark.parametrize("read", [whole, in_pieces])
@pytest.mark.parametrize("method", ["POST", "HEAD"])  # by the short way, and by urllib3's
@pytest.mark.parametrize("end", ENDS)
def test_a_connection_that_ended_while_it_was_idle_is_replaced(puppet, ask, end, method, read):
    """What the server has closed costs a new connection, and nothing else."""
    puppet.order(end)
    seen = ask(read, method=method)
    assert seen["status"][0] == 200
    assert (puppet.connections, puppet.processed) == (2, 2)


@pytest.mark.parametrize("read", [whole, in_pieces])
@pytest.mark.parametrize("end", ENDS)
def test_a_connection_that_ends_as_it_is_taken_is_replaced(puppet, ask, between, end, read):
    """A request that finds its connection closed goes out on another one, and is read once."""
    between(end)
    seen = ask(read)
    assert seen["status"][0] == 200
    assert (puppet.connections, puppet.processed) == (2, 2)
    assert open_to(puppet.port) == 1


@pytest.mark.parametrize("end", ENDS)
def test_a_large_request_is_replaced_too(puppet, ask, between, end):
    """However long a request is: if its connection had ended before, it goes out on another."""
    between(end)
    assert ask(data=b"x" * 10_000_000)["content"] == WELL
    assert (puppet.connections, puppet.processed) == (2, 2)


@pytest.mark.parametrize("read", [whole, in_pieces])
@pytest.mark.parametrize("end", ENDS)
def test_a_request_that_was_read_is_not_sent_again(puppet, ask, end, read):
    """Whatever ends a connection whose server has read the request: that is an error."""

    def read_and_end(sock):
        puppet.read(sock)
        end(sock)

    puppet.deed = read_and_end
    puppet.ordered.set()
    seen = ask(read)
    assert seen["errors"][0][0] is requests.ConnectionError
    assert (puppet.connections, puppet.processed) == (1, 2)
    assert open_to(puppet.port) == 0


def test_a_request_of_which_a_part_was_read_is_not_sent_again(puppet, ask):
    """The server took some of a large request, and hung up on the rest."""

    def read_some(sock):
        puppet.requests.append(sock.recv(1 << 16))
        reset(sock)

    puppet.deed = read_some
    puppet.ordered.set()
    kind, *_ = ask(data=b"x" * 10_000_000)["errors"][0]
    assert issubclass(kind, requests.ConnectionError)
    assert (puppet.connections, puppet.processed) == (1, 2)


def silent(_):
    """A kernel that tells nothing."""


def uncounted(sock):
    """A kernel that does not count what is acknowledged."""
    return kernel.state_of(sock)._replace(acknowledged=0)


@pytest.mark.parametrize("word", [silent, uncounted])
def test_without_the_kernels_word_it_may_have_been_read(
    monkeypatch, puppet, trusted, between, word
):
    """Where nobody can tell what has arrived, nothing is sent again."""
    monkeypatch.setattr(connections, "state_of", word)
    session, _ = ways()
    with ended(session):
        assert attempt(session, puppet.url, verify=trusted)["content"] == WELL
        between(socket.socket.close)
        seen = attempt(session, puppet.url, verify=trusted)
    assert seen["errors"][0][0] is requests.ConnectionError
    assert (puppet.connections, puppet.processed) == (1, 1)


@pytest.mark.parametrize("ending", ["close", "reset"])
def test_a_new_connection_that_breaks_is_not_replaced(player, ending):
    """A request that is the first on its connection is sent once, whatever comes of it."""
    session, _ = ways()
    player.play(Case(b"", ending))
    with ended(session):
        seen = attempt(session, player.url)
    assert seen["errors"][0][0] is requests.ConnectionError
    assert (player.connections, len(player.requests)) == (1, 1)


def test_a_replacement_that_cannot_be_had_is_an_error(puppet, ask, between):
    """The server closes an idle connection, and listens no longer."""

    def close_all(sock):
        sock.close()
        puppet.hang_up()

    between(close_all)
    errors = [kind.__name__ for kind, *_ in ask()["errors"]]
    assert errors[:3] == ["ConnectionError", "MaxRetryError", "NewConnectionError"]


@pytest.fixture
def pair():
    """The two ends of a connection."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        ours = socket.create_connection(listener.getsockname())
        theirs, _ = listener.accept()
    with ours, theirs:
        yield ours, theirs


def last_words(sock):
    sock.sendall(b"bye")
    sock.close()


@pytest.mark.parametrize(
    ("end", "words", "ended"),
    [(socket.socket.close, 0, True), (last_words, 3, True), (reset, 0, False)],
)
@pytest.mark.parametrize("sends", [False, True])
def test_the_kernel_knows_an_end_from_a_reset(pair, end, words, ended, sends):
    """After an orderly end, whether or not something was sent in spite of it; not after a reset."""
    ours, theirs = pair
    ours.sendall(b"request")
    assert theirs.recv(7) == b"request"
    before = kernel.state_of(ours)
    end(theirs)
    assert wait_for_read(ours, 10)
    with suppress(ConnectionError):
        if sends:
            ours.sendall(b"another")
        while ours.recv(100):
            pass
    assert kernel.state_of(ours).received == before.received + words + ended
    assert kernel.has_ended(ours, before) is ended


def test_elsewhere_than_on_linux_the_kernel_is_not_asked(monkeypatch):
    """Neither for a connection's state nor to keep its timeouts."""
    monkeypatch.setattr(kernel, "_LINUX", False)
    with socket.socket() as sock:
        assert kernel.state_of(sock) is None
        assert not kernel.keeps_timeouts(sock)
