import ssl

import pytest
import trustme
from urllib3.util.wait import wait_for_read

from threadllm.transport.wire.pools import Pool

from .playing import Player
from .puppets import Puppet


@pytest.fixture(scope="module")
def player():
    """A server that plays cases."""
    with Player() as running:
        yield running


@pytest.fixture(scope="session")
def authority():
    """Signs the certificates of servers."""
    return trustme.CA()


@pytest.fixture(scope="session")
def trusted(authority, tmp_path_factory):
    """The file to verify its certificates against."""
    path = tmp_path_factory.mktemp("authority") / "ca.pem"
    authority.cert_pem.write_to_path(path)
    return str(path)


@pytest.fixture(params=["http", "https"])
def puppet(request, authority):
    """A server on the first of whose connections there may happen something."""
    server = Puppet()
    if request.param == "https":
        server.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert("127.0.0.1").configure_cert(server.context)
    with server:
        yield server


@pytest.fixture
def between(monkeypatch, puppet):
    """Has the server do something after its idle connection was taken, before it is used."""

    def arrange(deed):
        take = Pool.take

        def take_too_soon(pool):
            connection = take(pool)
            if connection.sock is not None and not puppet.ordered.is_set():
                puppet.order(deed)
                assert wait_for_read(connection.sock, 10)
            return connection

        monkeypatch.setattr(Pool, "take", take_too_soon)

    return arrange
