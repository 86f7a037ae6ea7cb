"""One worker at a time: vcrpy takes its patches off for a moment wherever it connects."""

import vcr
import yaml

from tests.transport.support import reply

from .support import asking, outcomes, values


def interactions(path):
    with path.open(encoding="utf-8") as file:
        return yaml.safe_load(file)["interactions"]


def test_what_was_recorded_is_replayed_with_the_server_gone(beside, serve, post, tmp_path):
    """Every request is recorded once; then the same calls get the same answers from the tape."""
    path = tmp_path / "tape.yaml"
    server = serve(lambda request: reply(b"real " + request.target.encode()))
    with beside(vcr.use_cassette(path), workers=1, post=post) as (pool, _):
        recorded = values(pool, asking(post, server.url), range(4))
    assert len(server.requests) == len(interactions(path)) == 4
    server.__exit__()

    with beside(vcr.use_cassette(path, record_mode="none"), workers=1, post=post) as (pool, tape):
        replayed = values(pool, asking(post, server.url), range(4))
        assert tape.play_count == 4

    assert recorded == replayed == [f"real /{item}" for item in range(4)]


def test_a_recorded_503_is_tried_again(beside, serve, post, tmp_path):
    """Both answers are on the tape, and both are played: the item has two attempts each time."""
    path = tmp_path / "tape.yaml"
    server = serve(reply(status=503), reply(b"well"))
    with beside(vcr.use_cassette(path), workers=1, post=post) as (pool, _):
        [recorded] = outcomes(pool, asking(post, server.url), [0])
    server.__exit__()

    with beside(vcr.use_cassette(path, record_mode="none"), workers=1, post=post) as (pool, tape):
        [replayed] = outcomes(pool, asking(post, server.url), [0])
        assert tape.play_count == 2

    assert [entry["response"]["status"]["code"] for entry in interactions(path)] == [503, 200]
    for outcome in (recorded, replayed):
        assert (outcome.value, outcome.attempts) == ("well", 2)
        assert [record.status for record in outcome.requests] == [503, 200]


def test_a_recorded_stream_is_replayed(beside, serve, post, tmp_path):
    """The function reads the same lines from the server and from the tape."""
    path = tmp_path / "tape.yaml"
    server = serve(reply(b"one\ntwo"))

    def lines(_):
        with post(server.url, stream=True) as answer:
            return list(answer.iter_lines())

    with beside(vcr.use_cassette(path), workers=1, post=post) as (pool, _):
        recorded = values(pool, lines, [0])
    server.__exit__()

    with beside(vcr.use_cassette(path, record_mode="none"), workers=1, post=post) as (pool, _):
        replayed = values(pool, lines, [0])

    assert recorded == replayed == [[b"one", b"two"]]
