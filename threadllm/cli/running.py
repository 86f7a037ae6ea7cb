"""`threadllm run`: OpenAI Batch lines, prompts or messages against a live endpoint."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from threadllm.cli.endpoint import add_options as add_options_of_endpoint
from threadllm.cli.endpoint import endpoint_of
from threadllm.cli.working import Kind, add_options, work
from threadllm.exceptions import ReportedError, ThreadLLMError
from threadllm.jobs import join, read_requests, result_line
from threadllm.providers import ERRORS, parse_body
from threadllm.redaction import redact, text_of, type_name, without_keys
from threadllm.transport import bearer, session

if TYPE_CHECKING:
    from argparse import Namespace

    from threadllm.cli.endpoint import Endpoint
    from threadllm.jobs import BatchRequest, Job
    from threadllm.outcome import Outcome
    from threadllm.transport.bearer import Authorizing

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

    def __init__(self, status: int, request_id: str | None, start: str) -> None:
        super().__init__(status, request_id, start)  # of which another process can make it anew
        self.answer = Answer(status, request_id, None, start)

    def __str__(self) -> str:
        return self.answer.flaw


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
    endpoint = endpoint_of(options)
    jobs = read_requests(options.input, model=options.model)
    kind = Kind(f"threadllm run at {redact(endpoint.base_url)}", "custom_id", _line_of)
    return work(jobs, Sender(endpoint), kind, options, retried=(NoJSONError,))


@dataclass(frozen=True)
class Sender:
    """Sends a line's request, and hands back the answer; perhaps in another process."""

    endpoint: Endpoint

    def __call__(self, job: Job) -> Answer:
        """Send it.

        Raises:
            NoJSONError: The answer holds no JSON, and promised well.
        """
        request = cast("BatchRequest", job.item)
        url = join(self.endpoint.base_url, request.path)
        answer = _answer(session().post(url, json=request.body, auth=self._auth))
        if answer.body is None and answer.status not in ERRORS:
            raise NoJSONError(answer.status, answer.request_id, answer.start)
        return answer

    @cached_property
    def _auth(self) -> Authorizing | None:
        key = self.endpoint.key()
        return bearer(key) if key else None

    def __reduce__(self) -> tuple[type[Sender], tuple[Endpoint]]:
        """No key goes along: the environment there has it."""
        return Sender, (self.endpoint,)


def _answer_to(error: BaseException) -> Answer | None:
    """What came back, as far as an error knows: one of another run, or another process, too."""
    response = getattr(error, "response", None)  # of an HTTP error
    if response is not None:
        return _answer(response)
    status, body = getattr(error, "status", None), getattr(error, "body", None)
    if status is not None and body is not None:
        return Answer(status, getattr(error, "request_id", None), body, "")
    answer: Answer | None = getattr(error, "answer", None)
    return answer


def _answer(response: Any) -> Answer:
    start = response.content[:_EXCERPT].decode(errors="replace")
    request_id = response.headers.get("x-request-id")
    return Answer(response.status_code, request_id, parse_body(response.content), start)


def _line_of(outcome: Outcome[Job, Answer]) -> tuple[dict[str, object], str | None]:
    made = partial(result_line, outcome.item.id, line=outcome.item.line)
    error = outcome.error
    if error is None:
        return made(**_fields(outcome.unwrap())), None
    what, text, answer = type_name(error), text_of(error), _answer_to(error)
    if isinstance(error, ReportedError):
        what, text = error.kind, error.message
    line = made(error=(what, text)) if answer is None else made(**_fields(answer, failed=True))
    return line, f"{what}: {text}"


def _fields(answer: Answer, *, failed: bool = False) -> dict[str, Any]:
    """What `result_line` is told of an answer."""
    flaw = ("invalid_body", answer.flaw) if answer.body is None else None
    body = without_keys(answer.body) if failed else answer.body
    return {"status": answer.status, "request_id": answer.request_id, "body": body, "error": flaw}
