import json

import pytest

from tests.transport.support import Server, reply, script


@pytest.fixture
def serve():
    """Starts servers that send what they are told."""
    running = []

    def start(*answers):
        running.append(Server(script(*answers)).__enter__())
        return running[-1]

    yield start
    for server in running:
        server.__exit__()


@pytest.fixture
def stream():
    """A streamed answer of these events, as they stand or as JSON."""

    def of(*events):
        texts = (one if isinstance(one, str) else json.dumps(one) for one in events)
        body = "".join(f"data: {text}\n\n" for text in texts).encode()
        return reply(body, content_type="text/event-stream; charset=utf-8")

    return of
