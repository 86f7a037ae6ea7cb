"""`requests.Session.prepare_request`, with what requests works out anew each time remembered.

What is out of the ordinary is left to requests itself, errors included.
"""

from __future__ import annotations

from functools import lru_cache
from http.cookiejar import CookieJar
from itertools import chain
from typing import TYPE_CHECKING, Any, NamedTuple

import urllib3.util.url
from requests import PreparedRequest, Request, cookies, models, sessions, structures, utils
from requests.auth import HTTPBasicAuth
from requests.cookies import RequestsCookieJar
from requests.structures import CaseInsensitiveDict

from threadllm.transport.header_dicts import for_requests, kept_in
from threadllm.transport.originals import Originals
from threadllm.transport.steps.netrc import netrc_auth

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    import requests

    from threadllm.transport.header_dicts import Fields


_PASSED_BY = Originals(
    [
        (PreparedRequest, "__init__ prepare prepare_method prepare_url prepare_headers", models),
        (PreparedRequest, "prepare_cookies prepare_auth", models),
        (models, "get_cookie_header", cookies),
        (models, "check_header_validity get_auth_from_url requote_uri", utils),
        (models, "parse_url", urllib3.util.url),
        (models, "CaseInsensitiveDict", structures),
        (sessions, "CaseInsensitiveDict", structures),
        (sessions, "RequestsCookieJar merge_cookies cookiejar_from_dict", cookies),
        (sessions, "merge_setting merge_hooks", sessions),
    ]
)
_MAPPINGS = {dict, CaseInsensitiveDict}
_PARAMS = {dict, list, tuple, str, bytes}
_TEXTS = {str, type(None)}


def prepare_request(found: Callable[..., Any], session: requests.Session, request: Any) -> Any:
    """What `requests.Session.prepare_request` gives; `found` gives the unusual.

    Credentials from ~/.netrc never take the place of an Authorization header of the code's own.
    """
    try:
        plan = _plan(session, request) if _is_usual(session, request) else None
    except (AttributeError, TypeError, ValueError):
        plan = None  # what is wrong is for requests to say
    if plan is None:
        return prepared_by_others(found, session, request)
    prepared = PreparedRequest()
    vars(prepared).update(
        method=request.method.upper(),
        url=plan.url,
        headers=for_requests(plan.headers.copy()),
        _cookies=plan.cookies,
    )
    if vars(plan.cookies)["_cookies"]:
        prepared.prepare_cookies(plan.cookies)
    prepared.prepare_body(request.data, request.files, request.json)
    if plan.auth is not None:
        prepared.prepare_auth(plan.auth, request.url)
    prepared.prepare_hooks(plan.hooks)
    return prepared


def prepared_by_others(found: Callable[..., Any], session: requests.Session, request: Any) -> Any:
    """What `found` gives, with the code's own Authorization if ~/.netrc has taken its place."""
    prepared = found(request)
    asked = session.trust_env and not (request.auth or session.auth)
    auth = netrc_auth(request.url) if asked and isinstance(prepared, PreparedRequest) else None
    if auth is None:
        return prepared
    plain = PreparedRequest()
    plain.prepare_headers(
        sessions.merge_setting(request.headers, session.headers, CaseInsensitiveDict)
    )
    own = {name: value for name, value in plain.headers.items() if name.lower() == "authorization"}
    HTTPBasicAuth(*auth)(plain)
    if own and prepared.headers.get("Authorization") == plain.headers["Authorization"]:
        prepared.headers.update(own)
        prepared.prepare_auth(None)  # what the URL says still holds
    return prepared


class _Plan(NamedTuple):
    """What is settled of a request before its body is made."""

    url: str
    headers: Fields
    cookies: CookieJar
    auth: Any
    hooks: Any


def _is_usual(session: requests.Session, request: Any) -> bool:
    return (
        type(request) is Request
        and type(request.method) is str
        and type(request.url) is str
        and type(request.headers) in _MAPPINGS
        and type(request.params) in _PARAMS
        and type(session.headers) is CaseInsensitiveDict
        and type(session.params) is dict
        and vars(sessions)["PreparedRequest"] is PreparedRequest
        and _PASSED_BY.genuine
    )


def _plan(session: requests.Session, request: Any) -> _Plan | None:
    pairs = (*_pairs(session.headers), *_pairs(request.headers))
    if not {*map(type, chain.from_iterable(pairs))} <= _TEXTS:
        return None
    headers = _merged(pairs)
    jar = _merged_cookies(session.cookies, request.cookies or {})
    auth = request.auth
    if session.trust_env and not (auth or session.auth):
        auth = None if "authorization" in headers else netrc_auth(request.url)
    auth = sessions.merge_setting(auth, session.auth)
    hooks = sessions.merge_hooks(request.hooks, session.hooks)
    if session.params or request.params:
        params = sessions.merge_setting(request.params, session.params)
        url, own_auth = _address(request.url, params)
    else:
        url, own_auth = _known_address(request.url)
    return _Plan(url, headers, jar, own_auth if auth is None else auth, hooks)


def _pairs(headers: Any) -> Iterable[tuple[str, str | None]]:
    return headers.items() if type(headers) is dict else kept_in(headers).values()


@lru_cache(maxsize=256)
def _merged(pairs: tuple[tuple[str, str | None], ...]) -> Fields:
    """The headers that come of some that are set one after the other; None takes one away."""
    merged = {name.lower(): (name, value) for name, value in pairs}
    sent: Fields = {}
    for lower, (name, value) in merged.items():
        if value is not None:
            utils.check_header_validity((name, value))
            sent[lower] = name, value
    return sent


def _merged_cookies(own: Any, given: Any) -> CookieJar:
    jar = RequestsCookieJar()
    if type(own) is RequestsCookieJar and not (vars(own)["_cookies"] or given):
        return jar
    given = given if isinstance(given, CookieJar) else cookies.cookiejar_from_dict(given)
    return cookies.merge_cookies(cookies.merge_cookies(jar, own), given)


def _address(url: str, params: Any) -> tuple[str, tuple[str, str] | None]:
    """A URL as it is sent, and the credentials in it."""
    prepared = PreparedRequest()
    prepared.prepare_url(url, params)
    auth = utils.get_auth_from_url(str(prepared.url))
    return str(prepared.url), auth if any(auth) else None


@lru_cache(maxsize=1024)
def _known_address(url: str) -> tuple[str, tuple[str, str] | None]:
    return _address(url, None)
