"""A server that answers a drop at a time."""

import socket
import threading
from contextlib import suppress

from .support import reply

PATIENCE = 30  # real seconds after which something hangs


class Dripping:
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
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        scheme = "http" if self.tls is None else "https"
        self.url = f"{scheme}://localhost:{self._listener.getsockname()[1]}"
        self._threads = []
        self._start(self._accept)
        return self

    def __exit__(self, *_):
        self._closed.set()
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()
        self._listener.close()

    def _start(self, target, *args):
        thread = threading.Thread(target=target, args=args)
        self._threads.append(thread)
        thread.start()

    def _accept(self):
        with suppress(OSError):
            while True:
                self._start(self._serve, self._listener.accept()[0])

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
