"""What an error tells of the answer that it carries, without keys: to be kept, or to travel."""

from __future__ import annotations

from contextlib import suppress
from typing import NamedTuple

from threadllm.providers.shapes import reply_of
from threadllm.providers.waits import seconds_to_wait
from threadllm.redaction import json_without_keys


class Details(NamedTuple):
    """What came back, as far as an error knows.

    Attributes:
        status: The HTTP status.
        body: What the provider said, without keys, if that was JSON.
        request_id: Its own name for the exchange, if it gave one.
        retry_after: Seconds that it asked to wait, if it did.
    """

    status: int | None = None
    body: object = None
    request_id: str | None = None
    retry_after: float | None = None


def details_of(error: BaseException, *, now: float) -> Details:
    """The details of an error that came at `now`, seconds since 1970-01-01 UTC."""
    with suppress(Exception):  # its own attributes may raise: it has said nothing
        reply = reply_of(error)
        if reply is not None:
            told = getattr(error, "request_id", None)
            return Details(
                reply.status,
                json_without_keys(reply.body),
                reply.headers.get("x-request-id", told if isinstance(told, str) else None),
                seconds_to_wait(reply, now=now),
            )
    return Details()
