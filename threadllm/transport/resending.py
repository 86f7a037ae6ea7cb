"""Requests that are sent more than once: whether they can be, and what that takes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from requests.utils import rewind_body

if TYPE_CHECKING:
    from requests import PreparedRequest


def can_resend(request: PreparedRequest) -> bool:
    """Whether the body can be sent again: bytes, text, or a file that can seek."""
    body: object = request.body
    whole = body is None or isinstance(body, (bytes, str, bytearray, memoryview))
    return whole or isinstance(_position(request), int)


def rewind(request: PreparedRequest) -> None:
    """Set a file in the body back to where it was when the request was prepared.

    Raises:
        UnrewindableBodyError: The file can no longer seek.
    """
    if isinstance(_position(request), int):
        rewind_body(request)


def _position(request: PreparedRequest) -> object:
    return getattr(request, "_body_position", None)
