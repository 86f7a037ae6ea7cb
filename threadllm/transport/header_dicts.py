"""requests' and urllib3's dicts of headers, read and made by what they keep.

Both go through all headers, name by name, whenever they are filled or read. Where they keep headers
as they did when this was written, what they keep is taken, and given to them, as a whole.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from requests.structures import CaseInsensitiveDict
from urllib3 import HTTPHeaderDict

if TYPE_CHECKING:
    # By names in lower case: names, as they are spelt, and values.
    Fields = dict[str, tuple[str, str]]

_SAMPLE = {"X-Name": "value"}
_OF_REQUESTS_AS_EXPECTED = vars(CaseInsensitiveDict(_SAMPLE)) == {
    "_store": {"x-name": ("X-Name", "value")}
}
_OF_URLLIB3_AS_EXPECTED = vars(HTTPHeaderDict(_SAMPLE)) == {
    "_container": {"x-name": ["X-Name", "value"]}
}


def kept_in(headers: CaseInsensitiveDict[Any]) -> Fields:
    """What requests' dict keeps: to be read, not to be changed."""
    if _OF_REQUESTS_AS_EXPECTED:
        fields: Fields = vars(headers)["_store"]
        return fields
    return {name.lower(): (name, value) for name, value in headers.items()}


def for_requests(fields: Fields) -> CaseInsensitiveDict[str]:
    """A dict of requests', which is to have these for its own."""
    if not _OF_REQUESTS_AS_EXPECTED:
        return CaseInsensitiveDict(fields.values())
    headers: CaseInsensitiveDict[str] = object.__new__(CaseInsensitiveDict)
    vars(headers)["_store"] = fields
    return headers


def for_urllib3(fields: Fields) -> HTTPHeaderDict:
    """A dict of urllib3's with these, which it copies."""
    if not _OF_URLLIB3_AS_EXPECTED:
        return HTTPHeaderDict(fields.values())
    headers: HTTPHeaderDict = object.__new__(HTTPHeaderDict)
    vars(headers)["_container"] = dict(zip(fields, map(list, fields.values()), strict=True))
    return headers
