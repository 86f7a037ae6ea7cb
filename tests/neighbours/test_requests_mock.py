import requests
import requests_mock

import threadllm

from .support import AT_ONCE, asking, outcomes, together, values


def test_the_mock_answers(beside, plain, post):
    """Every call gets the mock's answer, and the server behind its URL is not asked."""
    with beside(requests_mock.Mocker(), post=post) as (pool, mock):
        for item in range(4):
            mock.post(f"{plain.url}/{item}", text=f"mocked {item}")
        found = values(pool, together(asking(post, plain.url), 4), range(4))
        assert mock.call_count == 4
        assert plain.requests == []

    assert found == [f"mocked {item}" for item in range(4)]


def test_a_mocked_503_that_is_raised_is_tried_again(beside, plain, post):
    """The mock serves in place of the transport, so the call is repeated, and charged for once."""
    with beside(requests_mock.Mocker(), post=post) as (pool, mock):
        for item in range(4):
            mock.post(f"{plain.url}/{item}", [{"status_code": 503}, {"text": "mocked"}])
        found = outcomes(pool, together(asking(post, plain.url), 4), range(4))
        assert mock.call_count == 8

    assert [outcome.value for outcome in found] == ["mocked"] * 4
    assert [outcome.attempts for outcome in found] == [2] * 4


def test_an_unknown_request_is_the_mocks_error(beside, plain, post):
    """What nobody has mocked does not reach the network."""
    with beside(requests_mock.Mocker(), post=post) as (pool, _):
        [outcome] = outcomes(pool, asking(post, plain.url), ["unknown"])
        assert plain.requests == []

    assert isinstance(outcome.error, requests_mock.NoMockAddress)


def test_the_mock_lets_others_pass(beside, plain, post):
    """With `real_http` a URL that nobody has mocked reaches its server."""
    with beside(requests_mock.Mocker(real_http=True), post=post) as (pool, mock):
        mock.post(f"{plain.url}/0", text="mocked")
        found = values(pool, together(asking(post, plain.url), 2), range(2))
        assert len(plain.requests) == 1

    assert found == ["mocked", "plain"]


def test_a_mock_of_one_session_answers_that_one(beside, plain):
    """Other sessions are as they were."""
    with requests.Session() as session:

        def work(item):
            mocked = session.post(f"{plain.url}/{item}", timeout=5)
            return mocked.text, requests.post(plain.url, timeout=5).text

        with beside(requests_mock.Mocker(session=session)) as (pool, mock):
            mock.post(requests_mock.ANY, text="mocked")
            found = values(pool, together(work, 4), range(4))

    assert found == [("mocked", "plain")] * 4


def test_a_mounted_mock_is_tried_again_in_place(plain):
    """An adapter that is mounted is carried by the transport: its 503 is retried and recorded."""
    adapter = requests_mock.Adapter()
    with requests.Session() as session:
        session.mount(plain.url, adapter)
        for item in range(4):
            answers = [{"status_code": 503}, {"text": "mocked"}]
            adapter.register_uri("POST", f"{plain.url}/{item}", answers)
        with threadllm.Dispatcher(4, retry=AT_ONCE) as pool:
            found = outcomes(pool, together(asking(session.post, plain.url), 4), range(4))

    assert [outcome.value for outcome in found] == ["mocked"] * 4
    assert [[record.status for record in outcome.requests] for outcome in found] == [[503, 200]] * 4
