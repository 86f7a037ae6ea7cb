import http.client
import subprocess
from contextlib import contextmanager

import pytest
import sentry_sdk
from sentry_sdk import integrations
from sentry_sdk.integrations.stdlib import StdlibIntegration
from sentry_sdk.transport import Transport

from tests.transport.support import reply

from .support import asking, outcomes, together, values


class Kept(Transport):
    """Sends nothing, and keeps what would have been sent."""

    def __init__(self, options=None):
        super().__init__(options)
        self.events = []

    def capture_envelope(self, envelope):
        self.events += [item.payload.json for item in envelope.items]


@pytest.fixture
def sentry(monkeypatch):
    """Sentry, begun and ended: it has no way to take its patches out, so they are put back here."""
    for registry in (integrations._processed_integrations, integrations._installed_integrations):
        registry.discard("stdlib")
    patched = [http.client.HTTPConnection, http.client.HTTPResponse, subprocess.Popen]

    @contextmanager
    def begun():
        before = [(owner, name, value) for owner in patched for name, value in vars(owner).items()]
        kept = Kept()
        with sentry_sdk.isolation_scope():
            sentry_sdk.init(
                dsn="http://planted@127.0.0.1:1/1",
                transport=kept,
                traces_sample_rate=1.0,
                default_integrations=False,
                auto_enabling_integrations=False,
                integrations=[StdlibIntegration()],
            )
            yield kept
            sentry_sdk.get_client().close()
            sentry_sdk.get_global_scope().set_client(None)
        for owner, name, value in before:
            if vars(owner)[name] is not value:
                setattr(owner, name, value)

    return begun()


def test_each_request_has_a_span_and_a_breadcrumb(beside, sentry, serve, post):
    """They are the submitter's: spans under its transaction, breadcrumbs in its events."""
    server = serve(reply(b"well"))
    with beside(sentry, post=post) as (pool, kept):
        with sentry_sdk.start_transaction(name="submitter") as parent:
            found = values(pool, together(asking(post, server.url), 4), range(4))
        sentry_sdk.capture_message("the end")
        [transaction, message] = kept.events

    urls = [f"{server.url}/{item}" for item in range(4)]
    assert found == ["well"] * 4
    assert sorted(span["description"] for span in transaction["spans"]) == [
        f"POST {url}" for url in urls
    ]
    assert {span["parent_span_id"] for span in transaction["spans"]} == {parent.span_id}
    assert {span["data"]["http.response.status_code"] for span in transaction["spans"]} == {200}
    crumbs = [crumb["data"] for crumb in message["breadcrumbs"]["values"]]
    assert sorted(crumb["url"] for crumb in crumbs) == urls
    assert {crumb["http.response.status_code"] for crumb in crumbs} == {200}
    assert sorted(header[:49] for header in server.headers("sentry-trace")) == sorted(
        f"{parent.trace_id}-{span['span_id']}" for span in transaction["spans"]
    )


def test_a_request_that_is_tried_again_has_a_span_for_each_try(beside, sentry, serve, post):
    """Sentry watches the connection, so it sees the 503 and what came after."""
    server = serve(reply(status=503), reply(b"well"))
    with beside(sentry, post=post) as (pool, kept):
        with sentry_sdk.start_transaction(name="submitter"):
            [outcome] = outcomes(pool, asking(post, server.url), [0])
        [transaction] = kept.events

    assert (outcome.value, outcome.attempts) == ("well", 2)
    statuses = [span["data"]["http.response.status_code"] for span in transaction["spans"]]
    assert statuses == [503, 200]
