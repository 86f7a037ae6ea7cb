"""What an error tells of the answer that it carries."""

import pytest
import requests

from threadllm.providers import Details, details_of


def answered(status=429, body=b'{"error": "no, sk-planted-0123456789abcdef"}', **headers):
    response = requests.Response()
    response.status_code = status
    response._content = body
    response.headers.update(headers)
    return requests.HTTPError("no", response=response)


def with_attributes(**told):
    error = ValueError("no")
    vars(error).update(told)
    return error


@pytest.mark.parametrize(
    ("error", "details"),
    [
        (
            answered(**{"x-request-id": "r-1", "retry-after": "7"}),
            Details(429, {"error": "no, [redacted]"}, "r-1", 7.0),
        ),
        (answered(500, b"<html>"), Details(500)),
        (
            with_attributes(status=400, body={"a": 1}, request_id="r-2"),
            Details(400, {"a": 1}, "r-2"),
        ),
        (with_attributes(status=400, request_id=5), Details(400)),
        (with_attributes(request_id="r-3"), Details()),
        (ValueError("no"), Details()),
    ],
)
def test_what_came_back_is_told(error, details):
    """Without keys; nothing where nothing came back."""
    assert details_of(error, now=0.0) == details


def test_an_error_whose_attributes_raise_has_said_nothing():
    """It may be of any class."""

    class OddError(Exception):
        @property
        def response(self):
            raise LookupError

    assert details_of(OddError(), now=0.0) == Details()
