"""`threadllm run`: OpenAI Batch lines, prompts or messages against a live endpoint."""

from __future__ import annotations

import os
import re
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple, cast
from urllib.parse import urlsplit

from threadllm.cli.working import Kind, add_options, work
from threadllm.exceptions import EarlierFailure, OptionError, ThreadLLMError
from threadllm.jobs import join, read_requests, result_line
from threadllm.providers import ERRORS, parse_body
from threadllm.redaction import redact, text_of, type_name, without_keys
from threadllm.transport import session

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Callable

    from threadllm.jobs import BatchRequest, Job
    from threadllm.outcome import Outcome

_OLLAMA = "http://localhost:11434/v1"
_DEFAULT_KEY = "OPENAI_API_KEY"
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
    add("--base-url", help=f"of the endpoint (OPENAI_BASE_URL, else {_OLLAMA})")
    add("--model", help="for lines that name none")
    add(
        "--api-key-env",
        metavar="NAME",
        help=f"the variable that holds the key ({_DEFAULT_KEY}, if it is set)",
    )
    command.set_defaults(run=run)


def run(options: Namespace) -> int:
    """Run the command; its exit status."""
    base_url = _base_url(options.base_url)
    key = _key(options.api_key_env)
    jobs = read_requests(options.input, model=options.model)
    kind = Kind(f"threadllm run at {redact(base_url)}", "custom_id", _line_of)
    return work(jobs, _sender(base_url, key), kind, options, retried=(NoJSONError,))


def _base_url(given: str | None) -> str:
    source = "OPENAI_BASE_URL" if given is None else "--base-url"
    base_url = (os.environ.get(source) or _OLLAMA) if given is None else given
    if not _is_address(base_url):
        raise OptionError(f"{source} {redact(base_url)!r}: write it like {_OLLAMA}")
    return base_url


def _is_address(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:  # brackets that do not close, a port that there cannot be
        return False


def _key(variable: str | None) -> str | None:
    """The key, if there is one. It is never printed, nor what may be one in a variable's place."""
    name = variable or _DEFAULT_KEY
    key = os.environ.get(name)
    if not key:
        if variable is None:
            return None
        shown = variable if re.fullmatch("[A-Z][A-Z0-9_]*", variable) else "what it names"
        raise OptionError(
            f"--api-key-env: {shown} is not set, or is empty. Give the name of the variable that "
            f"holds the key, such as {_DEFAULT_KEY}, never the key itself"
        )
    if not (key.isascii() and key.isprintable() and " " not in key):
        raise OptionError(
            f"{name}: it holds a line break, a space or a character beyond ASCII, "
            "such as a typographic quote. Set it again, to the key alone"
        )
    return key


def _sender(base_url: str, key: str | None) -> Callable[[Job], Answer]:
    def authorize(request: Any) -> Any:
        request.headers["Authorization"] = f"Bearer {key}"
        return request

    auth = authorize if key else None  # a header alone would be overridden by a .netrc

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
