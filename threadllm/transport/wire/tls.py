"""TLS contexts: one a process for all connections that verify alike.

urllib3 makes one for each connection and reads the certificates of all authorities into it, which
takes many times what the rest of connecting does.
"""

from __future__ import annotations

import os
import threading
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from requests.utils import DEFAULT_CA_BUNDLE_PATH, extract_zipped_paths
from urllib3.connection import HTTPSConnection
from urllib3.exceptions import SSLError
from urllib3.util import ssl_

if TYPE_CHECKING:
    import ssl

_MOST = 64  # contexts that are remembered


class Verification(NamedTuple):
    """How servers are verified, and as whom their client presents itself.

    Attributes:
        mode: One of ssl's verify modes.
        ca_file: Certificates of authorities, where servers have to prove who they are.
        ca_directory: The same.
        cert_file: The client's certificate, if it has one.
        key_file: The key to that, unless it is in the same file.
    """

    mode: int
    ca_file: str | None
    ca_directory: str | None
    cert_file: str | None
    key_file: str | None

    @classmethod
    def of(cls, connection: HTTPSConnection) -> Verification:
        """What a connection was given by its pool."""
        mode = ssl_.resolve_cert_reqs(connection.cert_reqs)
        file, directory = connection.ca_certs, connection.ca_cert_dir
        if mode and not (file or directory):
            # What requests has in a context of its own, in some of its versions.
            file = extract_zipped_paths(DEFAULT_CA_BUNDLE_PATH)
        return cls(mode, file, directory, connection.cert_file, connection.key_file)


class SharingConnection(HTTPSConnection):
    """A connection with TLS that shares its context with others."""

    _verification: Verification | None = None

    def connect(self) -> None:
        """Open the connection.

        Raises:
            SSLError: There are no certificates where they should be, or the key is locked.
        """
        if self._verification is not None or self._is_usual():
            self.ssl_context = context_for(self._settled())
        super().connect()

    def _is_usual(self) -> bool:
        """Whether no proxy is verified too, and nothing but its own name is asked of the server.

        urllib3 takes the settings for a proxy from the connection. And for another name it
        changes the context, which others would feel.
        """
        proxied = self.proxy is not None and self.proxy.scheme == "https"
        return not proxied and self.assert_hostname is None and self.assert_fingerprint is None

    def _settled(self) -> Verification:
        """How this connection verifies; urllib3 is to load nothing more into the context."""
        if self._verification is None:
            self._verification = Verification.of(self)
            self.ca_certs = self.ca_cert_dir = self.cert_file = self.key_file = None
        return self._verification


def unambiguous(verify: Any) -> Any:
    """The argument of requests, such that what means something else is something else.

    requests finds pools by it: pools of those who trust whom requests trusts would also be found
    with None, which verifies nothing, and with a path that is no string.
    """
    if verify is True or not verify:  # first, as it mostly is, and abstract classes are slow
        return bool(verify)
    return os.fsdecode(verify) if isinstance(verify, (bytes, os.PathLike)) else verify


class _Contexts:
    """The contexts, each with the state of what it was made from."""

    def __init__(self) -> None:
        self._making = threading.Lock()  # guards that each is made once
        self._made: dict[Verification, tuple[object, ssl.SSLContext]] = {}

    def context_for(self, verification: Verification) -> ssl.SSLContext:
        """The context, which is another one after a file has changed.

        Raises:
            SSLError: There are no certificates where they should be, or the key is locked.
            OSError: The client's own certificate cannot be read.
        """
        state = _state_of(verification)  # first: what changes while it is read counts next time
        with self._making:
            known = self._made.get(verification)
            if known is None or known[0] != state:
                known = state, _made(verification)
                if len(self._made) >= _MOST:
                    self._made.clear()
                self._made[verification] = known
        return known[1]

    def start_anew(self) -> None:
        """Replace, in a fork of the process, a lock that some thread of the parent may hold."""
        self._making = threading.Lock()


_contexts = _Contexts()
context_for = _contexts.context_for
with suppress(AttributeError):  # where no process can fork
    os.register_at_fork(after_in_child=_contexts.start_anew)


def _made(verification: Verification) -> ssl.SSLContext:
    mode, ca_file, ca_directory, cert_file, key_file = verification
    context = ssl_.create_urllib3_context(cert_reqs=mode)
    if ca_file or ca_directory:
        try:
            context.load_verify_locations(ca_file, ca_directory)
        except OSError as error:
            raise SSLError(error) from error
    if cert_file:
        if _is_locked(key_file or cert_file):  # OpenSSL would ask for its password, at the terminal
            raise SSLError("Client private key is encrypted, password is required")
        context.load_cert_chain(cert_file, key_file)
    return context


def _is_locked(path: str) -> bool:
    return "ENCRYPTED" in Path(path).read_text(errors="replace")


def _state_of(verification: Verification) -> object:
    """What differs after a file has changed, or after somebody has put another TLS in place."""
    _, ca_file, ca_directory, cert_file, key_file = verification
    files = [_state_of_file(Path(path)) for path in (ca_file, cert_file, key_file) if path]
    return ssl_.SSLContext, files, _state_within(ca_directory) if ca_directory else None


def _state_within(directory: str) -> dict[str, object] | None:
    try:
        with os.scandir(directory) as entries:
            return {entry.name: _state_of_file(entry) for entry in entries}
    except OSError:
        return None


def _state_of_file(file: Path | os.DirEntry[str]) -> tuple[int, ...] | None:
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns
