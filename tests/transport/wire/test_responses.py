import gc
import warnings

import pytest

from threadllm.transport import header_dicts
from threadllm.transport.wire import responses

from .corpus import USUAL
from .playing import ways, witness

SMALL = [name for name, case in USUAL.items() if len(case.data) < 100_000]


@pytest.mark.parametrize(
    ("room", "flag"),
    [
        (header_dicts, "_OF_REQUESTS_AS_EXPECTED"),
        (header_dicts, "_OF_URLLIB3_AS_EXPECTED"),
        (responses, "_BLANK_AS_EXPECTED"),
    ],
)
def test_responses_are_the_same_however_they_are_kept(monkeypatch, player, room, flag):
    """Should a library keep things in another way, they are put in as it wants them."""
    assert getattr(room, flag)
    monkeypatch.setattr(room, flag, False)
    for name in SMALL:
        ours, theirs = (witness(player, session, USUAL[name]) for session in ways())
        assert (ours, name) == (theirs, name)


def test_what_is_left_of_an_answer_can_be_closed(player):
    """Whoever looks for http.client's answer, for its cookies, may close it, and ask about that."""
    session, _ = ways()
    with session:
        player.play(USUAL["openai"])
        raw = session.post(player.url, timeout=10).raw
        assert raw._original_response.msg.get_all("Set-Cookie")[1].startswith("_cfuvid=xyz")
        assert raw._original_response.isclosed()
        raw.close()
        raw._original_response.close()
        raw.release_conn()
        raw.drain_conn()
        assert (raw.closed, raw.data) == (True, b"")


def test_nothing_is_said_when_a_response_goes():
    """urllib3's response, though put together here, ends like one of its own."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        gc.collect()
