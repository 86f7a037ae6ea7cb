"""A signature is made of what is sent: whoever changes a header or the body after it breaks it."""

import hashlib
import hmac
import re
from urllib.parse import urlsplit

import pytest
import requests
from requests_aws4auth import AWS4Auth

import threadllm
from tests.transport.support import reply

from .support import AT_ONCE, outcomes, together, values

KEY, SECRET, REGION, SERVICE = "AKIDPLANTED", "planted-secret", "eu-west-1", "bedrock"
_FIELDS = re.compile(r"AWS4-HMAC-SHA256 Credential=(\S+), ?SignedHeaders=(\S+), ?Signature=(\S+)")


def digest(text):
    return hashlib.sha256(text).hexdigest()


def verifies(request):
    """Whether a received request carries the signature that Signature Version 4 asks for.

    https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
    """
    credential, names, signature = _FIELDS.match(request.headers["authorization"]).groups()
    url = urlsplit(request.target)
    lines = [f"{name}:{request.headers[name]}" for name in names.split(";")]
    canonical = "\n".join(
        [request.method, url.path, url.query, *lines, "", names, digest(request.body)]
    )
    scope = credential.removeprefix(f"{KEY}/")
    moment = request.headers["x-amz-date"]
    key = f"AWS4{SECRET}".encode()
    for part in scope.split("/"):
        key = hmac.digest(key, part.encode(), "sha256")
    text = "\n".join(["AWS4-HMAC-SHA256", moment, scope, digest(canonical.encode())])
    return hmac.compare_digest(signature, hmac.digest(key, text.encode(), "sha256").hex())


@pytest.fixture(params=["of the call", "of the session"])
def signed(request, post):
    """A function that posts an item with a signature, by an auth object given either way."""
    auth = AWS4Auth(KEY, SECRET, REGION, SERVICE)

    def of_the_call(url):
        return post(url, json={"a": 1}, auth=auth)

    def of_the_session(url):
        with requests.Session() as session:
            session.auth = auth
            return session.post(url, json={"a": 1}, timeout=5)

    return of_the_call if request.param == "of the call" else of_the_session


def test_every_request_verifies(serve, signed):
    """One auth object signs for all calls, and each request arrives as it was signed."""
    server = serve(reply(b"well"))

    with threadllm.Dispatcher(4) as pool:
        invoke = together(lambda item: signed(f"{server.url}/{item}/invoke?b=2").text, 4)
        found = values(pool, invoke, range(4))

    assert found == ["well"] * 4
    assert [verifies(request) for request in server.requests] == [True] * 4
    assert {request.body for request in server.requests} == {b'{"a": 1}'}


def test_a_second_try_verifies(serve, signed):
    """What is sent again after a 503 carries its signature too."""
    server = serve(reply(status=503), reply(b"well"))

    with threadllm.Dispatcher(1, retry=AT_ONCE) as pool:
        [outcome] = outcomes(pool, lambda item: signed(f"{server.url}/{item}/invoke").text, [0])

    assert (outcome.value, outcome.attempts) == ("well", 2)
    assert [verifies(request) for request in server.requests] == [True] * 2
