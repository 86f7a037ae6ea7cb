from itertools import cycle

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from urllib3.util.wait import wait_for_read

from threadllm.transport.wire import exchanges
from threadllm.transport.wire.connections import Connection

from .corpus import CASES, Case, chunked, sized
from .playing import (
    STREAMED,
    WELL,
    as_it_comes,
    attempt,
    ended,
    given_up,
    in_pieces,
    raw_whole,
    ways,
    whole,
    witness,
)
from .streams import budget, cases, cuts

# urllib3 swallows what comes after an answer if it reads it along, and trusts the connection still.
TRUSTED = {"extra-bytes-kept", "two-answers"}
SMALL = {name: case for name, case in CASES.items() if len(case.data) < 5_000}
_FIXTURES = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])


class Sizes:
    """How much to receive at a time: one size after the other."""

    def __init__(self, sizes):
        self._sizes = cycle(sizes)

    def __index__(self):
        return next(self._sizes)


@pytest.fixture
def _byte_by_byte(monkeypatch):
    monkeypatch.setattr(exchanges, "_PIECE", 1)


def both(player, case, read=whole, **options):
    """What there is to see on the short way, and on requests' own."""
    return [witness(player, session, case, read, **options) for session in ways()]


def without_connections(seen):
    """All but which connection served the request that came after."""
    return {name: value for name, value in seen.items() if name != "connections"}


@pytest.mark.parametrize("name", CASES)
def test_an_answer_is_what_requests_makes_of_it(player, name):
    """Status, headers, body, errors, cookies and what comes after them do not differ."""
    ours, theirs = both(player, CASES[name])
    if name in TRUSTED:
        assert (theirs.pop("connections"), ours.pop("connections")) == ((1, [1, 1]), (2, [1, 2]))
    assert ours == theirs


@pytest.mark.usefixtures("_byte_by_byte")
@pytest.mark.parametrize("name", SMALL)
def test_it_does_not_matter_how_bytes_arrive(player, name):
    """An answer whose bytes come one by one is the same answer."""
    ours, theirs = map(without_connections, both(player, SMALL[name]))
    assert ours == theirs


@pytest.mark.parametrize("read", STREAMED, ids=lambda read: read.__name__)
def test_a_stream_is_what_requests_makes_of_it(player, read):
    """However a streamed body is read, or given up midway: it does not differ."""
    for name in SMALL.keys() - TRUSTED:
        ours, theirs = both(player, SMALL[name], read)
        assert (ours, name) == (theirs, name)


@given(case=cases(), sizes=cuts(), read=st.sampled_from((whole, whole, in_pieces, raw_whole)))
@settings(_FIXTURES, max_examples=budget(200))
def test_no_stream_of_bytes_makes_a_difference(player, monkeypatch, case, sizes, read):
    """Whatever a server sends, whichever way it arrives, and however the connection ends."""
    with monkeypatch.context() as patch:
        patch.setattr(exchanges, "_PIECE", Sizes(sizes))
        # A redirect would be followed at once, and race with the end of the connection.
        seen = both(player, case, read, allow_redirects=False)
    ours, theirs = map(without_connections, seen)
    assert ours == theirs


@pytest.mark.parametrize(
    "read", [whole, raw_whole, as_it_comes, given_up], ids=lambda read: read.__name__
)
@pytest.mark.parametrize("size", [16_384, 65_536, 131_072, 300_000])
def test_what_comes_along_with_an_answer_does_not_answer_the_next_request(player, read, size):
    """What is left unread on a connection is not taken for another answer."""
    filling = b"x" * (size - len(sized(body=b"x" * size)) + size)
    case = Case(sized(body=filling) + sized(body=b"not asked for"))
    assert len(sized(body=filling)) == size
    ours, theirs = map(without_connections, both(player, case, read))
    assert ours == theirs
    assert ours["afterwards"]["content"] == WELL


@pytest.mark.parametrize("answer", [sized(), chunked()], ids=["sized", "chunked"])
@pytest.mark.parametrize("read", [whole, in_pieces], ids=lambda read: read.__name__)
def test_what_comes_before_a_connection_rests_does_not_answer_the_next_request(
    player, monkeypatch, answer, read
):
    """Bytes that come right after an answer was read are noticed, however soon they come."""
    retire = Connection.retire

    def late(connection):
        if connection.sock is not None:
            player.push(sized(body=b"not asked for"))
            assert wait_for_read(connection.sock, 10)
        retire(connection)

    monkeypatch.setattr(Connection, "retire", late)
    session, _ = ways()
    seen = witness(player, session, Case(answer), read)
    assert seen["afterwards"].get("content") == WELL
    assert seen["connections"] == (2, [1, 2])


@pytest.mark.parametrize("read", [whole, in_pieces], ids=lambda read: read.__name__)
def test_what_comes_while_a_connection_rests_does_not_answer_the_next_request(player, read):
    """An answer that nobody asked for costs its connection."""
    player.play(Case(sized()))
    session, _ = ways()
    with ended(session):
        attempt(session, player.url, read)
        attempt(session, player.url, read)
        player.push(sized(body=b"not asked for"))
        seen = attempt(session, player.url)
    assert seen["content"] == WELL
    assert player.connections == 2
