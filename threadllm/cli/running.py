"""`threadllm run`: OpenAI Batch lines, prompts or messages against a live endpoint."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from threadllm.cli.endpoint import add_options as add_options_of_endpoint
from threadllm.cli.endpoint import endpoint_of
from threadllm.cli.working import Kind, add_options, work
from threadllm.exceptions import EarlierFailure, ThreadLLMError
from threadllm.jobs import join, read_requests, result_line
from threadllm.providers import ERRORS, parse_body
from threadllm.redaction import redact, text_of, type_name, without_keys
from threadllm.transport import bearer, session

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Callable

    from threadllm.jobs import BatchRequest, Job
    from threadllm.outcome import Outcome

_EXCERPT = 200  # bytes of an answer that an error quotes


class Answer(NamedTuple):
    """What came back for a line.

    Attributes:
        status: Its HTTP status.
        request_id: The provider's own name for the exchange.
        body: Its JSON; None where it holds none.
        start: The text that it begins with.
    """

    status: int
    request_id: str | None
    body: object
    start: str

    @property
    def flaw(self) -> str:
        """What is wrong with an answer without JSON."""
        return f"status {self.status}, but no JSON; it begins: {self.start!r}"


class NoJSONError(ThreadLLMError):
    """An answer that promised well and holds no JSON: a proxy's page, or nothing. Tried again."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(answer.flaw)
        self.answer = answer


def add_to(commands: Any) -> None:
    """Add the command."""
    command = commands.add_parser(
        "run",
        help="a file of requests against an OpenAI-compatible endpoint",
        description="Send OpenAI Batch lines, or lines with a prompt or messages, concurrently.",
    )
    add = command.add_argument
    add("input", metavar="INPUT", help=".jsonl, or - for stdin")
    add_options(command)
    add("--model", help="for lines that name none")
    add_options_of_endpoint(command)
    command.set_defaults(run=run)


def run(options: Namespace) -> int:
    """Run the command; its exit status."""
    base_url, key = endpoint_of(options)
    jobs = read_requests(options.input, model=options.model)
    kind = Kind(f"threadllm run at {redact(base_url)}", "custom_id", _line_of)
    return work(jobs, _sender(base_url, key), kind, options, retried=(NoJSONError,))


def _sender(base_url: str, key: str | None) -> Callable[[Job], Answer]:
    auth = bearer(key) if key else None

    def send(job: Job) -> Answer:
        request = cast("BatchRequest", job.item)
        answer = _answer(session().post(join(base_url, request.path), json=request.body, auth=auth))
        if answer.body is None and answer.status not in ERRORS:
            raise NoJSONError(answer)
        return answer

    return send


def _answer(response: Any) -> Answer:
    start = response.content[:_EXCERPT].decode(errors="replace")
    request_id = response.headers.get("x-request-id")
    return Answer(response.status_code, request_id, parse_body(response.content), start)


def _line_of(outcome: Outcome[Job, Answer]) -> tuple[dict[str, object], str | None]:
    made = partial(result_line, outcome.item.id, line=outcome.item.line)
    error = outcome.error
    if error is None:
        return made(**_fields(outcome.unwrap())), None
    what, text = type_name(error), text_of(error)
    response = getattr(error, "response", None)  # of an HTTP error
    answer = getattr(error, "answer", None) if response is None else _answer(response)
    if isinstance(error, EarlierFailure):
        what, text = error.kind, error.message
        if error.status is not None and error.body is not None:
            answer = Answer(error.status, error.request_id, error.body, "")
    line = made(error=(what, text)) if answer is None else made(**_fields(answer, failed=True))
    return line, f"{what}: {text}"


def _fields(answer: Answer, *, failed: bool = False) -> dict[str, Any]:
    """What `result_line` is told of an answer."""
    flaw = ("invalid_body", answer.flaw) if answer.body is None else None
    body = without_keys(answer.body) if failed else answer.body
    return {"status": answer.status, "request_id": answer.request_id, "body": body, "error": flaw}
