"""A server that plays bytes, and what there is to see of a request that meets them."""

import pickle
import re
import socket
import struct
import threading
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from requests.adapters import HTTPAdapter

from tests.transport.support import session_on
from threadllm.transport.wire import WireAdapter

from .corpus import JSON, sized

WELL = b'{"after": "wards"}'
AFTERWARDS = sized(JSON, b"X-Afterwards: yes", body=WELL)
_LINGER = struct.pack("ii", 1, 0)  # with which closing is a reset
_BOUND = 20  # seconds after which a test hangs


def reset(sock):
    """Close a connection with a reset."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER)
    sock.close()


def open_to(port):
    """How many connections of this process to a port of this machine are open."""
    ours = set()
    for line in Path("/proc/self/net/tcp").read_text().splitlines()[1:]:
        fields = line.split()
        if int(fields[2].rpartition(":")[2], 16) == port:
            ours.add(f"socket:[{fields[9]}]")
    targets = []
    for descriptor in Path("/proc/self/fd").iterdir():
        with suppress(FileNotFoundError):  # that of the listing itself
            targets.append(str(descriptor.readlink()))
    return len(ours.intersection(targets))


def receive(sock):
    """One request with its body, as it came; nothing at the end."""
    received = b""
    while b"\r\n\r\n" not in received:
        if not (piece := sock.recv(1 << 16)):
            return b""
        received += piece
    head, _, body = received.partition(b"\r\n\r\n")
    length = re.search(rb"^content-length: *([0-9]+)\r?$", head, re.IGNORECASE | re.MULTILINE)
    chunks = re.search(rb"^transfer-encoding: *chunked\r?$", head, re.IGNORECASE | re.MULTILINE)
    while len(body) < int(length[1] if length else 0) or (
        chunks and not (b"\r\n" + body).endswith(b"\r\n0\r\n\r\n")
    ):
        if not (piece := sock.recv(1 << 16)):
            break
        body += piece
    return b"%b\r\n\r\n%b" % (head, body)


@dataclass
class Player:
    """Answers one request with the bytes of a case, all others with an ordinary answer.

    Attributes:
        requests: What was received, with the number of its connection.
        connections: How many there were.
    """

    requests: list = field(default_factory=list)
    connections: int = 0

    def __enter__(self):
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port = self._listener.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self._case, self._played = None, threading.Event()
        self._open, self._threads = set(), []
        self._start(self._accept)
        return self

    def hang_up(self):
        """Listen no longer."""
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def __exit__(self, *_):
        self.hang_up()
        for sock in [*self._open]:
            with suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()

    def play(self, case):
        """Have the next request answered by a case, and begin to count anew."""
        self._case, self._played = case, threading.Event()
        self.requests, self.connections = [], 0

    def wait(self):
        """Wait until all of the case has been sent, and its end has come."""
        assert self._played.wait(_BOUND)

    def push(self, data):
        """Send more, unasked, on all connections."""
        for sock in [*self._open]:
            with suppress(OSError):  # it has just been closed
                sock.sendall(data)

    def _start(self, target, *args):
        self._threads = [thread for thread in self._threads if thread.is_alive()]
        self._threads.append(threading.Thread(target=target, args=args))
        self._threads[-1].start()

    def _accept(self):
        with suppress(OSError):
            while True:
                sock, _ = self._listener.accept()
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self.connections += 1
                self._open.add(sock)
                self._start(self._serve, sock, self.connections)

    def _serve(self, sock, number):
        with sock, suppress(OSError):
            while request := receive(sock):
                self.requests.append((number, request))
                case, self._case = self._case, None
                if case is None:
                    sock.sendall(AFTERWARDS)
                elif not self._perform(sock, case):
                    break
        self._open.discard(sock)

    def _perform(self, sock, case):
        """Play a case; whether the connection is kept."""
        try:
            sock.sendall(case.data)
        finally:
            if case.ending == "close":
                sock.close()
            elif case.ending == "reset":
                reset(sock)
            self._played.set()
        return case.ending == "keep"


def without_numbers(text):
    """A text without what differs from one connection to the next."""
    return re.sub(r"0x[0-9a-f]+|port=[0-9]+|127\.0\.0\.1:[0-9]+|pid [0-9]+", "#", str(text))


def seen_of_error(error):
    """What there is to see of an error."""
    causes, cause = [], error
    while cause is not None:
        causes.append((type(cause), without_numbers(cause), len(cause.args)))
        cause = cause.__cause__ or cause.__context__
    request, response = (getattr(error, name, None) for name in ("request", "response"))
    return {
        "errors": causes,
        "sent": request and (request.method, request.url),
        "answered": response,
    }


def seen_of(response):
    """What there is to see of a response whose body has been read, or was given up."""
    raw, content = response.raw, response._content
    return {
        "status": (response.status_code, response.reason, response.ok),
        "headers": (type(response.headers), [*response.headers.items()]),
        "content": content,
        "text": response.text if content and len(content) < 10_000 else None,
        "encoding": response.encoding,
        "url": response.url,
        "cookies": [repr(cookie) for cookie in response.cookies],
        "history": [*map(seen_of, response.history)],
        "redirects": (response.is_redirect, response.is_permanent_redirect),
        "next": response.next and response.next.url,
        "links": response.links,
        "elapsed": type(response.elapsed),
        "adapter": isinstance(response.connection, HTTPAdapter),
        "attributes": [*vars(response)],
        "request": (response.request.method, response.request.url),
        "raw": seen_of_raw(raw),
    }


def seen_of_raw(raw):
    headers = raw.headers
    names = sorted({name.lower() for name in headers})
    return {
        "type": type(raw),
        "attributes": sorted(vars(raw)),
        "version": (raw.version, getattr(raw, "version_string", None)),
        "status": (raw.status, raw.reason),
        "headers": (type(headers), [*headers.items()], [*headers], [*headers.iteritems()]),
        "values": [headers.getlist(name) for name in names],
        "closed": (raw.closed, raw.isclosed(), raw.chunked, raw.length_remaining),
        "url": (raw.geturl(), raw.url),
        "place": (raw.tell(), raw.connection, repr(raw.retries)),
        "options": (raw.auto_close, raw.enforce_content_length, raw.decode_content, raw.msg),
        "rest": raw.closed and [*map(outcome, (raw.read, lambda: raw.data, lambda: streamed(raw)))],
    }


def streamed(raw):
    """The body in pieces; urllib3 reads for ever where a broken one leaves a tail undecoded."""
    stuck = getattr(raw._decoder, "has_unconsumed_tail", False)
    return "stuck" if stuck else [*raw.stream()]


def outcome(function):
    """What a function gives, or what there is to see of its error."""
    try:
        return function()
    except Exception as error:
        return seen_of_error(error)


def seen_of_pickled(response):
    """What there is to see of a response that went through a pickle."""
    copy = pickle.loads(pickle.dumps(response))
    return {**vars(copy), "request": None, "elapsed": None, "history": None, "cookies": None}


# The ways to read a body.


def whole(response):
    """Read as requests does where no stream is asked for."""
    return response.content, seen_of_pickled(response)


def byte_by_byte(response):
    return [*response.iter_content(1)]


def in_pieces(response):
    return [*response.iter_content(100)]


def as_it_comes(response):
    return b"".join(response.iter_content(None))


def line_by_line(response):
    return [*response.iter_lines(chunk_size=10)]


def raw_pieces(response):
    return [*iter(partial(response.raw.read, 77), b"")]


def raw_stream(response):
    return [*response.raw.stream(50, decode_content=True)]


def raw_whole(response):
    return response.raw.read(decode_content=True)


def given_up(response):
    with response:
        return next(response.iter_content(5), None)


def not_read(response):
    response.close()


STREAMED = (
    byte_by_byte,
    in_pieces,
    as_it_comes,
    line_by_line,
    raw_pieces,
    raw_stream,
    raw_whole,
    given_up,
    not_read,
)


def ways():
    """A session on the short way, and one on requests' own."""
    return session_on(WireAdapter(4)), session_on(HTTPAdapter())


@contextmanager
def ended(session):
    """Have nothing left of a session afterwards."""
    with session:
        yield session
    for adapter in session.adapters.values():
        if isinstance(adapter, WireAdapter):
            adapter.end()


def attempt(session, url, read=whole, **options):
    """Make a request and read its answer: what there is to see of both."""
    options = {"timeout": 10, "stream": read is not whole, **options}
    method = options.pop("method", "POST")
    try:
        response = session.request(method, url, **options)
    except Exception as error:
        return seen_of_error(error)
    try:
        seen = {"read": read(response)}
    except Exception as error:
        seen = seen_of_error(error)
        response.close()
    return {**seen, **seen_of(response), "session": [*map(repr, session.cookies)]}


def witness(player, session, case, read=whole, **options):
    """All that there is to see of a case, and of the request that comes after it."""
    player.play(case)
    options = {"method": case.method, **options}
    if case.method == "POST":
        options.setdefault("data", b'{"messages": []}')
    with ended(session):
        seen = attempt(session, player.url + case.path, read, **options)
        player.wait()
        seen["before"] = player.connections, [number for number, _ in player.requests]
        seen["afterwards"] = attempt(session, player.url + "/afterwards", timeout=10)
    seen["connections"] = player.connections, [number for number, _ in player.requests]
    seen["requests"] = [
        request.replace(b"%d" % player.port, b"#") for _, request in player.requests
    ]
    return seen
