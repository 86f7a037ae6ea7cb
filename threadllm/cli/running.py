"""`threadllm run`: OpenAI Batch lines, prompts or messages against a live endpoint."""

from __future__ import annotations

import os
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from threadllm.cli.working import add_options, work
from threadllm.exceptions import OptionError, ThreadLLMError
from threadllm.jobs import join, read_requests, result_line
from threadllm.jobs.records import text_of, type_name
from threadllm.providers import parse_body
from threadllm.redaction import redact
from threadllm.transport import session

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Callable

    from threadllm.jobs import BatchRequest, Job
    from threadllm.outcome import Outcome

_OLLAMA = "http://localhost:11434/v1"
_DEFAULT_KEY = "OPENAI_API_KEY"
_EXCERPT = 200  # characters of an answer that an error quotes


class Answer(NamedTuple):
    """What came back for a line."""

    status: int
    request_id: str | None
    body: object


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
    base_url = options.base_url or os.environ.get("OPENAI_BASE_URL") or _OLLAMA
    headers = _authorization(options.api_key_env)
    jobs = read_requests(options.input, model=options.model)
    return work(jobs, _sender(base_url, headers), _line_of, options)


def _authorization(variable: str | None) -> dict[str, str]:
    """The header that carries the key, if there is one. The key is never printed."""
    name = variable or _DEFAULT_KEY
    key = os.environ.get(name, "")
    if not key and variable is None:
        return {}
    if not (key.isascii() and key.isprintable() and " " not in key and key):
        raise OptionError(
            f"{name}: it is empty, or holds a line break, a space or a character beyond ASCII, "
            "such as a typographic quote. Set it again, to the key alone"
        )
    return {"Authorization": f"Bearer {key}"}


def _sender(base_url: str, headers: dict[str, str]) -> Callable[[Job], Answer]:
    def send(job: Job) -> Answer:
        request = cast("BatchRequest", job.item)
        response = session().post(join(base_url, request.path), json=request.body, headers=headers)
        answer = _answer(response)
        if answer.body is None:
            start = redact(response.text[:_EXCERPT])
            raise ThreadLLMError(f"status {answer.status}, but no JSON; it begins: {start!r}")
        return answer

    return send


def _answer(response: Any) -> Answer:
    request_id = response.headers.get("x-request-id")
    return Answer(response.status_code, request_id, parse_body(response.content))


def _line_of(outcome: Outcome[Job, Answer]) -> tuple[dict[str, object], str | None]:
    error, answer = outcome.error, outcome.value
    made = partial(result_line, outcome.item.id, line=outcome.item.line)
    if error is None:
        return made(**_fields(answer)), None
    what, text = type_name(error), text_of(error)
    response = getattr(error, "response", None)  # of an HTTP error
    line = made(error=(what, text)) if response is None else made(**_fields(_answer(response)))
    return line, f"{what}: {text}"


def _fields(answer: Answer | None) -> dict[str, Any]:
    return {} if answer is None else answer._asdict()
