"""Answers by name: as providers and their proxies send them, and as nobody should.

Bytes that fit no rule stand here as they were seen, or as the rule's text suggests to break it.
"""

import gzip
import json
import zlib
from dataclasses import dataclass

LF, CRLF = b"\n", b"\r\n"
CHAT = json.dumps(
    {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "model": "gpt-4o-mini",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "Grüße " * 40}}],
        "usage": {"prompt_tokens": 9, "completion_tokens": 12, "total_tokens": 21},
    }
).encode()
PACKED = gzip.compress(CHAT, mtime=0)
JSON = b"Content-Type: application/json"


@dataclass(frozen=True)
class Case:
    """An answer, and what its server does next: "keep" the connection, "close" or "reset" it."""

    data: bytes
    ending: str = "keep"
    method: str = "POST"
    path: str = "/v1/chat/completions"


def answer(*lines, body=b"", status=b"HTTP/1.1 200 OK"):
    """Lines and a body, as they are."""
    return CRLF.join((status, *lines, b"", body))


def sized(*lines, body=CHAT, status=b"HTTP/1.1 200 OK"):
    """An answer whose length is told."""
    return answer(*lines, b"Content-Length: %d" % len(body), body=body, status=status)


def chunk(data):
    return b"%x\r\n%b\r\n" % (len(data), data)


def pieces(data, size):
    return [data[start : start + size] for start in range(0, len(data), size)]


def chunked(*lines, body=CHAT, size=100, status=b"HTTP/1.1 200 OK", end=b"0\r\n\r\n"):
    """An answer in chunks of a size."""
    parts = b"".join(map(chunk, pieces(body, size)))
    return answer(*lines, b"Transfer-Encoding: chunked", body=parts + end, status=status)


def raw_chunks(*parts):
    """An answer with a body that is written out, chunk by chunk."""
    return answer(b"Transfer-Encoding: chunked", body=b"".join(parts))


def packed(body, coding=b"gzip"):
    return sized(JSON, b"Content-Encoding: " + coding, body=body)


def deflated(data):
    """Deflate without its zlib header."""
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return packer.compress(data) + packer.flush()


_OPENAI = (
    b"Date: Tue, 01 Jul 2025 10:00:00 GMT",
    JSON,
    b"Connection: keep-alive",
    b"access-control-expose-headers: X-Request-ID",
    b"openai-organization: acme",
    b"openai-processing-ms: 312",
    b"openai-version: 2020-10-01",
    b"x-ratelimit-limit-requests: 10000",
    b"x-ratelimit-remaining-tokens: 199984",
    b"x-ratelimit-reset-requests: 6ms",
    b"x-request-id: req_0123456789abcdef",
    b"strict-transport-security: max-age=31536000; includeSubDomains; preload",
    b"cf-cache-status: DYNAMIC",
    b"Set-Cookie: __cf_bm=abc.def-1; path=/; expires=Tue, 01-Jul-30 10:30:00 GMT; HttpOnly",
    b"Set-Cookie: _cfuvid=xyz; path=/; HttpOnly; SameSite=None",
    b"X-Content-Type-Options: nosniff",
    b"Server: cloudflare",
    b"CF-RAY: 958abcdef0123456-FRA",
    b'alt-svc: h3=":443"; ma=86400',
)
_ANTHROPIC = (
    b"Date: Tue, 01 Jul 2025 10:00:00 GMT",
    JSON,
    b"Connection: keep-alive",
    b"anthropic-ratelimit-input-tokens-limit: 80000",
    b"anthropic-ratelimit-input-tokens-reset: 2025-07-01T10:00:00Z",
    b"request-id: req_011CQ",
    b"via: 1.1 google",
    b"X-Robots-Tag: none",
    b"Server: cloudflare",
)
_EVENT = b'data: {"choices":[{"delta":{"content":"x"}}]}\n\n'
_UVICORN = b"date: Tue, 01 Jul 2025 10:00:00 GMT", b"server: uvicorn"

USUAL = {
    "openai": Case(chunked(*_OPENAI, b"Content-Encoding: gzip", body=PACKED)),
    "openai-plain": Case(sized(*_OPENAI)),
    "anthropic": Case(chunked(*_ANTHROPIC, b"Content-Encoding: gzip", body=PACKED, size=1000)),
    "events": Case(
        chunked(
            *_OPENAI[1:3],
            b"Cache-Control: no-cache",
            b"Content-Type: text/event-stream; charset=utf-8",
            body=_EVENT * 30,
            size=len(_EVENT),
        )
    ),
    "uvicorn": Case(sized(*_UVICORN, b"content-type: application/json")),
    "nginx": Case(
        sized(b"Server: nginx/1.25.3", b"Content-Type: text/html", b"Vary: Accept-Encoding")
    ),
    "bad-gateway": Case(
        sized(
            b"Server: nginx",
            b"Connection: close",
            body=b"<html>",
            status=b"HTTP/1.1 502 Bad Gateway",
        ),
        "close",
    ),
    "too-many": Case(
        sized(JSON, b"retry-after: 1", status=b"HTTP/1.1 429 Too Many Requests", body=b"{}")
    ),
    "overloaded": Case(sized(JSON, status=b"HTTP/1.1 529 ", body=b"{}")),
    "no-content-type": Case(sized()),
    "empty-body": Case(sized(body=b"")),
    "no-chunks": Case(raw_chunks(b"0\r\n\r\n")),
    "no-reason": Case(sized(status=b"HTTP/1.1 200 ")),
    "no-reason-no-blank": Case(sized(status=b"HTTP/1.1 200")),
    "reset-content": Case(sized(status=b"HTTP/1.1 205 Reset Content", body=b"")),
    "latin-charset": Case(sized(b"Content-Type: text/plain; charset=latin-1", body=b"caf\xe9")),
    "text-without-charset": Case(sized(b"Content-Type: text/html", body="é".encode())),
    "links": Case(sized(b'Link: </a?page=2>; rel="next", </b>; rel="last"')),
    "repeated-header": Case(sized(b"X-A: 1", b"x-a: 2", b"X-B: 3", b"X-A: 4")),
    "empty-value": Case(sized(b"X-A:", b"X-B: ", b"X-C:\t")),
    "no-blank-after-colon": Case(sized(b"X-A:1", b"X-B:\t2", b"X-C:   3")),
    "tab-in-value": Case(sized(b"X-A: 1\t2")),
    "odd-names": Case(sized(b"!#$%&'*+-.^_`|~: 1", b"9: 2")),
    "connection-close": Case(sized(b"Connection: close"), "close"),
    "connection-close-kept": Case(sized(b"Connection: close")),
    "connection-close-in-a-list": Case(sized(b"Connection: keep-alive, CLOSE"), "close"),
    "connection-enclosed": Case(sized(b"Connection: enclosed")),
    "closed-all-the-same": Case(sized(), "close"),
    "reset-all-the-same": Case(sized(), "reset"),
    "keep-alive": Case(sized(b"Keep-Alive: timeout=5, max=100", b"Connection: Keep-Alive")),
    "cookie-for-elsewhere": Case(sized(b"Set-Cookie: a=1; Domain=example.org", b"X-A: 1")),
    "cookie-without-a-name": Case(
        sized(b"Set-Cookie: =1", b"SET-COOKIE: b=2; Expires=Tue, 01-Jul-70 10:30:00 GMT")
    ),
    "redirect": Case(
        sized(b"Location: /next", b"Set-Cookie: at=home", status=b"HTTP/1.1 302 Found")
    ),
    "redirect-of-a-get": Case(
        chunked(b"Location: next?x=1#part", status=b"HTTP/1.1 301 Moved"), method="GET"
    ),
    "redirect-kept": Case(sized(b"Location: /next", status=b"HTTP/1.1 307 Temporary")),
    "redirect-nowhere": Case(sized(status=b"HTTP/1.1 308 Permanent Redirect")),
    "get": Case(sized(JSON), method="GET", path="/v1/models?limit=2&after=a%20b#part"),
    "delete": Case(sized(JSON, body=b"{}"), method="DELETE"),
    "options": Case(sized(b"Allow: POST", body=b""), method="OPTIONS"),
    "gzip": Case(packed(PACKED)),
    "gzip-shouted": Case(packed(PACKED, b"GZIP")),
    "gzip-of-nothing": Case(packed(gzip.compress(b"", mtime=0))),
    "gzip-in-small-chunks": Case(chunked(b"Content-Encoding: gzip", body=PACKED, size=1)),
    "chunk-sizes-in-capitals": Case(raw_chunks(b"1A\r\n" + b"x" * 26 + CRLF, b"0\r\n\r\n")),
    "chunk-size-with-zeros": Case(raw_chunks(b"00001A\r\n" + b"x" * 26 + CRLF, b"000\r\n\r\n")),
    "chunked-shouted": Case(chunked(body=b"x").replace(b": chunked", b": CHUNKED")),
    "length-with-zeros": Case(answer(b"Content-Length: 0002", body=b"ok")),
    "eight-megabytes": Case(sized(body=bytes(range(256)) * (1 << 15))),
    "eight-megabytes-in-chunks": Case(chunked(body=bytes(range(256)) * (1 << 15), size=16_000)),
    "a-hundred-thousand-chunks": Case(raw_chunks(chunk(b"x") * 100_000, b"0\r\n\r\n")),
    "ninety-headers": Case(sized(*(b"X-%d: 1" % number for number in range(89)))),
    "blanks-in-a-value": Case(sized(b"X-A: 1" + b" " * 15_000 + b"2")),
    "long-value": Case(sized(b"X-A: " + b"x" * 30_000)),
}

UNUSUAL = {
    "blanks-after-a-value": Case(sized(b"X-A: 1 ")),
    "a-world-of-blanks": Case(sized(b"X-A:" + b" " * 15_000 + b"1" + b" " * 15_000)),
    "a-return-in-a-value": Case(sized(b"X-A: 1\r2"), "close"),
    "a-bell-in-a-value": Case(sized(b"X-A: 1\a2")),
    "trailer": Case(raw_chunks(chunk(b"ok"), b"0\r\nX-Sum: 1\r\n\r\n")),
    "trailer-cut": Case(raw_chunks(chunk(b"ok"), b"0\r\nX-Sum: 1\r\n"), "close"),
    "chunk-extension": Case(raw_chunks(b"2;name=value\r\nok\r\n", b"0;last\r\n\r\n")),
    "chunk-extension-quoted": Case(raw_chunks(b'2;name="a;b"\r\nok\r\n', b"0\r\n\r\n")),
    "chunk-size-with-blanks": Case(raw_chunks(b"2  \r\nok\r\n", b"0 \r\n\r\n")),
    "chunk-size-after-a-blank": Case(raw_chunks(b" 2\r\nok\r\n", b"0\r\n\r\n")),
    "chunk-size-0x": Case(raw_chunks(b"0x2\r\nok\r\n", b"0\r\n\r\n")),
    "chunk-size-plus": Case(raw_chunks(b"+2\r\nok\r\n", b"0\r\n\r\n")),
    "chunk-size-minus": Case(raw_chunks(b"-2\r\nok\r\n", b"0\r\n\r\n"), "close"),
    "chunk-size-underscored": Case(raw_chunks(b"0_2\r\nok\r\n", b"0\r\n\r\n")),
    "chunk-size-of-17-digits": Case(raw_chunks(b"0" * 16 + b"2\r\nok\r\n", b"0\r\n\r\n")),
    "chunk-size-huge": Case(raw_chunks(b"f" * 12 + b"\r\nok\r\n"), "close"),
    "chunk-size-missing": Case(raw_chunks(b"\r\nok\r\n", b"0\r\n\r\n"), "close"),
    "chunk-size-no-number": Case(raw_chunks(b"ok\r\n0\r\n\r\n")),
    "chunk-size-no-number-and-lf": Case(raw_chunks(b"x\n")),
    "chunk-ends-otherwise": Case(raw_chunks(b"2\r\nokXX", b"0\r\n\r\n")),
    "chunk-lines-end-with-lf": Case(raw_chunks(b"2\nok\r\n", b"0\r\n\r\n")),
    "chunk-line-endless": Case(raw_chunks(b"1" * 70_000), "close"),
    "chunks-cut-in-a-size": Case(raw_chunks(chunk(b"ok"), b"1"), "close"),
    "chunks-cut-in-a-chunk": Case(raw_chunks(chunk(b"ok"), b"5\r\nab"), "close"),
    "chunks-cut-after-a-chunk": Case(raw_chunks(chunk(b"ok")), "close"),
    "chunks-cut-before-the-end": Case(raw_chunks(chunk(b"ok"), b"0\r\n"), "close"),
    "chunks-reset": Case(raw_chunks(chunk(b"ok")), "reset"),
    "body-cut": Case(sized()[:-5], "close"),
    "body-reset": Case(sized()[:-5], "reset"),
    "body-missing": Case(answer(b"Content-Length: 5"), "close"),
    "head-cut": Case(b"HTTP/1.1 200 OK\r\nContent-Le", "close"),
    "head-cut-after-a-line": Case(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n", "close"),
    "head-reset": Case(b"HTTP/1.1 200 OK\r\nContent-Le", "reset"),
    "status-cut": Case(b"HTTP/1.1 20", "close"),
    "status-only": Case(b"HTTP/1.1 200 OK\r\n\r\n", "close"),
    "nothing": Case(b"", "close"),
    "nothing-reset": Case(b"", "reset"),
    "no-length": Case(answer(JSON, body=CHAT), "close"),
    "no-length-packed": Case(answer(b"Content-Encoding: gzip", body=PACKED), "close"),
    "length-twice": Case(answer(*[b"Content-Length: 2"] * 2, body=b"ok")),
    "length-twice-differing": Case(
        answer(b"Content-Length: 2", b"Content-Length: 1", body=b"ok"), "close"
    ),
    "length-in-a-list": Case(answer(b"Content-Length: 2, 2", body=b"ok"), "close"),
    "length-plus": Case(answer(b"Content-Length: +2", body=b"ok"), "close"),
    "length-minus": Case(answer(b"Content-Length: -2", body=b"ok"), "close"),
    "length-underscored": Case(answer(b"Content-Length: 1_0", body=b"0123456789"), "close"),
    "length-empty": Case(answer(b"Content-Length:", body=b"ok"), "close"),
    "length-no-number": Case(answer(b"Content-Length: two", body=b"ok"), "close"),
    "length-in-other-digits": Case(answer(b"Content-Length: \xb2", body=b"ok"), "close"),
    "length-huge": Case(answer(b"Content-Length: " + b"9" * 30, body=b"ok"), "close"),
    "length-and-chunks": Case(
        answer(
            b"Content-Length: 2", b"Transfer-Encoding: chunked", body=chunk(b"ok") + b"0\r\n\r\n"
        )
    ),
    "gzip-as-transfer": Case(
        answer(b"Transfer-Encoding: gzip, chunked", body=chunk(PACKED) + b"0\r\n\r\n"), "close"
    ),
    "chunked-twice": Case(
        answer(*[b"Transfer-Encoding: chunked"] * 2, body=chunk(b"ok") + b"0\r\n\r\n"), "close"
    ),
    "transfer-identity": Case(
        answer(b"Transfer-Encoding: identity", b"Content-Length: 2", body=b"ok")
    ),
    "transfer-empty": Case(answer(b"Transfer-Encoding:", b"Content-Length: 2", body=b"ok")),
    "folded": Case(sized(b"X-A: 1\r\n 2\r\n\t3", b"X-B: 4")),
    "folded-first": Case(sized(b" X-A: 1"), "close"),
    "blank-before-colon": Case(sized(b"X-A : 1", b"X-B: 2"), "close"),
    "no-colon": Case(sized(b"X-A: 1", b"X-B", b"X-C: 2"), "close"),
    "no-name": Case(sized(b": 1", b"X-B: 2"), "close"),
    "name-in-brackets": Case(sized(b"X(A): 1", b"X-B: 2")),
    "odd-name": Case(sized(b"X(A): 1", b"X B: 2"), "close"),
    "from-of-a-mailbox": Case(sized(b"From someone", b"X-B: 2"), "close"),
    "bare-lf": Case(sized(b"X-A: 1", b"X-B: 2").replace(CRLF, LF)),
    "bare-lf-in-one-line": Case(sized(b"X-A: 1\nX-B: 2")),
    "bare-lf-at-the-end": Case(sized(b"X-A: 1").replace(b"\r\n\r\n", b"\n\n")),
    "bare-cr": Case(sized(b"X-A: 1\rX-B: 2")),
    "cr-cr-lf": Case(sized(b"X-A: 1\r", b"X-B: 2"), "close"),
    "nul": Case(sized(b"X-A: 1\x002", b"X-B: 2")),
    "form-feed": Case(sized(b"X-A: 1\x0cX-B: 2", b"X-C: \x1c3")),
    "latin-value": Case(sized("X-A: café".encode("latin-1"))),
    "utf-8-value": Case(sized("X-A: Grüße 世界".encode())),
    "next-line-in-value": Case(sized(b"X-A: 1\x85X-B: 2")),
    "utf-8-name": Case(sized("X-É: 1".encode(), b"X-B: 2"), "close"),
    "blanks-after-value": Case(sized(b"X-A: 1  ", b"X-B: 2\t")),
    "blanks-after-reason": Case(sized(status=b"HTTP/1.1 200 OK  ")),
    "blanks-before-status": Case(sized(status=b"HTTP/1.1  200  OK")),
    "tab-before-status": Case(sized(status=b"HTTP/1.1\t200\tOK")),
    "utf-8-reason": Case(sized(status="HTTP/1.1 200 Ça va".encode())),
    "http-1.0": Case(sized(status=b"HTTP/1.0 200 OK"), "close"),
    "http-1.0-kept": Case(sized(b"Connection: Keep-Alive", status=b"HTTP/1.0 200 OK")),
    "http-1.0-kept-for-a-while": Case(sized(b"Keep-Alive: timeout=5", status=b"HTTP/1.0 200 OK")),
    "http-1.2": Case(sized(status=b"HTTP/1.2 200 OK")),
    "http-2.0": Case(sized(status=b"HTTP/2.0 200 OK"), "close"),
    "http-2": Case(sized(status=b"HTTP/2 200"), "close"),
    "http-0.9": Case(b"<html>hello</html>", "close"),
    "http-in-small-letters": Case(sized(status=b"http/1.1 200 OK"), "close"),
    "other-protocol": Case(b"SSH-2.0-OpenSSH_9.6\r\n", "keep"),
    "tls-alert": Case(b"\x15\x03\x01\x00\x02\x02\x46", "close"),
    "blank-line-first": Case(CRLF + sized(), "close"),
    "status-two-digits": Case(sized(status=b"HTTP/1.1 20 OK"), "close"),
    "status-four-digits": Case(sized(status=b"HTTP/1.1 2000 OK"), "close"),
    "status-099": Case(sized(status=b"HTTP/1.1 099 Low"), "close"),
    "status-600": Case(sized(status=b"HTTP/1.1 600 High")),
    "status-plus": Case(sized(status=b"HTTP/1.1 +200 OK")),
    "status-no-number": Case(sized(status=b"HTTP/1.1 OK"), "close"),
    "continue-first": Case(b"HTTP/1.1 100 Continue\r\n\r\n" + sized()),
    "continue-with-headers": Case(b"HTTP/1.1 100 Continue\r\nX-A: 1\r\n\r\n" + sized()),
    "continue-and-nothing": Case(b"HTTP/1.1 100 Continue\r\n\r\n", "close"),
    "early-hints": Case(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + sized(), "close"),
    "switching": Case(answer(b"Upgrade: x", status=b"HTTP/1.1 101 Switching Protocols"), "close"),
    "no-content": Case(answer(status=b"HTTP/1.1 204 No Content")),
    "no-content-with-length": Case(sized(status=b"HTTP/1.1 204 No Content", body=b"")),
    "no-content-with-body": Case(sized(status=b"HTTP/1.1 204 No Content", body=b"x"), "close"),
    "no-content-in-chunks": Case(chunked(status=b"HTTP/1.1 204 No Content", body=b"x"), "close"),
    "not-modified": Case(answer(b"ETag: 1", status=b"HTTP/1.1 304 Not Modified"), method="GET"),
    "not-modified-with-length": Case(
        answer(b"Content-Length: 9", status=b"HTTP/1.1 304 Not Modified"), method="GET"
    ),
    "head": Case(answer(b"Content-Length: 500"), method="HEAD"),
    "head-in-chunks": Case(answer(b"Transfer-Encoding: chunked"), method="HEAD"),
    "head-with-body": Case(sized(), "close", method="HEAD"),
    "extra-bytes": Case(sized() + b"more", "close"),
    "extra-bytes-kept": Case(sized() + b"more"),
    "extra-bytes-after-chunks": Case(chunked() + b"more", "close"),
    "two-answers": Case(sized() + sized(body=b"not asked for")),
    "x-gzip": Case(packed(PACKED, b"x-gzip")),
    "gzip-of-two-members": Case(packed(PACKED * 2)),
    "gzip-and-garbage": Case(packed(PACKED + b"garbage")),
    "gzip-and-zeros": Case(packed(PACKED + b"\0" * 9)),
    "gzip-cut": Case(packed(PACKED[:-12])),
    "gzip-cut-in-its-head": Case(packed(PACKED[:5])),
    "gzip-bad-sum": Case(packed(PACKED[:-8] + b"12345678")),
    "gzip-empty": Case(packed(b"")),
    "gzip-of-plain": Case(packed(CHAT)),
    "gzip-of-plain-in-chunks": Case(chunked(b"Content-Encoding: gzip")),
    "gzip-twice": Case(packed(gzip.compress(PACKED), b"gzip, gzip")),
    "gzip-told-twice": Case(
        sized(*[b"Content-Encoding: gzip"] * 2, body=gzip.compress(PACKED, mtime=0))
    ),
    "deflate": Case(packed(zlib.compress(CHAT), b"deflate")),
    "deflate-bare": Case(packed(deflated(CHAT), b"deflate")),
    "brotli": Case(packed(b"\x0b\x02\x80hello\x03", b"br")),
    "zstd": Case(packed(b"\x28\xb5\x2f\xfd\x20\x05\x29\x00\x00hello", b"zstd")),
    "identity": Case(packed(CHAT, b"identity")),
    "coding-empty": Case(packed(CHAT, b"")),
    "coding-unknown": Case(packed(CHAT, b"rot13")),
    "a-hundred-and-one-headers": Case(
        sized(*(b"X-%d: 1" % number for number in range(100))), "close"
    ),
    "ninety-five-headers": Case(sized(*(b"X-%d: 1" % number for number in range(94)))),
    "long-head": Case(sized(*(b"X-%d: " % number + b"x" * 900 for number in range(78)))),
    "long-line": Case(sized(b"X-A: " + b"x" * 66_000), "close"),
    "long-status": Case(sized(status=b"HTTP/1.1 200 " + b"x" * 66_000), "close"),
    "redirect-with-a-broken-body": Case(
        sized(b"Location: /next", status=b"HTTP/1.1 302 Found")[:-5], "close"
    ),
    "redirect-with-bad-gzip": Case(
        sized(b"Location: /next", b"Content-Encoding: gzip", status=b"HTTP/1.1 302 Found")
    ),
    "redirect-to-utf-8": Case(sized("Location: /nächste".encode(), status=b"HTTP/1.1 302 Found")),
    "cookie-in-latin": Case(sized(b"Set-Cookie: a=\xe9")),
}

CASES = USUAL | UNUSUAL
