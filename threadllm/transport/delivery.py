"""One request of a call, with all its tries: where a request is retried, and by whom.

What the transport can retry it retries here, inside the call, under a function that may swallow
its errors. What it cannot send twice it reports as not its own, for the dispatcher to mend.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from requests.exceptions import (
    ChunkedEncodingError,
    ContentDecodingError,
    HTTPError,
    RequestException,
    UnrewindableBodyError,
)

from threadllm.call import NO_LIMIT, Failure
from threadllm.exceptions import CallCancelled, CallExpired
from threadllm.providers import (
    ERRORS,
    Reply,
    Verdict,
    parse_body,
    seconds_to_wait,
    usage_of,
    verdict_on,
)
from threadllm.redaction import redact
from threadllm.retry import Attempts
from threadllm.transport.address import address_of
from threadllm.transport.deadline import DeadlineExceeded, bounded
from threadllm.transport.inflight import in_flight
from threadllm.transport.resending import can_resend, rewind
from threadllm.transport.stream import follow

if TYPE_CHECKING:
    from collections.abc import Callable

    from requests import PreparedRequest, Response

    from threadllm.call import Call, Exchange

_EXCERPT = 300  # characters of a provider's answer that an error quotes


class _Try(NamedTuple):
    """How one try ended, and what is to be made of it."""

    sent: float
    result: Response | RequestException
    verdict: Verdict
    asked: float | None = None  # seconds that the provider asks to wait, as far as heeded


class Delivery:
    """Sends one request of a call, as often as the call's policy wants.

    Args:
        call: The call in progress.
        send: Sends the request once, with the timeout that it is given.
        request: What is sent.
        timeout: As requests takes it.
        streamed: Whether the function reads the body itself.
        retried_below: Whether what `send` ended in had retries of the user's own already.

    Attributes:
        elapsed: Seconds from sending to the answer's headers, of the last try.
    """

    def __init__(
        self,
        call: Call,
        send: Callable[..., Response],
        request: PreparedRequest,
        *,
        timeout: Any,
        streamed: bool,
        retried_below: Callable[[Response | RequestException], bool],
    ) -> None:
        self.elapsed = 0.0
        self._call = call
        self._send = send
        self._request = request
        self._timeout = timeout
        self._streamed = streamed
        self._retried_below = retried_below
        self._attempts = Attempts(call.terms.retry)
        self._address = address_of(request.url or "")

    def run(self) -> Response:
        """The response of the last try.

        Raises:
            RequestException: The last try's error.
            DeadlineExceeded: The call's deadline has passed.
            CallCancelled: The dispatcher was told to stop before the first try.
        """
        last = None
        try:
            last = self._try()
            while (wait := self._next_wait(last)) is not None:
                self._prepare_next(last.verdict, wait)
                last = self._try()
        except DeadlineExceeded:
            raise
        except CallExpired:
            raise self._exceeded() from last and self._error_in(last)
        except (CallCancelled, UnrewindableBodyError) as error:
            if last is None:
                self._call.fail(self._address.url, Failure(error, owned=True))
                raise
            # No further try: the last one's end is the request's.
        return self._conclude(last)

    def _try(self) -> _Try:
        exchange = self._call.open(
            str(self._request.method), *self._address, retry=self._attempts.repeats
        )
        try:
            response = self._sent(exchange)
            self.elapsed = (exchange.answered or self._call.terms.now()) - exchange.sent
            exchange.status = response.status_code
            if self._streamed and not (response.status_code in ERRORS or response.is_redirect):
                content = b""
                follow(response, exchange)
            else:
                content = _content_of(response)
                exchange.size, exchange.usage = len(content), usage_of(content)
                exchange.finish()
        except Exception as error:
            too_late = self._call.must_end()  # before the exchange ends, which would be one reason
            exchange.finish()
            if too_late:
                raise self._exceeded() from error
            if not isinstance(error, RequestException):
                raise
            verdict, _ = self._call.terms.retry.verdict_on_error(error)
            return _Try(exchange.sent, error, verdict)
        except BaseException:
            exchange.finish()
            raise
        if exchange.is_cut and not exchange.handed_over:
            raise self._exceeded()  # what looks like an answer may lack its end
        return self._judge(exchange.sent, response, content)

    def _sent(self, exchange: Exchange) -> Response:
        """Send once: the connection that is used is told to the exchange."""
        limit, timeout = self._call.limit, self._timeout
        if limit is not NO_LIMIT:
            timeout = bounded(timeout, limit.moment - exchange.sent)
        before, in_flight.exchange = in_flight.exchange, exchange
        try:
            return self._send(timeout=timeout)
        finally:
            in_flight.exchange = before

    def _exceeded(self) -> DeadlineExceeded:
        """The error of a call whose time is up: the item's, whatever the function makes of it."""
        text = f"{self._request.method} {self._address.url}: {self._call.limit}"
        error = DeadlineExceeded(text, request=self._request)
        self._call.fail(self._address.url, Failure(error, owned=True))
        return error

    def _judge(self, sent: float, response: Response, content: bytes) -> _Try:
        if response.status_code not in ERRORS and b'"error"' not in content:
            return _Try(sent, response, Verdict.OK)
        terms = self._call.terms
        headers = {name.lower(): value for name, value in response.headers.items()}
        reply = Reply(response.status_code, headers, parse_body(content))
        asked = terms.retry.heeded(seconds_to_wait(reply, now=terms.sleeper.clock.time()))
        return _Try(sent, response, verdict_on(reply, terms.retry.statuses), asked)

    def _next_wait(self, last: _Try) -> float | None:
        """Seconds to the next try, or None; a 429 shuts the gate for everyone meanwhile."""
        if last.verdict is Verdict.OK:
            return None
        terms = self._call.terms
        if last.verdict is Verdict.RETRY and self._retried_below(last.result):
            return None
        now = terms.now()
        wait = self._attempts.next_wait(last.verdict, last.asked, now)
        if last.verdict is Verdict.PACE and wait is not None:
            gate = terms.quota.gate(self._address.origin)
            gate.shut(now + wait, now=now, sent=last.sent, asked=last.asked is not None)
        if not can_resend(self._request):
            return None  # the dispatcher judges it, and counts
        if last.verdict is Verdict.PACE:
            terms.tally.count("throttled")
        return wait

    def _prepare_next(self, verdict: Verdict, wait: float) -> None:
        """Wait out a retry; after a 429 the next try waits before the gate instead."""
        rewind(self._request)
        if verdict is Verdict.RETRY:
            moment = self._call.terms.now() + wait
            self._call.park(lambda: moment)
            self._call.charge_retry()

    def _conclude(self, last: _Try) -> Response:
        url, result = self._address.url, last.result
        if last.verdict is Verdict.OK:
            self._call.succeed(url)
        else:
            self._call.fail(url, Failure(self._error_in(last), owned=can_resend(self._request)))
        if isinstance(result, RequestException):
            raise result
        return result

    def _error_in(self, last: _Try) -> RequestException:
        """What a try that did not go well ended in; an answer's error is made of its status."""
        if isinstance(last.result, RequestException):
            return last.result
        return _status_error(last.result, self._address.url)


def _status_error(response: Response, url: str) -> HTTPError:
    """What `raise_for_status` would raise, without the query, with the provider's own words."""
    text = f"{response.status_code} {response.reason} for url: {url}"
    beginning = _content_of(response)[: 4 * _EXCERPT].decode(errors="replace")
    excerpt = redact(beginning)[:_EXCERPT]  # in this order: half a key would not be known as one
    return HTTPError(f"{text}: {excerpt}" if excerpt else text, response=response)


def _content_of(response: Response) -> bytes:
    """The whole body. A redirect may come with a broken one: requests follows it all the same."""
    try:
        content: object = response.content
    except (ChunkedEncodingError, ContentDecodingError):
        if not response.is_redirect:
            raise
        return b""
    return content if isinstance(content, bytes) else b""  # an adapter of one's own may have none
