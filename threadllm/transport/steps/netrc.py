"""Credentials from ~/.netrc, remembered for as long as the file stays the same.

Requests reads the file again for each request.
"""

from __future__ import annotations

import os
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import Any

import requests.sessions
from requests import utils

from threadllm.clock import SYSTEM
from threadllm.transport.address import netloc_of
from threadllm.transport.originals import Originals
from threadllm.transport.steps.environment import FromEnvironment

_Auth = tuple[str, str] | None

_sessions: Any = requests.sessions
_PASSED_BY = Originals([(_sessions, "get_netrc_auth", utils)])
# A file may change twice between two ticks of the clock that dates it.
_SETTLED = 2.0  # seconds


def netrc_auth(url: Any) -> _Auth:
    """What `requests.utils.get_netrc_auth` says of a URL, or whoever stands in its place."""
    auth: _Auth
    if type(url) is str and _PASSED_BY.genuine:
        file = _file()
        if file is None:
            return None
        if SYSTEM.time() - max(file.st_mtime, file.st_ctime) > _SETTLED:
            return _remembered(netloc_of(url), _version(file))
    auth = _sessions.get_netrc_auth(url)
    return auth


def _file() -> os.stat_result | None:
    """The first file that is there, of those that requests looks for."""
    for path in _paths():
        with suppress(OSError):
            return path.stat()
    return None


def _version(file: os.stat_result) -> tuple[int, ...]:
    times = file.st_mtime_ns, file.st_ctime_ns
    return file.st_dev, file.st_ino, file.st_mode, file.st_size, *times


@lru_cache(maxsize=256)
def _remembered(netloc: str, _: object) -> _Auth:
    return utils.get_netrc_auth(f"//{netloc}")


def _located() -> list[Path]:
    named = os.environ.get("NETRC")
    names = [f"~/{name}" for name in utils.NETRC_FILES] if named is None else [named]
    return [*map(_expanded, names)]


def _expanded(name: str) -> Path:
    with suppress(RuntimeError):  # there is no such user
        return Path(name).expanduser()
    return Path(name)


_paths = FromEnvironment(_located)
