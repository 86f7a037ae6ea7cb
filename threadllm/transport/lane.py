"""`requests.post` and its like within calls: a request as most are made, without a session.

requests makes a session for it, asks that for its settings, all of them the usual ones, and
throws it away. Here what such a session would make of a method, a URL and headers is remembered,
and the body is put in. Redirects are followed by a session, as requests follows them; whatever
else is out of the ordinary is left to requests from the beginning.
"""

from __future__ import annotations

import json as _json
from functools import lru_cache
from json import encoder
from typing import TYPE_CHECKING, Any, NamedTuple

import requests.auth
import requests.hooks
import urllib3.poolmanager
import urllib3.util.retry
from requests import PreparedRequest, adapters, api, cookies, models, sessions, structures, utils
from requests.adapters import HTTPAdapter
from requests.cookies import RequestsCookieJar, extract_cookies_to_jar
from requests.exceptions import RequestException
from requests.structures import CaseInsensitiveDict

from threadllm.transport.header_dicts import for_requests, kept_in
from threadllm.transport.mounted import carrier_of
from threadllm.transport.originals import Originals
from threadllm.transport.steps.environment import usual_settings
from threadllm.transport.steps.netrc import netrc_auth

if TYPE_CHECKING:
    from collections.abc import Callable

    from requests import Response

    from threadllm.call import Call
    from threadllm.transport.header_dicts import Fields

_SESSION = sessions.Session
_JSON: Any = _json
_PASSED_BY = Originals(
    [
        (api, "sessions", sessions),
        (sessions, "Session merge_setting", sessions),
        (sessions, "HTTPAdapter", adapters),
        (sessions, "Request PreparedRequest", models),
        (sessions, "CaseInsensitiveDict", structures),
        (sessions, "default_headers get_netrc_auth", utils),
        (sessions, "RequestsCookieJar cookiejar_from_dict extract_cookies_to_jar", cookies),
        (sessions, "dispatch_hook", requests.hooks),
        (_SESSION, "__init__ request send mount close __enter__ __exit__", sessions),
        (_SESSION, "resolve_redirects get_redirect_target", sessions),
        (models, "CaseInsensitiveDict", structures),
        (models, "check_header_validity get_auth_from_url requote_uri", utils),
        (models, "HTTPBasicAuth", requests.auth),
        (models, "parse_url", urllib3.util.url),
        (models, "complexjson", _JSON),
        (models.Request, "__init__", models),
        (PreparedRequest, "prepare prepare_method prepare_url prepare_headers", models),
        (PreparedRequest, "prepare_cookies prepare_body prepare_content_length", models),
        (PreparedRequest, "prepare_auth prepare_hooks", models),
        (utils, "default_user_agent", utils),
        (HTTPAdapter, "__init__ init_poolmanager close", adapters),
        (adapters, "PoolManager", urllib3.poolmanager),
        (adapters, "Retry", urllib3.util.retry),
        (_JSON, "dumps", _JSON),
        (_JSON, "JSONEncoder", encoder),
        (encoder.JSONEncoder, "__init__ encode iterencode", encoder),
    ]
)
# Requests looks these up as well, and somebody may want them otherwise.
_CONSTANTS = adapters.DEFAULT_RETRIES, utils.DEFAULT_ACCEPT_ENCODING
_NAMES = {"data", "headers", "json", "params", "timeout"}
_AUTHORIZATION = "authorization"
_LENGTH = "Content-Length"
_SCHEMES = ("http://", "https://")
_MAPPINGS = {dict, type(None)}
_TEXTS = {str, type(None)}
_encoder = encoder.JSONEncoder(allow_nan=False)  # as requests has it, but made once


class _Plan(NamedTuple):
    """What a request has but for its body.

    Attributes:
        netrc: Whether ~/.netrc may have credentials for it, as the code has set none.
    """

    method: str
    url: str
    headers: Fields
    netrc: bool


def request(
    call: Call, found: Callable[..., Response], method: Any, url: Any, options: dict[str, Any]
) -> Response:
    """What `requests.request` gives; `found` gives the unusual."""
    usual = _is_usual(method, url, options)
    prepared = _prepared(method, url, options) if usual else None
    if prepared is None:
        return found(method, url, **options)
    settings = usual_settings(str(prepared.url))
    settings["timeout"] = options.get("timeout")
    response = carrier_of(call).send(prepared, **settings)
    return _followed(response, prepared, settings) if response.is_redirect else response


def _is_usual(method: object, url: object, options: dict[str, Any]) -> bool:
    return (
        type(method) is str
        and type(url) is str
        and options.keys() <= _NAMES
        and type(options.get("headers")) in _MAPPINGS
        and not (options.get("params") or options.get("data"))
        and (adapters.DEFAULT_RETRIES, utils.DEFAULT_ACCEPT_ENCODING) == _CONSTANTS
        and _PASSED_BY.genuine
    )


def _prepared(method: str, url: str, options: dict[str, Any]) -> PreparedRequest | None:
    """The request as it is sent; None if that, or what is wrong with it, is for requests to say."""
    given, json = options.get("headers") or {}, options.get("json")
    try:
        plan = _plan(method, url, json is not None, *given, *given.values())
        body = None if json is None else _encoder.encode(json).encode()
        if plan.netrc and netrc_auth(url) is not None:
            return None
    except (TypeError, ValueError, RequestException):
        return None
    prepared, headers = PreparedRequest(), plan.headers.copy()
    if body is not None:
        headers[_LENGTH.lower()] = _LENGTH, str(len(body))
    vars(prepared).update(
        method=plan.method,
        url=plan.url,
        headers=for_requests(headers),
        body=body,
        _cookies=RequestsCookieJar(),
    )
    return prepared


# Types count: a text of the user's own kind may equal one that is remembered.
@lru_cache(maxsize=256, typed=True)
def _plan(method: str, url: str, with_json: bool, *headers: Any) -> _Plan:
    """What requests makes of these, wherever and whenever.

    Args:
        method: As the code gives it.
        url: The same.
        with_json: Whether there is a body.
        headers: Their names, and then their values.

    Raises:
        ValueError: They are not for this way: a header is no text, or the URL is not HTTP's.
        RequestException: requests would refuse them.
    """
    if not ({*map(type, headers)} <= _TEXTS and url.startswith(_SCHEMES)):
        raise ValueError
    half = len(headers) // 2
    merged = sessions.merge_setting(
        dict(zip(headers[:half], headers[half:], strict=True)),
        utils.default_headers(),
        CaseInsensitiveDict,
    )
    prepared = PreparedRequest()
    prepared.prepare(method, url, merged, json={} if with_json else None)
    kept = dict(kept_in(prepared.headers))
    return _Plan(str(prepared.method), str(prepared.url), kept, _AUTHORIZATION not in merged)


def _followed(response: Response, prepared: PreparedRequest, settings: Any) -> Response:
    """Where redirects lead to."""
    with _SESSION() as session:
        for each in response.history:  # an adapter of somebody's own may have followed some
            extract_cookies_to_jar(session.cookies, each.request, each.raw)
        extract_cookies_to_jar(session.cookies, prepared, response.raw)
        *before, last = response, *session.resolve_redirects(response, prepared, **settings)
        if before:
            last.history = before
        return last
