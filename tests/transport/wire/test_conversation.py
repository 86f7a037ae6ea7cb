import math
import pickle

import pytest
import urllib3.connection
from urllib3 import Timeout
from urllib3.exceptions import ConnectTimeoutError

from threadllm.transport.wire.connections import Connection, SecureConnection
from threadllm.transport.wire.timeouts import Timeouts

from .playing import ended, seen_of_error, ways

SOUND = [None, 5, 0.5, (3, 4), (None, 4), (3.5, None), (None, None)]
# What requests and urllib3 judge, each in its own way.
UNSOUND = [0, -1, math.nan, math.inf, True, "5", "x", (1,), (1, 2, 3), (), [3, 4], (5, 0), (5, "x")]
UNSOUND += [Timeout(5), Timeout(connect=3, read=4), (True, 5), 1e10, 10**400, b"5", 5j, {}]


# urllib3 forgets to close the socket that will have none of such a timeout.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("timeout", [*SOUND, *UNSOUND], ids=repr)
def test_a_timeout_means_what_it_means_to_requests(player, timeout):
    """Whatever is given as a timeout: the same answer, or the same error."""
    seen = []
    for session in ways():
        with ended(session):
            try:
                seen.append(session.post(player.url, data=b"{}", timeout=timeout).content)
            except Exception as error:
                seen.append(seen_of_error(error))
    ours, theirs = seen
    assert ours == theirs


@pytest.mark.parametrize("timeout", SOUND, ids=repr)
def test_sound_timeouts_are_known_here(timeout):
    """Seconds to connect, and seconds to read."""
    pair = timeout if isinstance(timeout, tuple) else (timeout, timeout)
    assert Timeouts.of(timeout) == pair


@pytest.mark.parametrize("timeout", UNSOUND, ids=repr)
def test_others_are_left_to_requests(timeout):
    """Those that it refuses, and those that are of its own kind."""
    assert Timeouts.of(timeout) is None


@pytest.mark.parametrize("kind", [Connection, SecureConnection])
def test_an_error_that_holds_a_connection_can_be_pickled(kind):
    """What is unpickled holds urllib3's connection of the same name, to the same place."""
    error = ConnectTimeoutError(kind("host", 8443), "too late")

    connection, text = pickle.loads(pickle.dumps(error)).args

    assert type(connection) is getattr(urllib3.connection, kind.__name__)
    assert (connection.host, connection.port, text) == ("host", 8443, "too late")
