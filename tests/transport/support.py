"""What the transport's tests share: short ways to run calls, and a server scripted byte by byte."""

import json
import socket
import threading
from contextlib import suppress
from dataclasses import dataclass, field

import requests

import threadllm
from threadllm.testing import FakeClock

CHAT = "/v1/chat/completions"
EXACT = threadllm.Retry(jitter="none")


def get(url, **options):
    response = requests.get(url, timeout=5, **options)
    response.raise_for_status()
    return response.text


def run(fn, items=(None,), **options):
    """The outcomes of calls, in input order; one worker, and no stop, unless told otherwise."""
    with threadllm.Dispatcher(**{"max_workers": 1, "on_stop": "continue", **options}) as pool:
        return list(pool.outcomes(fn, items, ordered=True))


def call(fn, **options):
    """The outcome of one call that takes no argument."""
    return run(lambda _: fn(), **options)[0]


def virtually(fn, items=(None,), **options):
    """The outcomes of calls in virtual time, and the seconds that it took."""
    clock = FakeClock()
    start = clock.monotonic()
    with clock.running():
        outcomes = run(fn, items, clock=clock, **options)
    return outcomes, clock.monotonic() - start


def session_on(adapter):
    """A session that knows no environment, on an adapter."""
    session = requests.Session()
    session.trust_env = False
    for prefix in ("http://", "https://"):
        session.mount(prefix, adapter)
    return session


def chat_body(prompt="hello", **more):
    return {"model": "m", "messages": [{"role": "user", "content": prompt}], **more}


def reply(body=b"", status=200, **headers):
    """A whole answer; header names are written with underscores."""
    if not isinstance(body, bytes):
        body = json.dumps(body).encode()
    headers = {"content_length": len(body)} | headers
    lines = [f"HTTP/1.1 {status} Reason"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def chunked(*chunks, status=200, **headers):
    """A whole answer in chunks."""
    head = reply(status=status, transfer_encoding="chunked", **headers)
    head = head.replace(b"content-length: 0\r\n", b"")
    return head + b"".join(b"%x\r\n%s\r\n" % (len(chunk), chunk) for chunk in (*chunks, b""))


@dataclass
class Request:
    """What the server received."""

    method: str
    target: str
    headers: dict
    body: bytes = b""


class Listener:
    """A server on loopback; it has a thread for each connection."""

    def __enter__(self):
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=512)
        self.port = self._listener.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self._sockets, self._threads = [], []
        self._start(self._accept)
        return self

    def __exit__(self, *_):
        for sock in (self._listener, *self._sockets):
            with suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
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
                sock, _ = self._listener.accept()
                self._sockets.append(sock)
                self._take(sock)

    def _take(self, sock):
        self._start(self._serve, sock)


@dataclass
class Server(Listener):
    """Answers each request with the bytes that `answer(request)` gives; with None it hangs up.

    An answer may also be a list of both, of bytes and then None.
    """

    answer: object
    requests: list = field(default_factory=list)
    connections: int = 0

    def headers(self, name):
        """One header of each request, in order; None where it was not sent."""
        return [request.headers.get(name) for request in self.requests]

    def _take(self, sock):
        self.connections += 1
        super()._take(sock)

    def _serve(self, sock):
        with sock, sock.makefile("rb") as stream, suppress(OSError):
            while (request := _read(stream)) is not None:
                self.requests.append(request)
                answer = self.answer(request)
                for piece in answer if isinstance(answer, list) else [answer]:
                    if piece is None:
                        return
                    sock.sendall(piece)


def _read(stream):
    line = stream.readline()
    if not line:
        return None
    method, target, _ = line.decode().split()
    headers = {}
    while (line := stream.readline()) not in (b"\r\n", b""):
        name, _, value = line.decode("latin-1").partition(":")
        headers[name.lower()] = value.strip()
    body = stream.read(int(headers.get("content-length", 0)))
    if headers.get("transfer-encoding") == "chunked":
        while size := int(stream.readline(), 16):
            body += stream.read(size)
            stream.readline()
        stream.readline()
    return Request(method, target, headers, body)


def script(*answers):
    """Gives one answer after the other, the last one again and again."""
    left = list(answers)
    return lambda _: left.pop(0) if len(left) > 1 else left[0]
