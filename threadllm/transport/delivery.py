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
from threadllm.exceptions import BreakerOpen, CallCancelled, CallExpired
from threadllm.providers import (
    ERRORS,
    Reply,
    Verdict,
    asked_by,
    effective_status,
    limits_of,
    mentions_limits,
    parse_body,
    seconds_to_wait,
    usage_of,
)
from threadllm.quota import Ended, Refusal, ended_by
from threadllm.redaction import redact
from threadllm.retry import Attempts
from threadllm.transport.address import address_of
from threadllm.transport.breaking import RequestNotSent
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

    result: Response | RequestException
    verdict: Verdict
    asked: float | None = None  # seconds that the provider asks to wait, as far as heeded
    rest: float | None = None  # seconds for which a breaker has opened again, whose probe it was

    @property
    def is_charged(self) -> bool:
        """Whether a further try counts as a retry: not after a 429, nor for a breaker's sake."""
        return self.verdict is Verdict.RETRY and self.rest is None


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
        self._asked = asked_by(request.body)

    def run(self) -> Response:
        """The response of the last try.

        Raises:
            RequestException: The last try's error.
            DeadlineExceeded: The call's deadline has passed.
            RequestNotSent: The breaker was open before the first try.
            CallCancelled: The dispatcher was told to stop before the first try.
        """
        last = None
        try:
            last = self._try()
            while (wait := self._next_wait(last)) is not None:
                self._prepare_next(last, wait)
                last = self._try(is_retry=last.is_charged)
        except DeadlineExceeded:
            raise
        except CallExpired:
            raise self._exceeded() from last and self._error_in(last)
        except BreakerOpen as error:
            if last is None:
                not_sent = RequestNotSent(str(error), request=self._request)
                self._call.fail(self._address.url, Failure(not_sent, owned=True))
                raise not_sent from None
        except (CallCancelled, UnrewindableBodyError) as error:
            if last is None:
                self._call.fail(self._address.url, Failure(error, owned=True))
                raise
            # No further try: the last one's end is the request's.
        return self._conclude(last)

    def _try(self, *, is_retry: bool = False) -> _Try:
        exchange = self._call.open(
            str(self._request.method),
            self._address.url,
            self._address.origin,
            retry=self._attempts.repeats,
            asked=self._asked,
            is_retry=is_retry,
        )
        try:
            response = self._sent(exchange)
            self.elapsed = (exchange.answered or self._call.terms.now()) - exchange.sent
            exchange.status = response.status_code
            if self._streamed and not (response.status_code in ERRORS or response.is_redirect):
                tried = self._judged(exchange, response, b"")
                if exchange.permit.is_probe:
                    exchange.line.answer_begins(exchange.permit)
                follow(response, exchange)
            else:
                content = _content_of(response)
                exchange.size, exchange.usage = len(content), usage_of(content)
                tried = self._judged(exchange, response, content)
                exchange.finish()
        except Exception as error:
            too_late = self._call.must_end()  # before the exchange ends, which would be one reason
            broken = None
            if isinstance(error, RequestException) and not too_late:
                broken = self._broken(exchange, error)
            exchange.finish()
            if too_late:
                raise self._exceeded() from error
            if broken is None:
                raise
            return broken
        except BaseException:
            exchange.finish()
            raise
        if exchange.is_cut and not exchange.handed_over:
            raise self._exceeded()  # what looks like an answer may lack its end
        return tried

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

    def _broken(self, exchange: Exchange, error: RequestException) -> _Try:
        """What an error means, told to the line before the exchange ends there."""
        permit = exchange.permit
        verdict, _ = self._call.terms.retry.verdict_on_error(error)
        if verdict is Verdict.RETRY:
            permit.ended = Ended.FAILED
        return _Try(error, verdict, rest=exchange.line.rest_after(permit))

    def _judged(self, exchange: Exchange, response: Response, content: bytes) -> _Try:
        """What an answer means, told to the line before the exchange ends there."""
        permit, line, terms = exchange.permit, exchange.line, self._call.terms
        permit.ended = Ended.ACCEPTED
        is_error = response.status_code in ERRORS or b'"error"' in content
        now = terms.now()
        if not (is_error or (line.told.is_due(now) and _tells_limits(response))):
            return _Try(response, Verdict.OK)
        headers = {name.lower(): value for name, value in response.headers.items()}
        reply = Reply(response.status_code, headers, parse_body(content) if is_error else None)
        wall = terms.sleeper.clock.time()
        line.hear(permit, limits_of(reply, self._address.host, now=wall), now)
        if not is_error:
            return _Try(response, Verdict.OK)
        asked = terms.retry.heeded(seconds_to_wait(reply, now=wall))
        verdict = terms.retry.verdict_on(reply, wall)
        if verdict is Verdict.PACE:
            permit.refusal = Refusal(asked, terms.retry.pause)
        elif verdict is Verdict.RETRY:
            permit.ended = ended_by(effective_status(reply))
        return _Try(response, verdict, asked, line.rest_after(permit))

    def _next_wait(self, last: _Try) -> float | None:
        """Seconds to the next try, or None; after a 429 the line holds everyone back meanwhile."""
        if last.verdict is Verdict.OK:
            return None
        terms = self._call.terms
        if last.verdict is Verdict.RETRY and self._retried_below(last.result):
            return None
        # A probe is the breaker's, and not charged to the item, whose patience may end meanwhile.
        verdict, asked = last.verdict, last.asked
        if last.rest is not None:
            verdict, asked = Verdict.PACE, last.rest
        wait = self._attempts.next_wait(verdict, asked, terms.now())
        if not can_resend(self._request):
            return None  # the dispatcher judges it, and counts
        if last.verdict is Verdict.PACE:
            terms.tally.count("throttled")
        return wait

    def _prepare_next(self, last: _Try, wait: float) -> None:
        """Wait out a retry; after a 429, or as a probe, it waits in the line instead."""
        self._call.check()
        rewind(self._request)
        if last.is_charged:
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


def _tells_limits(response: Response) -> bool:
    return mentions_limits(map(str.lower, response.headers))


def _content_of(response: Response) -> bytes:
    """The whole body. A redirect may come with a broken one: requests follows it all the same."""
    try:
        content: object = response.content
    except (ChunkedEncodingError, ContentDecodingError):
        if not response.is_redirect:
            raise
        return b""
    return content if isinstance(content, bytes) else b""  # an adapter of one's own may have none
