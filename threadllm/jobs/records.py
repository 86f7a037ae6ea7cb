"""What became of an item, as the line of a result file.

Whatever a function returned or raised becomes a line that JSON can hold and that may be shown:
keys are taken out of error texts. The room must not know where the line goes.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, TypeVar

from threadllm.exceptions import ReportedError
from threadllm.jobs.writing import dumps
from threadllm.providers import status_of
from threadllm.redaction import redact, text_of, type_name

if TYPE_CHECKING:
    from threadllm.jobs.job import Identity
    from threadllm.outcome import Outcome

T = TypeVar("T")
R = TypeVar("R")


def call_line(name: Identity, outcome: Outcome[T, R]) -> dict[str, object]:
    """The line for an item called `name`: its value or its error, and what that took.

    A value that JSON cannot hold becomes an error; `elapsed` is in seconds.
    """
    error = (
        unwritable(outcome.value, "the function returned")
        if outcome.error is None
        else outcome.error
    )
    return {
        "id": name,
        "value": outcome.value if error is None else None,
        "error": None if error is None else error_entry(error),
        "attempts": outcome.attempts,
        "elapsed": outcome.elapsed,
        "usage": {
            "input_tokens": outcome.usage.input_tokens,
            "output_tokens": outcome.usage.output_tokens,
        },
    }


def result_line(
    custom_id: Identity,
    *,
    line: int,
    status: int | None = None,
    request_id: str | None = None,
    body: object = None,
    error: tuple[str, str] | None = None,
) -> dict[str, object]:
    """A result in OpenAI's output form, for https://platform.openai.com/docs/guides/batch.

    Args:
        custom_id: The request's `custom_id`.
        line: Its line number, of which the result's own id is made.
        status: The HTTP status of the answer, 400 and above included; None if none came.
        request_id: The provider's own name for the exchange.
        body: The answer's JSON. One that JSON cannot hold (NaN in it) is left out, with an error.
        error: Code and text of why it was not executed. Keys are taken out of the text.
    """
    problem = unwritable(body, "the provider sent")
    if problem is not None:
        body, error = None, ("invalid_body", str(problem))
    response = {"status_code": status, "request_id": request_id, "body": body}
    return {
        "id": f"batch_req_{line}",
        "custom_id": custom_id,
        "response": None if status is None else response,
        "error": None if error is None else {"code": error[0], "message": redact(error[1])},
    }


def unwritable(value: object, source: str) -> TypeError | ValueError | None:
    """Why JSON cannot hold a value; None if it can. `source` begins the text: "we got"."""
    kind = type_name(value)
    try:
        dumps(value)
    except Exception as error:
        family = TypeError if isinstance(error, TypeError) else ValueError
        return family(
            f"{source} a value of type {kind}, which JSON cannot hold ({error}). "
            "Return text, finite numbers, or lists and dicts of them"
        )
    return None


def error_entry(error: BaseException) -> dict[str, object]:
    """An error as its type's name, its text without keys, and the HTTP status it carries."""
    if isinstance(error, ReportedError):  # as it was where it came up
        return {"type": error.kind, "message": error.message, "status": error.status}
    status = None
    with suppress(Exception):  # an error whose own attributes raise has no status
        status = status_of(error)
    return {"type": type_name(error), "message": text_of(error), "status": status}
