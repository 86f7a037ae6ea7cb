"""The response that requests would have built, for an answer that has come whole.

It is made as `HTTPAdapter.build_response` makes it and then read, with the attributes that
requests and urllib3 leave behind. Both keep headers in dicts of their own, which are filled here
at once where they are laid out as expected.
"""

from __future__ import annotations

import io
from http.client import HTTPMessage
from inspect import signature
from typing import TYPE_CHECKING, Any

from requests import Response
from requests.cookies import extract_cookies_to_jar
from requests.structures import CaseInsensitiveDict
from requests.utils import get_encoding_from_headers
from urllib3 import HTTPHeaderDict, HTTPResponse

if TYPE_CHECKING:
    from requests import PreparedRequest

    from threadllm.transport.wire.answers import Head
    from threadllm.transport.wire.exchanges import Answer

_COOKIES = "set-cookie"
_SAMPLE = {"X-Name": "value"}
_CONTAINER_AS_EXPECTED = vars(HTTPHeaderDict(_SAMPLE)) == {
    "_container": {"x-name": ["X-Name", "value"]}
}
_STORE_AS_EXPECTED = vars(CaseInsensitiveDict(_SAMPLE)) == {
    "_store": {"x-name": ("X-Name", "value")}
}


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
    response = Response()
    response.status_code = head.status
    response.reason = head.reason
    response.headers = _case_insensitive_dict(head)
    response.encoding = get_encoding_from_headers(response.headers)
    response.raw = _raw(answer, **of_urllib3)
    response.request = request
    response.url = str(request.url)
    if _COOKIES in head.fields:
        extract_cookies_to_jar(response.cookies, request, response.raw)
    vars(response).update(_content=answer.content, _content_consumed=True)
    return response


def _raw(answer: Answer, *, pool: Any, request_url: str, retries: Any) -> HTTPResponse:
    """urllib3's response, copied from one that has been read: to make one costs much more."""
    head = answer.head
    raw = HTTPResponse.__new__(HTTPResponse)
    whole = head.length is not None
    vars(raw).update(
        _READ,
        headers=_header_dict(head),
        status=head.status,
        reason=head.reason,
        chunked=not whole,
        length_remaining=0 if whole else None,
        _fp_bytes_read=answer.size if whole else 0,
        _decoded_buffer=_Buffer(),
        _original_response=_Original(head.headers) if _COOKIES in head.fields else None,
        _pool=pool,
        _request_url=request_url,
    )
    raw.retries = retries
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


def _header_dict(head: Head) -> HTTPHeaderDict:
    if len(head.fields) < len(head.headers) or not _CONTAINER_AS_EXPECTED:
        return HTTPHeaderDict(head.headers)
    headers = HTTPHeaderDict()
    vars(headers)["_container"].update(zip(head.fields, map(list, head.headers), strict=True))
    return headers


def _case_insensitive_dict(head: Head) -> CaseInsensitiveDict[str]:
    if len(head.fields) < len(head.headers) or not _STORE_AS_EXPECTED:
        return CaseInsensitiveDict(HTTPHeaderDict(head.headers))
    headers: CaseInsensitiveDict[str] = CaseInsensitiveDict()
    vars(headers)["_store"].update(zip(head.fields, head.headers, strict=True))
    return headers
