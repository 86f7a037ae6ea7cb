"""A server that answers chat completions at once, so that a benchmark measures its clients.

It runs in a process of its own and gives prebuilt bytes: `/plain` with a Content-Length, `/gzip`
compressed and in chunks, `?delay=0.2` after that many seconds. It limits nothing, checks nothing
and breaks nothing; `threadllm.simulator` is the provider that does.
"""

from __future__ import annotations

import asyncio
import gzip
import itertools
import json
import multiprocessing
import re
import selectors
import signal
import socket
import time
from contextlib import ExitStack, contextmanager
from email.utils import formatdate
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from multiprocessing.connection import Connection

HOST = "127.0.0.1"
BACKLOG = 4_096  # as many as may connect at once
VARIANTS = 1_000  # answers of one shape that differ in their ids and counters, as real ones do
CHUNKS = 3
ENDS = (b"\n}", b"\r\n0\r\n\r\n")  # of a plain answer, of a chunked one
COMPLETIONS = "/chat/completions"  # what clients that post by themselves put behind a base URL
NOT_FOUND = b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n"
TEXT = (
    "It returns a new list of all items from the iterable in ascending order. The key function "
    "says what each item is compared by; reverse turns the order round. The sort is stable: items "
    "that compare equal keep the order in which they came."
)

TARGET = re.compile(rb"[A-Z]+ ([^ ?]+)(?:\?delay=([0-9.]+))? HTTP/1\.1\r\n")
CONTENT_LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*([0-9]+)", re.IGNORECASE)


def completion(index: int) -> bytes:
    """About 1 kB of JSON, laid out as OpenAI does."""
    message = {"role": "assistant", "content": TEXT, "refusal": None}
    answer = {
        "id": f"chatcmpl-{index:029d}",
        "object": "chat.completion",
        "created": 1_750_000_000 + index,
        "model": "gpt-4o-mini-2024-07-18",
        "choices": [{"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}],
        "usage": {
            "prompt_tokens": 117,
            "completion_tokens": 52,
            "total_tokens": 169,
            "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
            "completion_tokens_details": {"reasoning_tokens": 0, "audio_tokens": 0},
        },
        "service_tier": "default",
        "system_fingerprint": "fp_0000000000",
    }
    return json.dumps(answer, indent=2).encode()


def whole(index: int, body: bytes, framing: dict[str, str]) -> bytes:
    """An answer with the headers that OpenAI sends."""
    headers = {
        "Date": formatdate(1_750_000_000 + index, usegmt=True),
        "Content-Type": "application/json",
        **framing,
        "Connection": "keep-alive",
        "openai-organization": "example",
        "openai-processing-ms": str(300 + index),
        "openai-version": "2020-10-01",
        "x-ratelimit-limit-requests": "10000",
        "x-ratelimit-limit-tokens": "2000000",
        "x-ratelimit-remaining-requests": str(9_999 - index),
        "x-ratelimit-remaining-tokens": str(1_999_883 - index),
        "x-ratelimit-reset-requests": "6ms",
        "x-ratelimit-reset-tokens": f"{index}ms",
        "x-request-id": f"req_{index:032x}",
        "strict-transport-security": "max-age=31536000; includeSubDomains; preload",
        "Server": "cloudflare",
        "CF-RAY": f"{index:016x}-FRA",
    }
    lines = ["HTTP/1.1 200 OK", *(f"{name}: {value}" for name, value in headers.items())]
    return "\r\n".join([*lines, "", ""]).encode() + body


def plain(index: int) -> bytes:
    """An answer with a Content-Length."""
    body = completion(index)
    return whole(index, body, {"Content-Length": str(len(body))})


def gzipped(index: int) -> bytes:
    """An answer that is compressed and comes in chunks."""
    body = gzip.compress(completion(index), mtime=0)
    size = -(-len(body) // CHUNKS)
    parts = [body[start : start + size] for start in range(0, len(body), size)]
    chunks = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in [*parts, b""])
    return whole(index, chunks, {"Transfer-Encoding": "chunked", "Content-Encoding": "gzip"})


SHAPES = {"/plain": plain, "/gzip": gzipped}


def length_of_request(received: bytes) -> int | None:
    """The bytes of the first request, its body included; None while it is not all there."""
    head = received.find(b"\r\n\r\n")
    if head < 0:
        return None
    body = CONTENT_LENGTH.search(received, 0, head)
    length = head + 4 + (int(body[1]) if body else 0)
    return length if len(received) >= length else None


class Answering(asyncio.Protocol):
    """One connection, kept alive until the client closes it."""

    def __init__(self, answers: Mapping[bytes, Iterator[bytes]]) -> None:
        self._answers = answers
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Remember where answers go."""
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Answer each request that is there as a whole."""
        self._received += data
        while (length := length_of_request(self._received)) is not None:
            self._answer(self._received[:length])
            self._received = self._received[length:]

    def _answer(self, request: bytes) -> None:
        target = TARGET.match(request)
        if target is None or target[1] not in self._answers:
            self._transport.write(NOT_FOUND)
        elif target[2] is None:
            self._transport.write(next(self._answers[target[1]]))
        else:
            answer = next(self._answers[target[1]])
            loop = asyncio.get_running_loop()
            loop.call_later(float(target[2]), self._transport.write, answer)


async def answer_until_closed(parent: Connection) -> None:
    """Send the port to whoever started this, and answer until that end is closed."""
    answers = {}
    for path, shape in SHAPES.items():
        variants = itertools.cycle([shape(index) for index in range(VARIANTS)])
        answers[path.encode()] = answers[f"{path}{COMPLETIONS}".encode()] = variants
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Answering(answers), HOST, 0, backlog=BACKLOG)
    parent.send(server.sockets[0].getsockname()[1])
    await asyncio.to_thread(parent.poll, None)
    server.close()


def serve(parent: Connection) -> None:
    """The server's process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is its parent's, whose end ends it
    asyncio.run(answer_until_closed(parent))


@contextmanager
def answering() -> Iterator[str]:
    """The server, in a process of its own, for as long as the block lasts: its URL."""
    spawning = multiprocessing.get_context("spawn")  # a fork would share the sockets of this one
    ours, theirs = spawning.Pipe()
    process = spawning.Process(target=serve, args=(theirs,))
    process.start()
    theirs.close()
    try:
        yield f"http://{HOST}:{ours.recv()}"
    finally:
        ours.close()
        process.join()


def limit(url: str, connections: int, seconds: float) -> float:
    """Answers a second that the server gives at least, to a client that does next to nothing."""
    address, _, path = url.removeprefix("http://").partition("/")
    host, _, port = address.partition(":")
    request = f"POST /{path} HTTP/1.1\r\nHost: {address}\r\nContent-Length: 600\r\n\r\n"
    sent = request.encode() + b" " * 600
    with ExitStack() as stack:
        selector = stack.enter_context(selectors.DefaultSelector())
        for _ in range(connections):
            sock = stack.enter_context(socket.create_connection((host, int(port))))
            selector.register(sock, selectors.EVENT_READ, sock)
            sock.sendall(sent)
        answered, start = 0, time.perf_counter()
        while (elapsed := time.perf_counter() - start) < seconds:
            for key, _ in selector.select():
                if key.data.recv(65_536).endswith(ENDS):
                    answered += 1
                    key.data.sendall(sent)
        return answered / elapsed
