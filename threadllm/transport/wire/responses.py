"""The response that requests would have built, for an answer that has come whole.

It is made as `HTTPAdapter.build_response` makes it and then read, with the attributes that
requests and urllib3 leave behind.
"""

from __future__ import annotations

import io
from functools import lru_cache
from http.client import HTTPMessage
from inspect import signature
from typing import TYPE_CHECKING, Any

from requests import Response
from requests.cookies import RequestsCookieJar, extract_cookies_to_jar
from requests.structures import CaseInsensitiveDict
from requests.utils import get_encoding_from_headers
from urllib3 import HTTPHeaderDict, HTTPResponse

from threadllm.transport.header_dicts import for_requests, for_urllib3

if TYPE_CHECKING:
    from requests import PreparedRequest

    from threadllm.transport.wire.exchanges import Answer

_COOKIES, _TYPE = "set-cookie", "content-type"
_BLANK = vars(Response())
_FILLED = {  # by each response with things of its own
    "_content", "_content_consumed", "status_code", "headers", "raw", "url", "encoding",
    "history", "reason", "cookies", "request",
}  # fmt: skip
_BLANK_AS_EXPECTED = _BLANK.keys() - _FILLED == {"_next", "elapsed"}


class _Original:
    """What is left of http.client's answer: where cookies are looked for."""

    def __init__(self, headers: list[tuple[str, str]]) -> None:
        self.msg = HTTPMessage()
        for name, value in headers:
            self.msg[name] = value

    def close(self) -> None:
        """It is closed."""

    def isclosed(self) -> bool:
        """It is."""
        return True


def response_to(request: PreparedRequest, answer: Answer, **of_urllib3: Any) -> Response:
    """The response to a request, its body read; all but its `connection`.

    Args:
        request: What was sent.
        answer: What came.
        of_urllib3: Attributes of urllib3's response: `pool`, `request_url`, `retries`.
    """
    head = answer.head
    if len(head.fields) == len(head.headers):
        fields, raw_headers = head.fields, for_urllib3(head.fields)
    else:
        raw_headers = HTTPHeaderDict(head.headers)
        fields = {name.lower(): (name, value) for name, value in raw_headers.itermerged()}
    raw = _raw(answer, raw_headers, **of_urllib3)
    response = _blank()
    vars(response).update(
        _content=answer.content,
        _content_consumed=True,
        status_code=head.status,
        headers=for_requests(fields),
        raw=raw,
        url=str(request.url),
        encoding=_encoding_of(fields.get(_TYPE)),
        history=[],
        reason=head.reason,
        cookies=RequestsCookieJar(),
        request=request,
    )
    if _COOKIES in head.fields:
        extract_cookies_to_jar(response.cookies, request, raw)
    return response


def _blank() -> Response:
    """What `Response()` is: to make one costs much more."""
    if not _BLANK_AS_EXPECTED:
        return Response()
    response = Response.__new__(Response)
    vars(response).update(_BLANK)
    return response


@lru_cache(maxsize=64)
def _encoding_of(content_type: tuple[str, str] | None) -> str | None:
    """The encoding that a header says, or that its media type has."""
    return get_encoding_from_headers(CaseInsensitiveDict([content_type] if content_type else []))


def _raw(
    answer: Answer, headers: HTTPHeaderDict, *, pool: Any, request_url: str, retries: Any
) -> HTTPResponse:
    """urllib3's response, copied from one that has been read: to make one costs much more."""
    head = answer.head
    raw = HTTPResponse.__new__(HTTPResponse)
    whole = head.length is not None
    vars(raw).update(
        _READ,
        headers=headers,
        status=head.status,
        reason=head.reason,
        chunked=not whole,
        length_remaining=0 if whole else None,
        _fp_bytes_read=answer.size if whole else 0,
        _decoded_buffer=_Buffer(),
        _original_response=_Original(head.headers) if _COOKIES in head.fields else None,
        _pool=pool,
        _request_url=request_url,
        _retries=retries,
    )
    return raw


def _read_body() -> io.BytesIO:
    """A file that has been read to its end."""
    body = io.BytesIO()
    body.close()
    return body


_VERSIONS = {"version": 11, "version_string": "HTTP/1.1"}
_VERSION: dict[str, Any] = {  # urllib3 before 2.3 knows one of them only
    name: value for name, value in _VERSIONS.items() if name in signature(HTTPResponse).parameters
}
_READ = vars(
    HTTPResponse(_read_body(), status=200, preload_content=False, decode_content=False, **_VERSION)
)
_Buffer = type(_READ["_decoded_buffer"])
