from contextlib import contextmanager

import pytest
import requests
from opentelemetry.instrumentation.requests import RequestsInstrumentor
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind

from tests.transport.support import reply

from .support import asking, outcomes, together, values


class Tracing:
    """A provider that keeps its spans, and the instrumentation that makes them."""

    def __init__(self):
        self.exporter = InMemorySpanExporter()
        self.provider = TracerProvider()
        self.provider.add_span_processor(SimpleSpanProcessor(self.exporter))
        self.tracer = self.provider.get_tracer("tests")

    def client_spans(self):
        return [span for span in self.exporter.get_finished_spans() if span.kind is SpanKind.CLIENT]

    @contextmanager
    def instrumented(self):
        RequestsInstrumentor().instrument(tracer_provider=self.provider)
        try:
            yield
        finally:
            RequestsInstrumentor().uninstrument()


@pytest.fixture
def tracing():
    tracing = Tracing()
    yield tracing
    tracing.provider.shutdown()


def ids_of(spans):
    """Trace and span of each, as propagation writes them."""
    return sorted(f"{span.context.trace_id:032x}-{span.context.span_id:016x}" for span in spans)


def ids_received(server):
    """What propagation told a server, the flags left out."""
    return sorted(header[3:52] for header in server.headers("traceparent"))


def test_each_request_has_a_span_whose_parent_is_the_submitters(beside, tracing, serve, post):
    """Its id reaches the server, its name and status are the request's."""
    server = serve(reply(b"well"))
    with beside(tracing.instrumented(), post=post) as (pool, _):
        with tracing.tracer.start_as_current_span("submitter") as parent:
            found = values(pool, together(asking(post, server.url), 4), range(4))
        spans = tracing.client_spans()

    assert found == ["well"] * 4
    assert [span.name for span in spans] == ["POST"] * 4
    assert {span.parent.span_id for span in spans} == {parent.context.span_id}
    assert {span.attributes["http.url"] for span in spans} == {
        f"{server.url}/{item}" for item in range(4)
    }
    assert {span.attributes["http.status_code"] for span in spans} == {200}
    assert ids_received(server) == ids_of(spans)


def test_each_item_has_its_own_submitters_span(beside, tracing, serve, post):
    """Submitted under different spans, requests are children of those and of none other."""
    server = serve(reply(b"well"))
    ask = together(asking(post, server.url), 4)
    parents, futures = {}, []
    with beside(tracing.instrumented(), post=post) as (pool, _):
        for item in range(4):
            with tracing.tracer.start_as_current_span(f"submitter {item}") as parent:
                parents[f"{server.url}/{item}"] = parent.context.span_id
                futures.append(pool.submit(ask, item))
        assert [future.result() for future in futures] == ["well"] * 4
        spans = tracing.client_spans()

    assert {span.attributes["http.url"]: span.parent.span_id for span in spans} == parents


def test_a_span_of_the_call_stands_between_them(beside, tracing, serve, post):
    """A span that the function begins is the submitter's child and the request's parent."""
    server = serve(reply(b"well"))
    ask = asking(post, server.url)

    def work(item):
        with tracing.tracer.start_as_current_span("call") as span:
            return ask(item), span.context.span_id, span.parent.span_id

    with beside(tracing.instrumented(), post=post) as (pool, _):
        with tracing.tracer.start_as_current_span("submitter") as parent:
            found = values(pool, together(work, 4), range(4))
        spans = tracing.client_spans()

    assert {submitter for _, _, submitter in found} == {parent.context.span_id}
    assert {span.parent.span_id for span in spans} == {call for _, call, _ in found}


def test_a_request_that_is_tried_again_is_one_span(beside, tracing, serve, post):
    """The span is that of the function's request: it lasts until the answer that it is given."""
    server = serve(reply(status=503), reply(b"well"))
    with beside(tracing.instrumented(), post=post) as (pool, _):
        [outcome] = outcomes(pool, asking(post, server.url), [0])
        [span] = tracing.client_spans()

    assert (outcome.value, outcome.attempts) == ("well", 2)
    assert span.attributes["http.status_code"] == 200
    assert ids_received(server) == ids_of([span, span])


def test_a_redirect_is_within_the_span_of_its_request(beside, tracing, serve):
    """The instrumentation counts what the function asks for, here once as without a dispatcher."""
    server = serve(reply(status=302, location="/there"), reply(b"well"))
    with beside(tracing.instrumented()) as (pool, _):
        [outcome] = outcomes(pool, lambda _: requests.get(server.url, timeout=5).text, [0])
        [span] = tracing.client_spans()

    assert outcome.value == "well"
    assert span.attributes["http.status_code"] == 200
    assert ids_received(server) == ids_of([span, span])
