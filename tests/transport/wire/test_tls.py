import datetime as dt
import shutil
import ssl
import subprocess
import threading
import warnings
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest
import requests
import trustme
from requests.adapters import HTTPAdapter
from urllib3 import connection as of_urllib3
from urllib3.exceptions import InsecureRequestWarning, SSLError
from urllib3.poolmanager import pool_classes_by_scheme
from urllib3.util import ssl_

from tests.transport.support import call, reply, session_on
from threadllm.clock import SYSTEM
from threadllm.transport.wire import WireAdapter, tls
from threadllm.transport.wire.janitor import Janitor
from threadllm.transport.wire.pools import pools_for
from threadllm.transport.wire.tls import Verification, context_for

from .servers import Proxy, SecureServer

HOST = "127.0.0.1"
PAST = dt.datetime(2020, 1, 1, tzinfo=dt.timezone.utc)
WELL = reply(b"well")
SHORT, LONG = "GET", "TRACE"  # by which way a method goes


@dataclass
class Authority:
    """An authority, its certificate in a file, and another file that it signs for clients."""

    ca: trustme.CA
    file: str
    client: str
    locked: str

    def server_context(self, *names, **options):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.ca.issue_cert(*names, **options).configure_cert(context)
        return context


def authority(folder, name):
    ca = trustme.CA(organization_name=name)
    paths = [folder / f"{name}-{kind}.pem" for kind in ("ca", "client", "locked")]
    ca.cert_pem.write_to_path(paths[0])
    ca.issue_cert("client@example.org").private_key_and_cert_chain_pem.write_to_path(paths[1])
    text = paths[1].read_text().replace("EC PRIVATE KEY", "ENCRYPTED PRIVATE KEY")
    paths[2].write_text(text)
    return Authority(ca, *map(str, paths))


@pytest.fixture(scope="module")
def ours(tmp_path_factory):
    """The authority whom the servers here have been signed by."""
    return authority(tmp_path_factory.mktemp("ours"), "ours")


@pytest.fixture(scope="module")
def theirs(tmp_path_factory):
    """Another authority."""
    return authority(tmp_path_factory.mktemp("theirs"), "theirs")


@pytest.fixture
def start():
    """Starts servers with TLS."""
    with ExitStack() as running:
        yield lambda context, answer=WELL, kind=SecureServer: running.enter_context(
            kind(lambda _: answer, context=context)
        )


@pytest.fixture
def server(start, ours):
    """A server whose certificate is in order."""
    return start(ours.server_context(HOST, "localhost"))


@pytest.fixture
def hanging_up(start, ours):
    """A server whose certificate is in order, and that ends each connection after an answer."""
    return start(ours.server_context(HOST), [reply(b"well", connection="close"), None])


@pytest.fixture
def session():
    """A session that knows no environment, on an adapter as dispatchers have."""
    adapter = WireAdapter(4)
    yield session_on(adapter)
    adapter.end()


@pytest.fixture
def made(monkeypatch):
    """The contexts that are made from now on; urllib3 makes none itself."""
    contexts, make = [], ssl_.create_urllib3_context

    def counted(**options):
        contexts.append(make(**options))
        return contexts[-1]

    def no_more(*_, **__):
        raise AssertionError("urllib3 has made a context for one connection")

    monkeypatch.setattr(tls, "_contexts", tls._Contexts())
    monkeypatch.setattr(tls, "context_for", tls._contexts.context_for)
    monkeypatch.setattr(ssl_, "create_urllib3_context", counted)
    monkeypatch.setattr(of_urllib3, "create_urllib3_context", no_more)
    return contexts


def error_of(session, url, **options):
    """The kind and the text of the error that a request ends in."""
    with pytest.raises(requests.RequestException) as caught:
        session.request(url=url, timeout=10, **options)
    return type(caught.value), str(caught.value)


def as_plain(url, **options):
    """The same with an adapter of requests' own."""
    with session_on(HTTPAdapter()) as plain:
        return error_of(plain, url, **options)


@pytest.mark.parametrize("method", [SHORT, LONG])
def test_a_server_signed_by_who_is_trusted_is_believed(server, ours, session, method):
    """An authority's file serves, and the connection is kept as any is."""
    for _ in range(3):
        assert session.request(method, server.url, verify=ours.file, timeout=10).text == "well"

    assert server.connections == 1


@pytest.mark.skipif(shutil.which("openssl") is None, reason="names files as OpenSSL looks for them")
@pytest.mark.parametrize("method", [SHORT, LONG])
def test_a_directory_of_authorities_serves_too(server, ours, theirs, session, method, tmp_path):
    """Who is in it is believed, and who is not is not, until a file is added for him."""

    def add(authority):
        command = ["openssl", "x509", "-noout", "-hash", "-in", authority.file]
        name = subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
        shutil.copy(authority.file, tmp_path / f"{name}.0")

    add(theirs)
    refused = error_of(session, server.url, method=method, verify=str(tmp_path))
    add(ours)

    assert refused[0] is requests.exceptions.SSLError
    assert session.request(method, server.url, verify=str(tmp_path), timeout=10).text == "well"


@pytest.mark.parametrize("method", [SHORT, LONG])
@pytest.mark.parametrize(
    ("names", "options"),
    [
        ([HOST], {"not_before": PAST, "not_after": PAST + dt.timedelta(1)}),
        (["example.org"], {}),
    ],
    ids=["expired", "another name"],
)
def test_a_certificate_that_is_not_in_order_is_refused(
    start, ours, session, method, names, options
):
    """The error is the one that requests raises without us, to the letter."""
    server = start(ours.server_context(*names, **options))

    error = error_of(session, server.url, method=method, verify=ours.file)

    assert error[0] is requests.exceptions.SSLError
    assert error == as_plain(server.url, method=method, verify=ours.file)
    assert server.requests == []


@pytest.mark.parametrize("method", [SHORT, LONG])
def test_a_certificate_signed_by_others_is_refused(server, theirs, session, method):
    """It is so with an authority of the user's, and with those whom requests trusts."""
    for verify in (theirs.file, True):
        error = error_of(session, server.url, method=method, verify=verify)

        assert error[0] is requests.exceptions.SSLError
        assert error == as_plain(server.url, method=method, verify=verify)
    assert server.requests == []


@pytest.mark.parametrize("verify", [False, None, ""])
@pytest.mark.parametrize("method", [SHORT, LONG])
def test_who_wants_no_verification_is_warned(server, ours, session, method, verify):
    """A request without it succeeds; before and after it all others are verified as ever."""
    session.verify = verify
    for _ in range(2):
        with pytest.warns(InsecureRequestWarning):
            assert session.request(method, server.url, timeout=10).text == "well"
        session.verify = True
        assert error_of(session, server.url, method=method)[0] is requests.exceptions.SSLError
        assert session.request(method, server.url, verify=ours.file, timeout=10).text == "well"
        session.verify = verify


@pytest.mark.parametrize("kind", [Path, str.encode])
def test_a_path_of_another_kind_affects_no_other(server, ours, session, kind):
    """It is trusted where it is named, and nowhere else."""
    session.verify = kind(ours.file)
    assert session.get(server.url, timeout=10).text == "well"
    session.verify = True
    assert error_of(session, server.url, method="GET")[0] is requests.exceptions.SSLError


def test_the_environment_says_whom_to_trust(server, ours, monkeypatch):
    """REQUESTS_CA_BUNDLE counts in calls as it does elsewhere, and only while it is set."""

    def ask():
        return requests.get(server.url, timeout=10).text

    refused = call(ask)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", ours.file)
    believed = call(ask)

    assert (type(refused.error), believed.value) == (requests.exceptions.SSLError, "well")


@pytest.fixture
def asking(start, ours):
    """A server that wants to know its clients, and answers with what they are called."""
    context = ours.server_context(HOST)
    context.verify_mode = ssl.CERT_REQUIRED
    context.maximum_version = ssl.TLSVersion.TLSv1_2  # whose handshake waits for the verdict
    ours.ca.configure_trust(context)
    return start(context)


def test_a_client_shows_its_certificate_where_it_is_told_to(asking, ours, session):
    """Before and after, and in other sessions, nobody is presented who has not asked for it."""
    for cert in (ours.client, (ours.client, ours.client)):
        unknown = error_of(session, asking.url, method="GET", verify=ours.file)
        known = session.get(asking.url, verify=ours.file, cert=cert, timeout=10)

        assert unknown[0] in {requests.exceptions.SSLError, requests.ConnectionError}
        assert known.text == "well"


def test_a_key_that_is_locked_is_refused(server, ours, session):
    """Nobody is asked for a password, at a terminal that may have nobody before it."""
    cert = (ours.client, ours.locked)

    error = error_of(session, server.url, method="GET", verify=ours.file, cert=cert)

    assert error == as_plain(server.url, method="GET", verify=ours.file, cert=cert)
    alone = error_of(session, server.url, method="GET", verify=ours.file, cert=ours.locked)
    assert alone[0] is requests.exceptions.SSLError


@pytest.mark.parametrize("text", ["", "no certificate"])
def test_a_file_without_certificates_is_an_error(server, session, tmp_path, text):
    """It is the one that requests raises."""
    (tmp_path / "ca.pem").write_text(text)
    verify = str(tmp_path / "ca.pem")

    error = error_of(session, server.url, method="GET", verify=verify)

    assert error[0] is requests.exceptions.SSLError
    assert error == as_plain(server.url, method="GET", verify=verify)


def test_a_directory_that_goes_away_trusts_nobody(hanging_up, session, tmp_path, monkeypatch):
    """It may do so after requests has looked for it."""
    folder = tmp_path / "ca"
    folder.mkdir()
    monkeypatch.setattr(
        WireAdapter,
        "cert_verify",
        lambda self, pool, *_: (
            folder.exists() and (vars(pool).update(ca_cert_dir=str(folder)), folder.rmdir())
        ),
    )

    error = error_of(session, hanging_up.url, method="GET", verify=str(folder))

    assert error[0] is requests.exceptions.SSLError


@pytest.mark.parametrize("which", ["verify", "cert"])
def test_a_file_that_is_not_there_is_an_error(server, ours, session, tmp_path, which):
    """It is the one that requests raises, and names the file."""
    options = {"verify": ours.file, which: str(tmp_path / "none.pem")}

    with pytest.raises(OSError, match=r"none\.pem"):
        session.get(server.url, timeout=10, **options)


def test_a_file_that_changes_counts_for_what_is_opened_then(
    hanging_up, ours, theirs, session, tmp_path
):
    """Whoever is no longer trusted is refused, and who is trusted now believed."""
    path = tmp_path / "ca.pem"
    answers = []
    for trusted in (ours, theirs, ours):
        shutil.copy(trusted.file, path)
        with suppress(requests.exceptions.SSLError):
            answers.append(session.get(hanging_up.url, verify=str(path), timeout=10).text)
        answers.append(trusted)

    assert answers == ["well", ours, theirs, "well", ours]


def test_a_file_that_goes_away_is_an_error(hanging_up, ours, session, tmp_path):
    """A connection that is opened after that is not verified by what was once there."""
    path = tmp_path / "ca.pem"
    shutil.copy(ours.file, path)
    assert session.get(hanging_up.url, verify=str(path), timeout=10).text == "well"
    path.unlink()

    with pytest.raises(OSError, match=r"invalid path: .*ca\.pem"):
        session.get(hanging_up.url, verify=str(path), timeout=10)
    assert len(hanging_up.requests) == 1


def test_many_connections_make_one_context(hanging_up, ours, session, made):
    """However many are opened; and it verifies names, which nothing has switched off."""
    for _ in range(50):
        session.get(hanging_up.url, verify=ours.file, timeout=10)

    assert hanging_up.connections == 50
    [context] = made
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)
    assert len(context.get_ca_certs()) == 1


def test_certificates_are_read_once(asking, ours, session, monkeypatch):
    """Those of the authorities, and the client's own, are in the context already."""
    read = []

    class Reading(ssl.SSLContext):
        def load_verify_locations(self, *args):
            read.append(args[0])
            super().load_verify_locations(*args)

        def load_cert_chain(self, *args):
            read.append(args[0])
            super().load_cert_chain(*args)

    monkeypatch.setattr(ssl_, "SSLContext", Reading)
    for _ in range(3):
        assert session.get(asking.url, verify=ours.file, cert=ours.client, timeout=10).ok
        session.get_adapter(asking.url).close()

    assert asking.connections == 3
    assert read == [ours.file, ours.client]


def test_different_settings_have_different_contexts(server, ours, theirs, made):
    """Sessions share those that verify alike, and no others."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", InsecureRequestWarning)
        for verify in (ours.file, theirs.file, False, True) * 2:
            with session_on(WireAdapter(1)) as session, suppress(requests.ConnectionError):
                session.get(server.url, verify=verify, timeout=10)

    assert [context.verify_mode for context in made] == [
        ssl.CERT_REQUIRED,
        ssl.CERT_REQUIRED,
        ssl.CERT_NONE,
        ssl.CERT_REQUIRED,
    ]
    assert len(made[-1].get_ca_certs()) > 50


def test_threads_that_connect_at_once_make_one_context(ours, made):
    """The first makes it, and the others wait for it."""
    together, contexts = threading.Barrier(64), []
    verification = Verification(ssl.CERT_REQUIRED, ours.file, None, None, None)

    def work():
        together.wait(10)
        contexts.append(tls.context_for(verification))

    threads = [threading.Thread(target=work) for _ in range(64)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert contexts == made * 64


def test_contexts_of_many_files_are_not_all_remembered(ours, made, tmp_path):
    """Files that come and go leave no more than so many."""
    for n in range(200):
        path = tmp_path / f"{n}.pem"
        shutil.copy(ours.file, path)
        tls.context_for(Verification(ssl.CERT_REQUIRED, str(path), None, None, None))

    assert len(made) == 200
    assert len(tls._contexts._made) <= 64


def test_a_fork_can_make_contexts(ours):
    """Though a thread of its parent was just making one, which holds a lock for ever then."""
    contexts = tls._Contexts()
    contexts._making.acquire()
    contexts.start_anew()

    verification = Verification(ssl.CERT_REQUIRED, ours.file, None, None, None)
    assert contexts.context_for(verification).verify_mode is ssl.CERT_REQUIRED


@pytest.mark.parametrize("method", [SHORT, LONG])
def test_a_tunnel_through_a_proxy_verifies_the_server(server, start, ours, theirs, session, method):
    """The context is the shared one, and who is not trusted is refused."""
    with Proxy() as proxy:
        session.proxies = {"https": proxy.url}
        answer = session.request(method, server.url, verify=ours.file, timeout=10)
        refused = error_of(session, server.url, method=method, verify=theirs.file)

    assert answer.text == "well"
    assert refused[0] is requests.exceptions.SSLError
    assert {method for method, _ in proxy.asked} == {"CONNECT"}


def test_a_proxy_behind_tls_is_verified_as_urllib3_does(server, start, ours, theirs, session):
    """Its certificate too is checked against the authority that was named."""
    proxy = start(ours.server_context(HOST), kind=Proxy)
    session.proxies = {"https": proxy.url}
    answer = session.get(server.url, verify=ours.file, timeout=10)
    refused = error_of(session, server.url, method="GET", verify=theirs.file)

    assert answer.text == "well"
    assert refused[0] in {requests.exceptions.ProxyError, requests.exceptions.SSLError}
    assert proxy.asked == [("CONNECT", server.url.removeprefix("https://"))]


def test_a_connection_that_expects_another_name_leaves_the_shared_context_alone(server, ours):
    """urllib3 switches the check of names off for it, in a context of its own."""
    janitor = Janitor(1, SYSTEM)
    make = pools_for(janitor, pool_classes_by_scheme)["https"]
    port = int(server.url.rpartition(":")[2])
    options = {"ca_certs": ours.file, "cert_reqs": "CERT_REQUIRED", "retries": False}

    with make(HOST, port, assert_hostname="localhost", **options) as pool:
        assert pool.urlopen("GET", "/").data == b"well"
    pool = make(HOST, port, assert_hostname="example.org", **options)
    with pytest.raises(SSLError):
        pool.urlopen("GET", "/")
    shared = context_for(Verification(ssl.CERT_REQUIRED, ours.file, None, None, None))
    assert shared.check_hostname
    janitor.close()


def test_a_connection_that_is_opened_again_verifies_as_before(server, ours, theirs, tmp_path):
    """It does so by what its file holds then."""
    janitor = Janitor(1, SYSTEM)
    path = tmp_path / "ca.pem"
    make = pools_for(janitor, pool_classes_by_scheme)["https"]
    pool = make(HOST, int(server.url.rpartition(":")[2]), ca_certs=str(path))
    pool.cert_reqs = "CERT_REQUIRED"
    connection = pool.take()
    for trusted in (ours, ours, theirs):
        shutil.copy(trusted.file, path)
        with ExitStack() as expected:
            if trusted is theirs:
                expected.enter_context(pytest.raises(ssl.SSLCertVerificationError))
            connection.connect()
            assert connection.is_verified
        connection.close()


def test_who_names_no_authority_trusts_whom_requests_trusts():
    """Some versions of requests name theirs in a context of their own, which others change."""
    connection = of_urllib3.HTTPSConnection("a.example", cert_reqs="CERT_REQUIRED")

    assert Verification.of(connection).ca_file == requests.certs.where()
