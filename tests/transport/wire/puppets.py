"""A server whose first connection ends as a test wants it, and when."""

import socket
import ssl
import threading
from contextlib import ExitStack, suppress

from .playing import AFTERWARDS, Player, receive, reset

_BOUND = 20  # seconds after which a test hangs


class Puppet(Player):
    """Answers; but what it does with its first connection, after one answer, it is told.

    Attributes:
        context: For TLS, if it is to speak it.
        deed: What it does once `ordered`; then it is `done`.
    """

    context = deed = None

    def __enter__(self):
        self.ordered, self.done = threading.Event(), threading.Event()
        super().__enter__()
        if self.context is not None:
            self.url = self.url.replace("http:", "https:")
        return self

    def __exit__(self, *_):
        self.ordered.set()
        super().__exit__()

    @property
    def processed(self):
        """How many requests have been read."""
        return len(self.requests)

    def order(self, deed):
        """Tell it what to do, and wait until it is done."""
        self.deed = deed
        self.ordered.set()
        assert self.done.wait(_BOUND)

    def read(self, sock):
        """Read a request."""
        self.requests.append(receive(sock))

    def _serve(self, sock, number):
        with ExitStack() as stack:
            stack.enter_context(suppress(OSError))
            stack.enter_context(sock)
            if self.context is not None:
                sock = stack.enter_context(self.context.wrap_socket(sock, server_side=True))
            while request := receive(sock):
                self.requests.append(request)
                sock.sendall(AFTERWARDS)
                if number == 1:
                    assert self.ordered.wait(_BOUND)
                    if self.deed is not None:
                        self.deed(sock)
                    self.done.set()
                    break


def notify(sock):
    """Close a connection as TLS wants it, with a word before."""
    if isinstance(sock, ssl.SSLSocket):
        sock.settimeout(0)
        with suppress(ssl.SSLWantReadError):
            sock.unwrap()
    sock.close()


# The ways in which a server ends a connection.
ENDS = [socket.socket.close, notify, reset]
