"""What requests makes of the environment's variables, remembered until one of them changes.

`requests.Session` reads them all again for each request. Here they are compared instead, so that
a change of any of them counts at once.
"""

from __future__ import annotations

import os
import urllib.request
from collections import OrderedDict
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from requests import sessions, utils

from threadllm.transport.address import netloc_of
from threadllm.transport.originals import Originals

if TYPE_CHECKING:
    from collections.abc import Callable

    import requests

_T = TypeVar("_T")

_PASSED_BY = Originals(
    [
        (sessions, "merge_setting", sessions),
        (sessions, "get_environ_proxies", utils),
        (utils, "should_bypass_proxies", utils),
        (utils, "getproxies proxy_bypass", urllib.request),
    ]
)
# Elsewhere the system has settings of its own, which may change unseen.
_VARIABLES_SAY_ALL = urllib.request.getproxies is urllib.request.getproxies_environment
_PLAIN = {bool, str, tuple, type(None)}


class FromEnvironment(Generic[_T]):
    """Something that depends on the environment's variables, made anew when one has changed."""

    def __init__(self, make: Callable[[], _T]) -> None:
        self._make = make
        self._last: tuple[dict[bytes, bytes], _T] | None = None  # replaced as a whole

    def __call__(self) -> _T:
        """The thing, as the variables are now."""
        # To read `os.environ` as a mapping is to decode all of it. This is what it holds; where
        # Python, or whoever has put another mapping there, does not, nothing is remembered.
        variables: object = getattr(os.environ, "_data", None)
        last = self._last
        if last is not None and variables == last[0]:
            return last[1]
        before = variables.copy() if type(variables) is dict else None
        thing = self._make()
        self._last = None if before is None else (before, thing)
        return thing


class _Settings:
    """What the variables set for requests."""

    def __init__(self) -> None:
        self.ca_bundle = os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("CURL_CA_BUNDLE")
        self.proxies_for = lru_cache(maxsize=256)(_proxies_for)
        self.usual_for = lru_cache(maxsize=256)(_usual_for)


def _proxies_for(netloc: str) -> dict[str, str]:
    return utils.get_environ_proxies(f"//{netloc}")


def _usual_for(url: str) -> dict[str, Any]:
    with sessions.Session() as session:
        merge = session.merge_environment_settings
        settings: dict[str, Any] = merge_environment_settings(
            merge, session, url, {}, None, None, None
        )
        return settings


_settings = FromEnvironment(_Settings)


def usual_settings(url: str) -> dict[str, Any]:
    """What a session with the usual settings makes of a request that has none of its own."""
    if not (_VARIABLES_SAY_ALL and _PASSED_BY.genuine):
        return _usual_for(url)
    settings = _settings().usual_for(url)
    return {**settings, "proxies": settings["proxies"].copy()}


def merge_environment_settings(
    found: Callable[..., Any],
    session: requests.Session,
    url: Any,
    proxies: Any,
    stream: Any,
    verify: Any,
    cert: Any,
) -> Any:
    """What `requests.Session.merge_environment_settings` gives; `found` gives the unusual."""
    settings = session.proxies
    usual = (
        type(url) is str
        and type(proxies) is dict
        and type(settings) is dict
        and {type(stream), type(verify), type(cert)} <= _PLAIN
        and "no_proxy" not in proxies
        and _VARIABLES_SAY_ALL
        and _PASSED_BY.genuine
    )
    if not usual:
        return found(url, proxies, stream, verify, cert)
    if session.trust_env:
        environment = _settings()
        for scheme, proxy in environment.proxies_for(netloc_of(url)).items():
            proxies.setdefault(scheme, proxy)
        if verify is True or verify is None:
            verify = environment.ca_bundle or verify
    merged = OrderedDict([*settings.items(), *proxies.items()])
    for scheme in [scheme for scheme, proxy in merged.items() if proxy is None]:
        del merged[scheme]
    return {
        "proxies": merged,
        "stream": session.stream if stream is None else stream,
        "verify": session.verify if verify is None else verify,
        "cert": session.cert if cert is None else cert,
    }
