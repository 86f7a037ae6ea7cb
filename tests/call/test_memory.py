"""The call in progress: what it remembers of its requests, and lends to its sessions."""

from tests.call.conftest import URL, opened
from threadllm.call import Call, Failure
from threadllm.outcome import RequestRecord, Usage


def test_a_record_and_the_totals_say_what_passed(clock, terms, call):
    """The time in flight, the bytes, the status and the tokens."""
    exchange = opened(call)
    clock.advance(3)
    exchange.status, exchange.size, exchange.usage = 200, 9, Usage(4, 5)
    exchange.finish()
    opened(call).finish()

    assert call.records == (
        RequestRecord("GET", URL, 200, 3, 0, 9),
        RequestRecord("GET", URL, None, 0, 0, 0),
    )
    assert call.usage == Usage(4, 5)
    totals = terms.tally.totals()
    assert (totals.requests, totals.input_tokens, totals.output_tokens) == (2, 4, 5)


def test_retries_that_are_charged_are_counted(terms, call):
    """For the item and for the run."""
    call.charge_retry()
    call.charge_retry()

    assert (call.retries, terms.tally.totals().retries) == (2, 2)


def test_the_failure_is_the_last_that_was_not_mended(call):
    """A success at the same URL mends it; of several, one that the transport owns counts first."""
    one, two, owned = (
        Failure(ValueError(text), owned=text == "owned") for text in ("1", "2", "owned")
    )
    assert call.failure is None
    call.fail("http://a/", one)
    call.fail("http://b/", two)
    assert call.failure is two
    call.fail("http://a/", one)
    assert call.failure is one
    call.fail("http://c/", owned)
    call.fail("http://b/", two)
    assert call.failure is owned
    call.succeed("http://c/")
    assert call.failure is two
    call.succeed("http://b/")
    assert call.failure is one
    call.succeed("http://a/")
    call.succeed("http://a/")
    assert call.failure is None


def test_a_body_that_broke_is_the_dispatchers_to_mend(call):
    """The transport cannot ask again for what the function has read in part."""
    error = ConnectionError()
    opened(call).break_off(error)

    assert call.failure == Failure(error, owned=False)


def test_cookies_are_lent_to_the_very_session():
    """By identity, and only as long as that session lives."""

    class Session:
        pass

    call, session, other = Call(None), Session(), Session()
    jar = object()
    call.lend_cookies(session, jar)
    assert (call.cookies_of(session), call.cookies_of(other)) == (jar, None)

    call._cookies[id(other)] = call._cookies[id(session)]  # as if its address were used again
    assert call.cookies_of(other) is None
