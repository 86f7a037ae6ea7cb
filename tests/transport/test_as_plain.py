"""requests stays requests: what a function sees in a call is what it sees plainly."""

import gzip
import json
import pickle

import pytest
import requests

import threadllm

from .support import Server, call, chunked, reply, script

TEXT = b"one\ntwo\nthree\n"
ZIPPED = gzip.compress(TEXT)
ONCE = threadllm.Retry(attempts=1)


def to(path, status=302, body=b"moved", **headers):
    return reply(body, status, location=path, **headers)


def seen_of(response):
    """All that is to be compared of a response."""
    return (
        type(response),
        response.status_code,
        dict(response.headers),
        response.text,
        response.reason,
        response.encoding,
        response.request.method,
        response.request.path_url,
        response.cookies.get_dict(),
        [seen_of(hop) for hop in response.history],
    )


def get(url):
    return seen_of(requests.get(url, timeout=5))


def head(url):
    return seen_of(requests.head(url, timeout=5))


def post(url):
    return seen_of(requests.post(url, data=b"body", timeout=5))


def without_redirects(url):
    response = requests.get(url, allow_redirects=False, timeout=5)
    return seen_of(response), response.next.path_url


def streamed_without_redirects(url):
    with requests.get(url, allow_redirects=False, stream=True, timeout=5) as response:
        return seen_of(response)


def few_redirects(url):
    with requests.Session() as session:
        session.max_redirects = 2
        return seen_of(session.get(url, timeout=5))


def lines(url):
    with requests.get(url, stream=True, timeout=5) as response:
        return list(response.iter_lines(chunk_size=3)), response.headers.get("content-type")


def pieces(url):
    with requests.get(url, stream=True, timeout=5) as response:
        return list(response.iter_content(4)), list(response.iter_content(4))


def twice(url):
    with requests.get(url, stream=True, timeout=5) as response:
        return list(response.iter_content(4)), response.content


def raw(url):
    with requests.get(url, stream=True, timeout=5) as response:
        return response.raw.read(3), response.raw.read(), response.raw.read(), response.raw.status


def raw_decoded(url):
    with requests.get(url, stream=True, timeout=5) as response:
        return response.raw.read(decode_content=True), response.raw.tell()


def raw_lines(url):
    with requests.get(url, stream=True, timeout=5) as response:
        return list(response.raw)


def streamed(url):
    with requests.get(url, stream=True, timeout=5) as response:
        return seen_of(response)


def pickled(url):
    return seen_of(pickle.loads(pickle.dumps(requests.get(url, timeout=5))))


ENCODED = {"content_encoding": "gzip"}
SHORT = [b"HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\nhalf", None]
TORN = b"transfer-encoding: chunked\r\n\r\n3\r\none\r\nzz\r\n"
GOOD = [
    (get, [reply(TEXT, content_type="text/plain; charset=utf-8")]),
    (get, [reply(TEXT, content_encoding="identity", set_cookie="a=b")]),
    (get, [reply(ZIPPED, **ENCODED)]),
    (get, [chunked(ZIPPED[:20], ZIPPED[20:], **ENCODED)]),
    (get, [chunked(b"one\n", b"two\n")]),
    (get, [[b"HTTP/1.0 200 OK\r\n\r\n" + TEXT, None]]),
    (get, [reply(status=204)]),
    (get, [b"HTTP/1.1 304 Not Modified\r\n\r\n"]),
    (get, [to("/a"), to("/b", 301), reply(b"there")]),
    (get, [to("/a", body=b"no gzip", **ENCODED), reply(b"there")]),
    (get, [[b"HTTP/1.1 302 F\r\nlocation: /a\r\n" + TORN, None], reply(TEXT)]),
    (get, [to("/a", set_cookie="a=b"), reply(b"there", set_cookie="c=d")]),
    (post, [to("/a", 303), reply(b"there")]),
    (post, [to("/a", 307), to("/b", 308), reply(b"there")]),
    (head, [b"HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\n"]),
    (without_redirects, [to("/a")]),
    (streamed_without_redirects, [to("/a")]),
    (pickled, [reply(TEXT)]),
    *[
        (read, [answer])
        for read in (lines, pieces, twice, raw, raw_decoded, raw_lines, streamed)
        for answer in (reply(TEXT), reply(ZIPPED, **ENCODED), chunked(TEXT[:5], TEXT[5:]))
    ],
    (streamed, [to("/a"), reply(TEXT)]),
    (streamed, [to("/a", body=b"no gzip", **ENCODED), reply(TEXT)]),
    (lines, [chunked(ZIPPED[:20], ZIPPED[20:], **ENCODED)]),
]
BAD = [
    (get, [None]),
    (get, [SHORT]),
    (get, [[b"no http\r\n\r\n", None]]),
    (get, [[b"HTTP/1.1 200 OK\r\n" + TORN, None]]),
    (get, [reply(TEXT, **ENCODED)]),
    (get, [reply(b"no", 400)]),
    (get, [reply({"error": "no"}, 401)]),
    (get, [reply(b"", 500)]),
    (post, [reply(b"", 413)]),
    (head, [b"HTTP/1.1 404 Not Found\r\ncontent-length: 99\r\n\r\n"]),
    (streamed, [reply(TEXT, 404)]),
    (lines, [reply(TEXT, 404)]),
    (lines, [chunked(b"no", status=400)]),
    (lines, [SHORT]),
    (lines, [[b"HTTP/1.1 200 OK\r\n" + TORN, None]]),
    (raw_decoded, [reply(TEXT, **ENCODED)]),
    (streamed, [reply(TEXT, **ENCODED)]),
]


def result_of(fn, url):
    """What it returns, or the kind of error and what that carries."""
    try:
        return fn(url)
    except Exception as error:
        response = getattr(error, "response", None)
        return type(error), None if response is None else response.status_code


def plainly_and_in_a_call(fn, answers, **options):
    """What the function makes of the same answers, twice, and the outcome of the call."""
    results = []
    with Server(script(*answers)) as server:
        results.append(result_of(fn, server.url))
    with Server(script(*answers)) as server:
        outcome = call(lambda: results.append(result_of(fn, server.url)), **options)
    return *results, outcome


@pytest.mark.parametrize(("fn", "answers"), GOOD)
def test_a_good_answer_is_the_same(fn, answers):
    """Status, headers, text, history, cookies: to the last field."""
    plain, within, outcome = plainly_and_in_a_call(fn, answers)

    assert within == plain
    assert plain[0] is not requests.RequestException
    assert outcome.error is None


@pytest.mark.parametrize(("fn", "answers"), BAD)
def test_a_bad_end_is_the_same(fn, answers):
    """The same error, or the same answer with its status; and the item has failed."""
    plain, within, outcome = plainly_and_in_a_call(fn, answers, retry=ONCE)

    assert within == plain
    assert outcome.error is not None


@pytest.mark.parametrize(
    "url", ["http://", "nowhere", "http://[::1", "mailto:a", "http://*a.test/", "http://a:99999/"]
)
def test_a_url_that_cannot_be_asked_is_refused_in_the_same_way(url):
    """Nothing is sent, tried again or put on record."""
    outcome = call(lambda: requests.get(url, timeout=5))

    with pytest.raises(requests.RequestException) as plain:
        requests.get(url, timeout=5)
    assert type(outcome.error) is plain.type
    assert str(outcome.error) == str(plain.value)
    assert outcome.requests == ()


def test_too_many_redirects_are_the_same():
    """The error carries the last hop, and none is asked again."""
    plain, within, outcome = plainly_and_in_a_call(few_redirects, [to("/a")])

    assert within == plain == (requests.TooManyRedirects, 302)
    assert [record.status for record in outcome.requests] == [302, 302, 302]


def test_a_timeout_is_the_same(serve):
    """ReadTimeout before the headers, ConnectionError in the body, as requests has it."""
    hanging, halting = serve([]), serve(SHORT[0])

    def work(url):
        requests.get(url, timeout=0.1)

    for url, kind in (
        (hanging.url, requests.exceptions.ReadTimeout),
        (halting.url, requests.exceptions.ConnectionError),
    ):
        assert result_of(work, url) == (kind, None)
        outcome = call(lambda url=url: work(url), retry=ONCE)
        assert type(outcome.error) is kind


def test_a_stream_that_breaks_raises_what_requests_raises():
    """While it is read; and the call is repeated by the dispatcher, as the transport cannot."""
    answers = [[b"HTTP/1.1 200 OK\r\n" + TORN, None]]
    plain, within, outcome = plainly_and_in_a_call(lines, answers, retry=ONCE)

    assert within == plain == (requests.exceptions.ChunkedEncodingError, None)
    assert type(outcome.error) is requests.exceptions.ChunkedEncodingError


def test_a_stream_misread_raises_what_urllib3_raises():
    """An error that is the reader's own is not dressed up."""

    def misread(url):
        with requests.get(url, stream=True, timeout=5) as response:
            response.raw.read(3, decode_content=True)
            response.raw.read(3, decode_content=False)

    answers = [reply(ZIPPED, **ENCODED)]
    plain, within, outcome = plainly_and_in_a_call(misread, answers, retry=ONCE)

    assert within == plain == (RuntimeError, None)
    assert type(outcome.error) is RuntimeError


def test_json_is_read_from_raw(serve):
    """`json.load(response.raw)` works on a stream."""
    server = serve(reply({"a": 1}))

    def work():
        with requests.get(server.url, stream=True, timeout=5) as response:
            return json.load(response.raw)

    assert call(work).value == {"a": 1}
