"""How a key goes along with a request, whatever ~/.netrc says."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from requests import PreparedRequest

    Authorizing = Callable[[PreparedRequest], PreparedRequest]


def bearer(key: str) -> Authorizing:
    """What `auth=` takes of requests; a header alone would be overridden by a .netrc."""

    def authorize(request: PreparedRequest) -> PreparedRequest:
        request.headers["Authorization"] = f"Bearer {key}"
        return request

    return authorize
