"""Servers that are scripted byte by byte, over http and https, and trusted."""

import ssl

import pytest
import trustme

from tests.transport.support import Server, script
from tests.transport.wire.servers import SecureServer


@pytest.fixture(scope="session")
def authority():
    return trustme.CA()


@pytest.fixture(autouse=True)
def trusted(authority, tmp_path, monkeypatch):
    """Lets requests trust the servers here."""
    path = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(path)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(path))


@pytest.fixture(params=["http", "https"])
def tls(request, authority):
    """What a server wraps its sockets with: nothing, or TLS."""
    if request.param == "http":
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    return context


@pytest.fixture
def serve(tls):
    """Starts servers that send what they are told, one answer after the other."""
    running = []

    def start(*answers):
        answer = answers[0] if callable(answers[0]) else script(*answers)
        server = Server(answer) if tls is None else SecureServer(answer, context=tls)
        running.append(server.__enter__())
        return running[-1]

    yield start
    for server in running:
        server.__exit__()
