"""A server that answers a drop at a time."""

import threading
from contextlib import suppress

from .support import Listener, reply

PATIENCE = 30  # real seconds after which something hangs


class Dripping(Listener):
    """A server that begins an answer and goes on with it, a drop at a time, for as long as it may.

    Once `well` is set it answers as it should.
    """

    def __init__(self, beginning, drop, tls=None):
        self.beginning, self.drop, self.tls = beginning, drop, tls
        self.well = threading.Event()
        self.dripping = threading.Semaphore(0)  # released once for each answer that drips
        self.ended = threading.Semaphore(0)  # and once the client has gone
        self.requests = 0
        self._closed = threading.Event()

    def __enter__(self):
        super().__enter__()
        scheme = "http" if self.tls is None else "https"
        self.url = f"{scheme}://localhost:{self.port}"
        return self

    def __exit__(self, *error):
        self._closed.set()
        super().__exit__(*error)

    def _serve(self, sock):
        with suppress(OSError):
            sock.settimeout(PATIENCE)
            if self.tls is not None:
                sock = self.tls.wrap_socket(sock, server_side=True)
            with sock:
                while self._answer(sock):
                    pass

    def _answer(self, sock):
        request = b""
        while b"\r\n\r\n" not in request:
            data = sock.recv(65536)
            if not data:
                return False
            request += data
        self.requests += 1
        if self.well.is_set():
            sock.sendall(reply(b"well"))
            return True
        self._drip(sock)
        return False

    def _drip(self, sock):
        try:
            sock.sendall(self.beginning)
            self.dripping.release()
            while not self._closed.wait(0.01):
                sock.sendall(self.drop)
        finally:
            self.ended.release()
