"""Messages over two pipes: how long each is, and then it.

A message is whatever `pickle` takes; both ends are ours.
"""

from __future__ import annotations

import pickle
import struct
from typing import IO, Any

_LENGTH = struct.Struct("!Q")


def send(file: IO[bytes], message: object) -> None:
    """Write one.

    Raises:
        OSError: Nobody reads any more.
    """
    packed = pickle.dumps(message, pickle.HIGHEST_PROTOCOL)
    file.write(_LENGTH.pack(len(packed)) + packed)
    file.flush()


def receive(file: IO[bytes]) -> Any:
    """Wait for one.

    Raises:
        EOFError: The other side has gone.
    """
    (length,) = _LENGTH.unpack(_exactly(file, _LENGTH.size))
    return pickle.loads(_exactly(file, length))  # noqa: S301 the other side is ours


def _exactly(file: IO[bytes], length: int) -> bytes:
    found = file.read(length)
    if len(found) < length:
        raise EOFError
    return found
