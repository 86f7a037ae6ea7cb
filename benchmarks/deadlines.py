"""How late calls end whose deadline passes while a server drips: head and body, http and https.

    python benchmarks/deadlines.py --calls 64 --deadline 1

The server is in the same process, and takes its share of it. Needs `trustme`, for a certificate
of its own: it is in the `test` extra.
"""

from __future__ import annotations

import argparse
import os
import platform
import ssl
import statistics
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from socket import SHUT_RDWR, create_server
from typing import TYPE_CHECKING, NamedTuple

import requests
import trustme

import threadllm

if TYPE_CHECKING:
    from collections.abc import Iterator
    from socket import socket

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nwell"
DRIPS = {
    "head": b"HTTP/1.1 200 OK\r\nX-Slow: ",
    "body": b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n",
}
PACE = 0.05  # seconds between two bytes
MOST = 0.05  # seconds that a call may be late


class Dripper:
    """A server on loopback that answers a byte at a time, or at once on `/well`."""

    def __init__(self, drip: bytes, tls: ssl.SSLContext | None) -> None:
        self.port = 0
        self._drip = drip
        self._tls = tls
        self._stopped = threading.Event()

    @contextmanager
    def running(self, clients: int) -> Iterator[Dripper]:
        """Serve so many clients at a time while the block lasts."""
        with (
            ThreadPoolExecutor(2 * clients + 1) as threads,
            create_server(("127.0.0.1", 0), backlog=clients) as listener,
        ):
            self.port = listener.getsockname()[1]
            threads.submit(self._accept, listener, threads)
            try:
                yield self
            finally:
                self._stopped.set()
                listener.shutdown(SHUT_RDWR)

    def _accept(self, listener: socket, threads: ThreadPoolExecutor) -> None:
        with suppress(OSError, RuntimeError):
            while True:
                threads.submit(self._serve, listener.accept()[0])

    def _serve(self, sock: socket) -> None:
        with suppress(OSError), ExitStack() as stack:
            stack.callback(sock.close)
            if self._tls is not None:
                sock = self._tls.wrap_socket(sock, server_side=True)
                stack.callback(sock.close)
            while request := sock.recv(1 << 16):
                if b"/well" in request:
                    sock.sendall(ANSWER)
                    continue
                sock.sendall(self._drip)
                while not self._stopped.wait(PACE):
                    sock.sendall(b"x")


class Lateness(NamedTuple):
    """What one round came to.

    Attributes:
        late: Seconds by which each call was late.
        errors: What they ended with, by name.
        well: How many calls went well afterwards, on the same dispatcher.
    """

    late: list[float]
    errors: set[str]
    well: int


def measure(url: str, calls: int, deadline: float) -> Lateness:
    """Have so many calls dripped upon at a time, and as many answered after that."""
    begun, ended = dict.fromkeys(range(calls), 0.0), dict.fromkeys(range(calls), 0.0)

    def call(number: int) -> requests.Response:
        begun[number] = time.monotonic()
        return requests.get(f"{url}/drip", timeout=600)

    def note(number: int, _: object) -> None:
        ended[number] = time.monotonic()

    with threadllm.Dispatcher(calls, deadline=deadline) as pool:
        futures = [pool.submit(call, number) for number in begun]
        for number, future in enumerate(futures):
            future.add_done_callback(partial(note, number))
        errors = {type(future.exception()).__name__ for future in futures}
        with threadllm.deadline(60):  # what comes after is not to be quick, but well
            after = [pool.submit(requests.get, f"{url}/well") for _ in range(calls)]
        well = sum(future.exception() is None for future in after)
    return Lateness([ended[n] - begun[n] - deadline for n in begun], errors, well)


def row(name: str, calls: int, result: Lateness) -> str:
    """What is printed of a round, and whether it is as it should be."""
    middle, most = (
        f"{1000 * late:7.1f} ms" for late in (statistics.median(result.late), max(result.late))
    )
    fine = max(result.late) <= MOST and result.well == calls
    errors, verdict = ", ".join(sorted(result.errors)), "reached" if fine else "MISSED"
    return f"{name:<14}{middle:>12}{most:>12}{result.well:>8}  {errors}  {verdict}"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--calls", type=int, default=64, help="at a time (%(default)s)")
    parser.add_argument("--deadline", type=float, default=1.0, help="seconds (%(default)s)")
    options = parser.parse_args()
    authority, tls = trustme.CA(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(tls)
    print(
        f"{options.calls} calls at a time, {options.deadline:g} s each, "
        f"Python {platform.python_version()}, threadllm {threadllm.__version__}\n"
        f"{'dripping':<14}{'median late':>12}{'at most':>12}{'after':>8}  errors"
    )
    with authority.cert_pem.tempfile() as trusted:
        os.environ["REQUESTS_CA_BUNDLE"] = trusted
        for scheme, context in (("http", None), ("https", tls)):
            for part, drip in DRIPS.items():
                with Dripper(drip, context).running(options.calls) as server:
                    url = f"{scheme}://localhost:{server.port}"
                    result = measure(url, options.calls, options.deadline)
                print(row(f"{scheme} {part}", options.calls, result))


if __name__ == "__main__":
    main()
