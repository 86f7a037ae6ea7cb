import hashlib
import ssl
from functools import partial

import pytest
import requests
import trustme
from requests_toolbelt import MultipartEncoder, MultipartEncoderMonitor
from requests_toolbelt.adapters.fingerprint import FingerprintAdapter
from requests_toolbelt.adapters.host_header_ssl import HostHeaderSSLAdapter
from requests_toolbelt.adapters.source import SourceAddressAdapter
from requests_toolbelt.sessions import BaseUrlSession

import threadllm
from tests.transport.support import Server, reply, script

from .support import AT_ONCE, asking, outcomes, together, values


class Peers(Server):
    """Answers with the address that the request came from."""

    def _serve(self, sock):
        peer = sock.getpeername()[0].encode()
        self.answer = lambda _: reply(peer)
        super()._serve(sock)


class Secure(Server):
    """Answers over TLS, with a certificate for a host that has another name."""

    def __init__(self, answer, certificate):
        super().__init__(answer)
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        certificate.configure_cert(self.context)

    def _serve(self, sock):
        try:
            secured = self.context.wrap_socket(sock, server_side=True)
        except OSError:  # the client did not like the certificate
            return
        self._sockets.append(secured)
        super()._serve(secured)


@pytest.fixture
def authority():
    return trustme.CA()


@pytest.fixture
def certificate(authority):
    return authority.issue_cert("llm.test")


@pytest.fixture
def session():
    with requests.Session() as session:
        yield session


@pytest.fixture
def post(session, authority, tmp_path):
    """The session's way to post, which believes the certificate."""
    path = tmp_path / "authority.pem"
    authority.cert_pem.write_to_path(path)
    return partial(session.post, verify=str(path))


@pytest.fixture
def secure(certificate):
    with Secure(script(reply(status=503), reply(b"well")), certificate) as server:
        server.url = server.url.replace("http:", "https:")
        yield server


@pytest.fixture
def pool():
    with threadllm.Dispatcher(4, retry=AT_ONCE) as pool:
        yield pool


def test_the_source_address_is_the_adapters(pool, session):
    """Every call's request leaves from where the adapter says."""
    session.mount("http://", SourceAddressAdapter("127.0.0.3"))
    with Peers(None) as server:
        found = values(pool, together(asking(session.post, server.url), 4), range(4))

    assert found == ["127.0.0.3"] * 4


def test_the_fingerprint_is_checked(pool, session, post, certificate, secure):
    """The certificate that was pinned is believed, whatever host it is for; a 503 is retried."""
    der = ssl.PEM_cert_to_DER_cert(certificate.cert_chain_pems[0].bytes().decode())
    session.mount("https://", FingerprintAdapter(hashlib.sha256(der).hexdigest()))

    [outcome] = outcomes(pool, asking(post, secure.url), [0])

    assert (outcome.value, outcome.attempts) == ("well", 2)


def test_another_fingerprint_is_refused(pool, session, post, secure):
    """Nothing is sent to a host with a certificate that was not pinned."""
    session.mount("https://", FingerprintAdapter("00" * 32))

    [outcome] = outcomes(pool, asking(post, secure.url), [0])

    assert isinstance(outcome.error, requests.exceptions.SSLError)
    assert "Fingerprints did not match" in str(outcome.error)
    assert secure.requests == []


def test_the_host_header_is_what_the_certificate_is_checked_for(pool, session, post, secure):
    """By its address a host answers for the name in the header; a 503 is retried."""
    session.mount("https://", HostHeaderSSLAdapter())
    session.headers["Host"] = "llm.test"

    [outcome] = outcomes(pool, asking(post, secure.url), [0])

    assert (outcome.value, outcome.attempts) == ("well", 2)
    assert secure.headers("host") == ["llm.test"] * 2


def test_without_an_adapter_the_certificate_is_refused(pool, session, post, secure):
    """The adapters before are what makes the difference."""
    session.headers["Host"] = "llm.test"

    [outcome] = outcomes(pool, asking(post, secure.url), [0])

    assert isinstance(outcome.error, requests.exceptions.SSLError)
    assert secure.requests == []


def upload(url, content, progress=None):
    encoder = MultipartEncoder({"purpose": "batch", "file": ("a.jsonl", content, "text/plain")})
    body = MultipartEncoderMonitor(encoder, progress) if progress else encoder
    return requests.post(url, data=body, headers={"Content-Type": body.content_type}, timeout=5)


def test_an_upload_is_streamed_as_its_encoder_gives_it(pool, serve):
    """The parts arrive whole, with the length that the encoder told, and its monitor is called."""
    server = serve(reply(b"well"))
    contents = [bytes([65 + item]) * 100_000 for item in range(4)]
    read = []

    def work(content):
        return upload(server.url, content, lambda monitor: read.append(monitor.bytes_read)).text

    assert values(pool, together(work, 4), contents) == ["well"] * 4
    received = [request.body for request in server.requests]
    assert [sum(content in body for body in received) for content in contents] == [1] * 4
    assert server.headers("content-length") == [str(len(body)) for body in received]
    assert server.headers("transfer-encoding") == [None] * 4
    assert max(read) == len(received[0])


def test_an_upload_that_failed_is_made_again_by_its_call(pool, serve):
    """An encoder cannot be rewound, so the call is repeated, with another; charged for once."""
    server = serve(reply(status=503), reply(b"well"))

    def work(content):
        answer = upload(server.url, content)
        answer.raise_for_status()
        return answer.text

    [outcome] = outcomes(pool, work, [b"a" * 100_000])

    assert (outcome.value, outcome.attempts) == ("well", 2)
    assert [b"a" * 100_000 in request.body for request in server.requests] == [True] * 2


def test_a_session_with_a_base_url_is_a_session(pool, serve):
    """Its requests go where it says, and are retried and recorded like any other."""
    server = serve(reply(status=503), reply(b"well"))
    with BaseUrlSession(f"{server.url}/v1/") as session:
        [outcome] = outcomes(pool, lambda item: session.post(item, timeout=5).text, ["chat"])

    assert (outcome.value, outcome.attempts) == ("well", 2)
    assert [request.target for request in server.requests] == ["/v1/chat"] * 2
