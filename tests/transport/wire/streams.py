"""Streams of bytes that may be answers: built by the grammar, and what becomes of answers."""

import gzip
import os
import zlib

from hypothesis import strategies as st

from .corpus import CASES, CHAT, CRLF, Case, answer, chunk, pieces

# What a reader might stumble over, wherever it stands.
TOKENS = (
    *(b"\r", b"\n", b"\r\n", b"\r\n\r\n", b"\n\n", b" ", b"\t", b"\0", b":", b";", b",", b"\xe9"),
    *(b"0", b"1", b"f", b"0x", b"_", b"+", b"-", b"HTTP/1.1 ", b"HTTP/1.0 200 OK\r\n", b" 204 "),
    *(b"\r\nContent-Length: 3", b"\r\nTransfer-Encoding: chunked", b"\r\nConnection: close"),
    *(b"\r\nContent-Encoding: gzip", b"0\r\n\r\n", b"\r\n folded", b"\x1f\x8b\x08"),
)
_SMALL = [case.data for case in CASES.values() if 0 < len(case.data) < 5_000]

_often = st.sampled_from


def _mostly(usual, unusual):
    """The usual, eight times of nine."""
    return st.integers(0, 8).flatmap(lambda number: unusual if number == 8 else usual)


_STATUS = _mostly(
    _often([b"HTTP/1.1 200 OK", b"HTTP/1.1 429 Too Many Requests", b"HTTP/1.1 302 Found"]),
    st.builds(
        b"%b %b%b".__mod__,
        st.tuples(
            _often([b"HTTP/1.1", b"HTTP/1.0", b"HTTP/1.2", b"HTTP/2.0", b"http/1.1", b"HTTP/"]),
            _often([b"100", b"101", b"204", b"205", b"304", b"200", b"999", b"099", b"2 00"]),
            _often([b"", b" ", b" OK", b"  OK", b" OK ", b" \xe9", b"\tOK"]),
        ),
    ),
)
_NAMES = _often([b"X-A", b"x-a", b"X-B", b"Set-Cookie", b"Location", b"Content-Type", b"Link"])
_VALUES = _often(
    [b"1", b"", b"a b", b'a=1; Path=/; Domain="x"', b"/next", b"text/plain", b"</b>; rel=next"]
)
_PLAIN = st.builds(b"%b: %b".__mod__, st.tuples(_NAMES, _VALUES))
_FRAMED = st.builds(
    b"%b:%b".__mod__,
    st.tuples(
        _often(
            [b"Connection", b"connection", b"Content-Encoding", b"Keep-Alive", b"Content-length"]
        ),
        _often(
            [b" close", b" keep-alive", b" Close, x", b" gzip", b" identity", b"", b" 2", b" 02"]
        ),
    ),
)
_ODD = _often(
    [
        *(b" folded", b"\tfolded", b"X-A : 1", b"X-A", b": 1", b"X A: 1", b"X-A: 1 ", b"X-A: \xe9"),
        *(b"X-A: 1\0", b"X-A: 1\r", b"X-A: 1\n", b"X-\xe9: 1", b"From x", b"X-A: 1\x85"),
        *(b"X-A:\x0b1", b"Transfer-Encoding: gzip", b"Transfer-Encoding: chunked"),
        b"Content-Length: 1",
    ]
)
_LINES = st.lists(_mostly(_PLAIN, st.one_of(_FRAMED, _ODD)), max_size=6)
_CONTENT = st.one_of(_often([b"", b"ok", CHAT, b"x" * 300]), st.binary(max_size=20))
_CODINGS = _mostly(
    _often([(b"", lambda data: data), (b"Content-Encoding: gzip", gzip.compress)]),
    _often(
        [
            (b"Content-Encoding: X-Gzip", gzip.compress),
            (b"Content-Encoding: gzip", lambda data: gzip.compress(data)[:-3]),
            (b"Content-Encoding: gzip", lambda data: gzip.compress(data) + b"\0more"),
            (b"Content-Encoding: gzip", lambda data: gzip.compress(data) * 2),
            (b"Content-Encoding: gzip", lambda data: data),
            (b"Content-Encoding: deflate", zlib.compress),
            (b"Content-Encoding: gzip, deflate", lambda data: zlib.compress(gzip.compress(data))),
            (b"Content-Encoding: br", lambda data: data),
        ]
    ),
)
_LENGTHS = _mostly(
    _often([b"%d"]), _often([b"0%d", b"+%d", b"%d, %d", b"%d_0", b"1%d", b"", b" %d"])
)
_SIZES = _mostly(
    _often([b"%x", b"%X"]), _often([b"0%x", b"0x%x", b"+%x", b"%x ", b" %x", b"%x;a=b"])
)
_LAST = _mostly(
    _often([b"0\r\n\r\n"]),
    _often(
        [
            b"",
            b"0",
            b"0\r\n",
            b"00\r\n\r\n",
            b"0\r\nX: 1\r\n\r\n",
            b"0;a\r\n\r\n",
            b"0\n\n",
            b"\r\n",
        ]
    ),
)
_EXTRA = _mostly(_often([b""]), _often([b"\r\n", b"x", b"HTTP/1.1 200 OK\r\n\r\n"]))


def _filled(form, number):
    return form % ((number,) * form.count(b"%"))


@st.composite
def built(draw):
    """An answer, most of it as it should be."""
    header, code = draw(_CODINGS)
    body = code(draw(_CONTENT))
    lines = [*draw(_LINES), *([header] if header else [])]
    if draw(st.booleans()):
        lines.append(b"Content-Length: " + _filled(draw(_LENGTHS), len(body)))
    else:
        lines.append(
            b"Transfer-Encoding: "
            + draw(_mostly(_often([b"chunked"]), _often([b"Chunked", b"x, chunked"])))
        )
        size = draw(_often([1, 7, 100, 10_000]))
        if draw(st.booleans()):
            parts = map(chunk, pieces(body, max(size, len(body) // 50)))
        else:
            parts = [
                _filled(draw(_SIZES), len(part))
                + draw(_mostly(_often([CRLF]), _often([b"\n", b"\r"])))
                + part
                + CRLF
                for part in pieces(body, max(size, len(body) // 5))
            ]
        body = b"".join(parts) + draw(_LAST)
    return answer(*draw(st.permutations(lines)), status=draw(_STATUS), body=body) + draw(_EXTRA)


@st.composite
def mutated(draw, data):
    """An answer to which something has happened."""
    data = bytearray(draw(data))
    for _ in range(draw(st.integers(1, 3))):
        start = draw(st.integers(0, len(data)))
        end = min(len(data), start + draw(st.integers(0, 12)))
        change = draw(st.sampled_from(["delete", "double", "flip", "insert", "swap", "cut"]))
        if change == "delete":
            del data[start:end]
        elif change == "double":
            data[start:start] = data[start:end]
        elif change == "flip" and start < len(data):
            data[start] ^= 1 << draw(st.integers(0, 7))
        elif change == "insert":
            data[start:start] = draw(st.sampled_from(TOKENS))
        elif change == "swap":
            lines = data.split(CRLF)
            first, second = (draw(st.integers(0, len(lines) - 1)) for _ in range(2))
            lines[first], lines[second] = lines[second], lines[first]
            data = bytearray(CRLF.join(lines))
        elif change == "cut" and draw(st.booleans()):
            del data[start:]
    return bytes(data)


def streams():
    """Bytes that may be an answer."""
    return st.one_of(built(), mutated(st.sampled_from(_SMALL)), mutated(built()))


def budget(examples):
    """How many examples to try: some, or many times as many for a long run."""
    return examples * int(os.environ.get("THREADLLM_EXAMPLES", "1"))


def cuts():
    """Sizes in which bytes are received, again and again."""
    return st.lists(st.one_of(st.integers(1, 9), st.integers(1, 3000)), min_size=1, max_size=8)


def cases():
    """An answer, how its connection goes on, and a way to ask for it."""
    return st.builds(
        Case,
        streams(),
        st.sampled_from(["close", "close", "reset"]),
        st.sampled_from(["POST", "POST", "POST", "GET", "HEAD"]),
    )
