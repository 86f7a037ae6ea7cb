import json

import requests
import responses

from tests.transport.support import reply

from .support import asking, outcomes, together, values


def mocked(request):
    """An answer that tells which item was posted."""
    return 200, {}, f"mocked {json.loads(request.body)['item']}"


def test_the_mock_answers(beside, plain, post):
    """Every call gets the mock's answer, and the server behind its URL is not asked."""
    with beside(responses.RequestsMock(), post=post) as (pool, mock):
        for item in range(4):
            mock.add_callback(responses.POST, f"{plain.url}/{item}", mocked)
        found = values(pool, together(asking(post, plain.url), 4), range(4))
        assert len(mock.calls) == 4
        assert plain.requests == []

    assert found == [f"mocked {item}" for item in range(4)]


def test_a_mocked_503_is_tried_again(beside, plain, post):
    """The mock is asked once more in place, and the item is charged one attempt for it."""
    with beside(responses.RequestsMock(), post=post) as (pool, mock):
        for item in range(4):
            mock.post(f"{plain.url}/{item}", status=503)
            mock.post(f"{plain.url}/{item}", body="mocked")
        found = outcomes(pool, together(asking(post, plain.url), 4), range(4))
        assert len(mock.calls) == 8

    assert [outcome.value for outcome in found] == ["mocked"] * 4
    assert [outcome.attempts for outcome in found] == [2] * 4
    assert [[record.status for record in outcome.requests] for outcome in found] == [[503, 200]] * 4


def test_an_unknown_request_is_the_mocks_error(beside, plain, post):
    """What nobody has mocked does not reach the network, however often it is tried."""
    with beside(responses.RequestsMock(), post=post) as (pool, _):
        [outcome] = outcomes(pool, asking(post, plain.url), ["unknown"])
        assert plain.requests == []

    assert isinstance(outcome.error, requests.ConnectionError)
    assert "Connection refused by Responses" in str(outcome.error)


def test_the_mock_lets_others_pass(beside, serve, post):
    """A URL that is to be passed through reaches its server, by the mock's own way."""
    real = serve(reply(b"real"))
    with beside(responses.RequestsMock(), post=post) as (pool, mock):
        mock.add_passthru(real.url)
        found = values(pool, together(asking(post, real.url), 4), range(4))

    assert found == ["real"] * 4
    assert len(real.requests) == 4


def test_a_mocked_stream_is_read_by_the_function(beside, plain, post):
    """Status, headers and the lines of the body are the mock's."""

    def look(item):
        with post(f"{plain.url}/{item}", stream=True) as answer:
            return answer.status_code, answer.headers["x-mock"], list(answer.iter_lines())

    with beside(responses.RequestsMock(), post=post) as (pool, mock):
        mock.post(f"{plain.url}/0", status=202, body="one\ntwo", headers={"x-mock": "yes"})
        [outcome] = outcomes(pool, look, [0])

    assert outcome.value == (202, "yes", [b"one", b"two"])
    assert [record.bytes for record in outcome.requests] == [7]
