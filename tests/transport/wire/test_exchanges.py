import socket
import ssl
from contextlib import contextmanager
from itertools import cycle

import pytest
import requests

from threadllm.transport.wire.connections import Connection

from .corpus import Case, answer, chunk, raw_chunks, sized
from .playing import (
    Player,
    attempt,
    ended,
    in_pieces,
    open_to,
    reset,
    ways,
    whole,
)
from .servers import SecureServer

QUICK = 0.15  # seconds that are waited for nothing


def both(url, *, others=0, **options):
    """What there is to see on the short way, and on requests' own; nothing is left open."""
    port = int(url.rpartition(":")[2].partition("/")[0])
    for session in ways():
        with ended(session):
            yield attempt(session, url, **options)
            assert open_to(port) == others


def error_of(url, **options):
    """The types of an error and of its causes, after checking that both ways agree on all of it."""
    ours, theirs = both(url, **options)
    assert ours == theirs
    return [kind.__name__ for kind, *_ in ours["errors"]]


@contextmanager
def listening(backlog=8):
    with socket.create_server(("127.0.0.1", 0), backlog=backlog) as listener:
        yield listener, f"//127.0.0.1:{listener.getsockname()[1]}/"


@pytest.fixture
def secure(authority):
    """Starts a server with a certificate for a name."""

    @contextmanager
    def start(name, *answers):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert(name).configure_cert(context)
        given = cycle(answers or [sized()])
        with SecureServer(lambda _: next(given), context=context) as server:
            yield server.url + "/"

    return start


def test_a_refused_connection():
    """Nobody listens there."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/"
    assert error_of(url)[:3] == ["ConnectionError", "MaxRetryError", "NewConnectionError"]


def test_an_unknown_host(monkeypatch):
    """The name has no address."""

    def unknown(*_):
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    assert error_of("http://nowhere.invalid:80/")[2:] == ["NameResolutionError", "gaierror"]


def test_a_name_too_long_for_any_host():
    """A label of more than 63 characters."""
    assert error_of(f"http://{'a' * 64}.invalid:80/")[0] == "LocationParseError"


@pytest.mark.parametrize("scheme", ["http:", "https:"])
def test_a_connect_timeout(scheme):
    """The listener's backlog is full, so that the kernel leaves out the answer."""
    with (
        listening(backlog=0) as (listener, url),
        socket.socket() as first,
        socket.socket() as next_,
    ):
        for sock in (first, next_):
            sock.settimeout(0)
            sock.connect_ex(listener.getsockname())
        errors = error_of(scheme + url, timeout=(QUICK, 5), others=2)
    assert errors[:3] == ["ConnectTimeout", "MaxRetryError", "ConnectTimeoutError"]


def test_a_silent_handshake():
    """The server speaks no TLS, nor anything."""
    with listening() as (_, url):
        assert error_of("https:" + url, timeout=(QUICK, 5))[0] == "ReadTimeout"


class Blunt(Player):
    """Answers whatever comes first with some bytes, and hangs up."""

    answer = b""
    end = staticmethod(socket.socket.close)

    def _serve(self, sock, number):
        sock.recv(1 << 16)
        sock.sendall(self.answer)
        self.end(sock)


@pytest.mark.parametrize("words", [b"", b"HTTP/1.1 400 Bad Request\r\n\r\n"])
@pytest.mark.parametrize("end", [socket.socket.close, reset])
def test_a_handshake_that_breaks_off(words, end):
    """The server takes a handshake for something else, or wants none."""
    with Blunt() as server:
        server.answer, server.end = words, end
        errors = error_of(server.url.replace("http:", "https:") + "/")
    assert errors[0] in {"SSLError", "ConnectionError"}


@pytest.mark.parametrize("name", ["localhost", "example.org"])
def test_an_unknown_authority_or_another_name(secure, trusted, name):
    """A certificate that does not stand up is refused, whatever is wrong with it."""
    with secure(name) as url:
        errors = error_of(url, verify=trusted if name == "example.org" else True)
    assert errors[:3] == ["SSLError", "MaxRetryError", "SSLError"]
    assert "SSLCertVerificationError" in errors


def test_no_file_to_verify_against():
    """The path that requests is given leads nowhere."""
    assert error_of("https://localhost:1/", verify="/nowhere/ca.pem") == ["OSError"]


WAITING = {
    "before the head": b"",
    "in the status": b"HTTP/1.1 20",
    "in the head": b"HTTP/1.1 200 OK\r\nX-A: 1\r\nContent-Le",
    "before the body": answer(b"Content-Length: 5"),
    "in the body": answer(b"Content-Length: 5", body=b"1234"),
    "in a size": raw_chunks(b"1"),
    "in a chunk": raw_chunks(b"5\r\n1234"),
    "between chunks": raw_chunks(chunk(b"1234")),
    "before the last line": raw_chunks(chunk(b"1234"), b"0\r\n"),
    "without a length": answer(body=b"1234"),
    "in a trailer": raw_chunks(b"0\r\nX-A: 1\r\n"),
    "after continue": b"HTTP/1.1 100 Continue\r\n\r\n",
}


@pytest.mark.parametrize("read", [whole, in_pieces], ids=lambda read: read.__name__)
@pytest.mark.parametrize("place", WAITING)
def test_a_read_timeout(player, place, read):
    """The server stops in the middle of it all, and keeps the connection."""
    seen = []
    for session in ways():
        player.play(Case(WAITING[place]))
        with ended(session):
            seen.append(attempt(session, player.url, read, timeout=(5, QUICK)))
            assert open_to(player.port) == 0
    ours, theirs = seen
    assert ours == theirs
    assert {"TimeoutError", "ReadTimeoutError"} <= {kind.__name__ for kind, *_ in ours["errors"]}


def test_each_request_has_its_own_timeouts(player):
    """Those of an earlier request on the same connection count no longer."""
    for session in ways():
        with ended(session):
            for timeout in (10, (5, 7), None, 0.5):
                assert attempt(session, player.url, timeout=timeout)["status"][0] == 200
            player.play(Case(b""))
            errors = attempt(session, player.url, timeout=(5, QUICK))["errors"]
            assert player.connections == 0
        assert errors[0][0] is requests.ReadTimeout
        assert f"read timeout={QUICK}" in errors[0][1]


def test_each_request_has_its_own_timeouts_with_tls_too(secure, trusted):
    """The time to read is counted from a request's last byte."""
    with secure("127.0.0.1", sized(), sized(), b"") as url:
        for session in ways():
            with ended(session):
                for timeout in (10, (5, 7)):
                    seen = attempt(session, url, timeout=timeout, verify=trusted)
                    assert seen["status"][0] == 200
                seen = attempt(session, url, timeout=(5, QUICK), verify=trusted, data=b"x" * 50_000)
            assert seen["errors"][0][0] is requests.ReadTimeout


class Hasty(Player):
    """Answers before it has read the body, and hangs up on it."""

    def _serve(self, sock, number):
        with sock:
            sock.recv(1 << 10)
            sock.sendall(sized(b"Connection: close", status=b"HTTP/1.1 413 Too Large"))
            sock.shutdown(socket.SHUT_WR)  # so that who goes on sending meets a broken pipe


def test_an_answer_to_what_was_not_read():
    """A server that answers early and hangs up has answered."""
    with Hasty() as server:
        ours, theirs = both(server.url + "/", data=b"x" * 20_000_000)
    assert ours == theirs
    assert ours["status"][0] == 413


class Deaf(Player):
    """Reads nothing."""

    def _serve(self, sock, number):
        self._played.wait(20)
        sock.close()


def test_a_body_that_nobody_reads():
    """To send takes as long as to connect may take."""
    with Deaf() as server:
        errors = error_of(server.url + "/", data=b"x" * 20_000_000, timeout=(QUICK, 5))
        server._played.set()
    assert errors == ["ConnectionError", "ProtocolError", "TimeoutError"]


def test_an_interrupt_leaves_no_connection(player, monkeypatch):
    """Ctrl-C while an answer is awaited closes the connection."""

    def interrupt(*_):
        raise KeyboardInterrupt

    session, _ = ways()
    with ended(session):
        session.post(player.url, timeout=10)
        assert open_to(player.port) == 1
        monkeypatch.setattr(Connection, "send_at_once", interrupt)
        with pytest.raises(KeyboardInterrupt):
            session.post(player.url, timeout=10)
        assert open_to(player.port) == 0
