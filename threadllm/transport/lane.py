"""`requests.post` and its like within calls: a request as most are made, without a session.

requests makes a session for it, asks that for its settings, all of them the usual ones, and
throws it away. Here what such a session would make of a method, a URL and headers is remembered,
and the body is put in. Redirects are followed by a session, as requests follows them; whatever
else is out of the ordinary is left to requests from the beginning.
"""

from __future__ import annotations

import json as _json
from functools import lru_cache
from itertools import chain
from typing import TYPE_CHECKING, Any, NamedTuple

import requests
from requests import PreparedRequest, models, sessions, utils
from requests.cookies import RequestsCookieJar, extract_cookies_to_jar
from requests.structures import CaseInsensitiveDict

from threadllm.transport.environment import merge_environment_settings
from threadllm.transport.mounted import carrier_of
from threadllm.transport.neighbours import Originals
from threadllm.transport.netrc import netrc_auth

if TYPE_CHECKING:
    from collections import OrderedDict
    from collections.abc import Callable

    from requests import Response

    from threadllm.call import Call

_SESSION = sessions.Session
_PASSED_BY = Originals(
    [
        (_SESSION, "__init__ request send mount close __enter__ __exit__", sessions),
        (models.Request, "__init__", models),
        (sessions, "default_headers", utils),
        (PreparedRequest, "__init__ prepare prepare_method prepare_url prepare_headers", models),
        (PreparedRequest, "prepare_cookies prepare_body prepare_auth prepare_hooks", models),
    ]
)
_NAMES = {"data", "headers", "json", "params", "timeout"}
_AUTHORIZATION = "authorization"
_LENGTH = "Content-Length"
_SCHEMES = ("http://", "https://")
_MAPPINGS = {dict, type(None)}
_TEXTS = {str, type(None)}
# Headers are copied as requests keeps them. Should that change, requests prepares them.
_KNOWN = vars(CaseInsensitiveDict({"A": "b"})) == {"_store": {"a": ("A", "b")}}
_encode = _json.JSONEncoder(allow_nan=False).encode  # as requests has it, but made once
_session = requests.Session()  # the usual settings


class _Plan(NamedTuple):
    """What a request has but for its body."""

    method: str
    url: str
    headers: OrderedDict[str, tuple[str, str]]  # by names in lower case


def request(
    call: Call, found: Callable[..., Response], method: Any, url: Any, options: dict[str, Any]
) -> Response:
    """What `requests.request` gives; `found` gives the unusual."""
    if not _is_usual(method, url, options):
        return found(method, url, **options)
    json = options.get("json")
    try:
        plan = _plan(method, url, tuple((options["headers"] or {}).items()), json is not None)
        body = None if json is None else _encode(json).encode()
    except (TypeError, ValueError, requests.RequestException):
        return found(method, url, **options)  # what is wrong is for requests to say
    if _AUTHORIZATION not in plan.headers and netrc_auth(plan.url) is not None:
        return found(method, url, **options)
    prepared = _prepared(plan, body)
    settings = merge_environment_settings(
        _session.merge_environment_settings, _session, plan.url, {}, None, None, None
    )
    settings["timeout"] = options.get("timeout")
    response = carrier_of(call).send(prepared, **settings)
    return _followed(response, prepared, settings) if response.is_redirect else response


def _is_usual(method: object, url: object, options: dict[str, Any]) -> bool:
    return (
        type(method) is str
        and type(url) is str
        and options.keys() <= _NAMES
        and type(options.setdefault("headers", None)) in _MAPPINGS
        and not (options.get("params") or options.get("data"))
        and sessions.Session is _SESSION
        and vars(models)["complexjson"] is _json
        and _KNOWN
        and _PASSED_BY.genuine
    )


@lru_cache(maxsize=256)
def _plan(method: str, url: str, headers: tuple[tuple[Any, Any], ...], with_json: bool) -> _Plan:
    """What requests makes of these, wherever and whenever.

    Raises:
        ValueError: They are not for this way: a header is no text, or the URL is not HTTP's.
        RequestException: requests would refuse them.
    """
    texts = {*map(type, chain.from_iterable(headers))} <= _TEXTS
    if not (texts and url.lower().startswith(_SCHEMES)):
        raise ValueError
    prepared = PreparedRequest()
    prepared.prepare(
        method=method.upper(),
        url=url,
        headers=sessions.merge_setting(dict(headers), _session.headers, CaseInsensitiveDict),
        files=[],
        data={},
        json={} if with_json else None,
        params={},
        cookies=RequestsCookieJar(),
    )
    return _Plan(str(prepared.method), str(prepared.url), vars(prepared.headers)["_store"])


def _prepared(plan: _Plan, body: bytes | None) -> PreparedRequest:
    prepared, headers = PreparedRequest(), object.__new__(CaseInsensitiveDict)
    kept = plan.headers.copy()
    if body is not None:
        kept[_LENGTH.lower()] = _LENGTH, str(len(body))
    vars(headers)["_store"] = kept
    vars(prepared).update(
        method=plan.method, url=plan.url, headers=headers, body=body, _cookies=RequestsCookieJar()
    )
    return prepared


def _followed(response: Response, prepared: PreparedRequest, settings: Any) -> Response:
    """Where redirects lead to."""
    with requests.Session() as session:
        extract_cookies_to_jar(session.cookies, prepared, response.raw)
        *before, last = response, *session.resolve_redirects(response, prepared, **settings)
        last.history = before
        return last
