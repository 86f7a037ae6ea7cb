"""Servers with TLS, and proxies, on loopback; and sessions to ask them."""

import socket
import ssl
import threading
from contextlib import suppress
from dataclasses import dataclass, field

from tests.transport.support import Server


@dataclass
class SecureServer(Server):
    """The same behind TLS."""

    context: ssl.SSLContext = None

    def __enter__(self):
        super().__enter__()
        if self.context is not None:
            self.url = self.url.replace("http:", "https:")
        return self

    def _serve(self, sock):
        with suppress(OSError):
            super()._serve(self._wrapped(sock))
        sock.close()

    def _wrapped(self, sock):
        """The socket with TLS; the plain one is of no use any more, to hang up neither."""
        wrapped = self.context.wrap_socket(sock, server_side=True)
        self._sockets.append(wrapped)
        return wrapped


@dataclass
class Proxy(SecureServer):
    """Forwards to servers that hang up, and opens tunnels; behind TLS if it has a context."""

    answer: object = None
    asked: list = field(default_factory=list)

    def _serve(self, sock):
        with suppress(OSError, ValueError):
            if self.context is not None:
                sock = self._wrapped(sock)
            while self._pass_on(sock):
                pass
        sock.close()

    def _pass_on(self, sock):
        """Deal with one request; whether there may be another."""
        head = _read_head(sock)
        method, target, _ = head.split(b" ", 2)
        self.asked.append((method.decode(), target.decode()))
        if method == b"CONNECT":
            with _connected(target) as upstream:
                sock.sendall(b"HTTP/1.1 200 Connected\r\n\r\n")
                there = threading.Thread(target=_pump, args=(sock, upstream))
                there.start()
                _pump(upstream, sock)
                there.join()
            return False
        host, slash, path = target.removeprefix(b"http://").partition(b"/")
        with _connected(host) as upstream:
            upstream.sendall(head.replace(target, slash + path))
            while piece := upstream.recv(1 << 16):
                sock.sendall(piece)
        return True


def _read_head(sock):
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        byte = sock.recv(1)
        if not byte:
            raise OSError("it is gone")
        head += byte
    return head


def _connected(address):
    host, _, port = address.decode().rpartition(":")
    return socket.create_connection((host, int(port)))


def _pump(source, target):
    with suppress(OSError):
        while piece := source.recv(1 << 16):
            target.sendall(piece)
    for sock in (source, target):
        with suppress(OSError):
            sock.shutdown(socket.SHUT_RDWR)
