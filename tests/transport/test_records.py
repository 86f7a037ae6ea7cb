"""Records: what is kept of each exchange, and the tokens that answers named."""

import gzip
import json

import pytest
import requests
from requests.adapters import BaseAdapter

import threadllm
from threadllm.outcome import RequestRecord, Usage
from threadllm.simulator import Fault
from threadllm.testing import FakeClock

from .support import CHAT, call, chat_body, chunked, reply, run

AT_ONCE = threadllm.Retry(wait_initial=0)


def test_a_record_says_what_was_asked_and_what_came(serve):
    """Method, address, status, time in flight, which try it was, and the body's size."""
    clock = FakeClock()
    answers = [reply(b"wait", 429), reply(b"busy!", 503), reply(b"well done")]

    def answer(_):
        clock.advance(2)
        return answers[len(server.requests) - 1]

    server = serve(answer)
    url = server.url.replace("//", "//user:word@") + "/path;p?key=k#part"

    [outcome] = run(lambda _: requests.put(url, timeout=5).text, retry=AT_ONCE, clock=clock)

    address = server.url + "/path;p"
    assert outcome.requests == (
        RequestRecord("PUT", address, 429, 2, 0, 4),
        RequestRecord("PUT", address, 503, 2, 1, 5),
        RequestRecord("PUT", address, 200, 2, 2, 9),
    )


def test_an_exchange_without_an_answer_has_no_status(serve):
    """What broke before the headers came."""
    server = serve(None, reply(b"well"))

    outcome = call(lambda: requests.get(server.url, timeout=5).text, retry=AT_ONCE)

    assert [(record.status, record.bytes) for record in outcome.requests] == [(None, 0), (200, 4)]


def test_an_error_that_is_not_of_requests_is_recorded_and_handed_on():
    """A certificate that is not there is an OSError: the slot comes back, nothing is repeated."""

    def work(_):
        requests.get("https://127.0.0.1/", verify="/nowhere", timeout=5)

    outcomes = run(work, range(2), concurrency=1)

    assert [type(outcome.error) for outcome in outcomes] == [OSError] * 2
    assert [[one.status for one in outcome.requests] for outcome in outcomes] == [[None]] * 2


BODY = b'{"a": "' + b"b" * 1000 + b'"}'
ZIPPED = gzip.compress(BODY)


def whole(url):
    assert requests.get(url, timeout=5).content == BODY


def pieces(url):
    with requests.get(url, stream=True, timeout=5) as response:
        assert b"".join(response.iter_content(7)) == BODY


def lines(url):
    with requests.get(url, stream=True, timeout=5) as response:
        assert b"".join(response.iter_lines()) == BODY


def first_and_rest(url):
    with requests.get(url, stream=True, timeout=5) as response:
        first = next(response.iter_content(7))
        rest = response.raw.read(decode_content=True)
        assert len(first + rest) == len(BODY)


@pytest.mark.parametrize("read", [whole, pieces, lines])
@pytest.mark.parametrize(
    "answer",
    [
        reply(BODY),
        chunked(BODY[:500], BODY[500:]),
        reply(ZIPPED, content_encoding="gzip"),
        chunked(ZIPPED[:20], ZIPPED[20:], content_encoding="gzip"),
    ],
)
def test_bytes_are_counted_to_the_last(serve, read, answer):
    """However the body is sent and read, and after decompression."""
    server = serve(answer)

    outcome = call(lambda: read(server.url))

    assert outcome.error is None
    assert [record.bytes for record in outcome.requests] == [len(BODY)]


def test_bytes_read_in_two_ways_are_counted_once(serve):
    """A loop that is left, and the rest read from `raw`."""
    server = serve(reply(BODY))

    outcome = call(lambda: first_and_rest(server.url))

    assert outcome.error is None
    assert [record.bytes for record in outcome.requests] == [len(BODY)]


def test_a_stream_left_unread_is_recorded_as_far_as_it_was_read(serve):
    """It goes on record at the call's end."""
    server = serve(reply(BODY))

    def work():
        response = requests.get(server.url, stream=True, timeout=5)
        return len(next(response.iter_content(7)))

    outcome = call(work)

    assert [(record.status, record.bytes) for record in outcome.requests] == [(200, 7)]


def stream_all(url, body, **headers):
    with requests.post(url, json=body, stream=True, headers=headers, timeout=5) as response:
        return b"".join(response.iter_content(5))


def chat(sim, prompt, **more):
    return sim.url + CHAT, chat_body(prompt, **more)


def claude(sim, prompt, **more):
    return sim.url + "/v1/messages", chat_body(prompt, max_tokens=99, **more)


def ollama(sim, prompt, **more):
    return sim.url + "/api/chat", chat_body(prompt, **{"stream": False} | more)


@pytest.mark.parametrize("dialect", [chat, claude, ollama])
def test_usage_is_read_from_whole_bodies_and_from_streams(sim, dialect):
    """The same tokens, whether the answer came at once or bit by bit."""
    options = {"stream_options": {"include_usage": True}} if dialect is chat else {}

    def at_once():
        url, body = dialect(sim, "how many tokens?")
        return requests.post(url, json=body, timeout=5).json()

    def streamed():
        stream_all(*dialect(sim, "how many tokens?", stream=True, **options))

    one, other = call(at_once), call(streamed)

    assert one.usage == other.usage
    assert one.usage.input_tokens > 0
    assert one.usage.output_tokens > 0
    named = one.value.get("usage", one.value)
    assert one.usage.output_tokens in named.values()


def test_usage_of_a_stream_that_is_left_early_is_kept(serve):
    """What had passed by then counts: at the call's end for one that is not closed."""
    event = b'data: {"usage": {"prompt_tokens": 3, "completion_tokens": 4}}\n\n'
    server = serve(chunked(event, b"data: [DONE]\n\n"))

    def work(close):
        response = requests.get(server.url, stream=True, timeout=5)
        for _ in response.iter_lines():
            break
        if close:
            response.close()

    assert [outcome.usage for outcome in run(work, [True, False])] == [Usage(3, 4)] * 2


def test_usage_in_a_last_line_without_an_end_is_read(serve):
    """A body that ends without a line break is read to its end."""
    server = serve(reply(b'{"usage": {"prompt_tokens": 3, "completion_tokens": 4}}'))

    def work():
        with requests.get(server.url, stream=True, timeout=5) as response:
            return json.load(response.raw)["usage"]["prompt_tokens"]

    outcome = call(work)

    assert (outcome.value, outcome.usage) == (3, Usage(3, 4))


def test_totals_are_the_sum_of_the_records(sim):
    """Requests and tokens of all items, tries that failed included."""
    items = [(f"prompt {n}", n % 2) for n in range(20)]
    sim.script([Fault(status=status) for status in (503, 429, 503)])

    def work(item):
        prompt, streamed = item
        if streamed:
            stream_all(*chat(sim, prompt, stream=True, stream_options={"include_usage": True}))
        else:
            assert requests.post(sim.url + CHAT, json=chat_body(prompt), timeout=5).ok

    with threadllm.Dispatcher(4, retry=AT_ONCE) as pool:
        outcomes = list(pool.outcomes(work, items))
        totals = pool.totals

    assert [outcome.error for outcome in outcomes] == [None] * 20
    assert totals.requests == sum(len(outcome.requests) for outcome in outcomes) == 23
    usage = sum((outcome.usage for outcome in outcomes), start=Usage())
    assert (totals.input_tokens, totals.output_tokens) == (
        usage.input_tokens,
        usage.output_tokens,
    )
    assert (totals.retries, totals.throttled) == (2, 1)


class Odd(BaseAdapter):
    """Answers at once, with a body of its own making or none."""

    def __init__(self, raw):
        super().__init__()
        self.raw = raw

    def send(self, request, **options):
        response = requests.Response()
        response.status_code, response.raw, response.request = 200, self.raw, request
        response.url = request.url
        return response

    def close(self):
        pass


@pytest.mark.parametrize("url", ["odd://a:b/path?key=k", "odd:what"])
@pytest.mark.parametrize("stream", [True, False])
def test_adapters_for_other_schemes_are_recorded_without_secrets(url, stream):
    """Whatever their URLs look like; a body that is not urllib3's is done with at its headers."""

    def work():
        with requests.Session() as session:
            session.mount("odd:", Odd(None))
            return session.get(url, stream=stream).content

    outcome = call(work)

    assert (outcome.value, outcome.error) == (None, None)
    [record] = outcome.requests
    assert (record.status, record.bytes, "key" in record.url) == (200, 0, False)
