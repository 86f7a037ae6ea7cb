"""What goes wrong, when: faults as values, drawn by rate or played from a script.

The room must not know how a fault is brought about.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeAlias, get_args

from threadllm.exceptions import OptionError
from threadllm.simulator.checks import positive

Kind: TypeAlias = Literal[
    "status",  # an error answer
    "hang",  # nothing, before headers
    "header_drip",  # headers, a byte at a time, without end
    "body_drip",  # the answer, a byte at a time
    "reset",  # the connection reset before headers
    "reset_body",  # the connection reset in mid-body
    "short_body",  # half of the body that Content-Length announced
    "html",  # 200 with a page of a proxy
    "error_200",  # 200 with an error in the body, as OpenRouter sends it
    "ok",  # the answer: for scripts
]
Body: TypeAlias = "str | bytes | Mapping[str, object] | Sequence[object]"
_KINDS = get_args(Kind)
_WORDED = frozenset({"status", "html", "error_200"})  # which kinds have a body of their own
_STATUSES = {"status": None, "error_200": 502}  # which kinds have a status, and its default


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that goes wrong, or `kind="ok"` for one that does not.

    Attributes:
        status: HTTP status of an error answer, 200 to 599; with "error_200" the code that the
            body names, 502 by default. Other kinds have none.
        rate: The share of requests that it hits, 0 to 1; a script does not look at it.
        retry_after: The `retry-after` header: seconds, or a text that is sent as it is.
        headers: More headers of the answer.
        body: The answer's body, a value to be sent as JSON or a text to be sent as it is;
            by default the error body of the provider whose path was asked.
        kind: What happens.
        interval: Seconds between the bytes of a drip, and before a reset in mid-body.

    Raises:
        OptionError: A figure or a kind that cannot be used, or two that do not go together.
    """

    status: int | None = None
    rate: float = 1.0
    retry_after: float | str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Body | None = None
    kind: Kind = "status"
    interval: float = 0.05

    def __post_init__(self) -> None:
        if self.kind not in _KINDS:
            raise OptionError(f"kind={self.kind!r}: give one of {', '.join(_KINDS)}")
        if self.kind not in _STATUSES and self.status is not None:
            raise OptionError(f"status={self.status!r}: kind={self.kind!r} has none, leave it out")
        if self.kind == "status" and self.status not in range(200, 600):
            raise OptionError(f"status={self.status!r}: give an HTTP status from 200 to 599")
        if self.kind not in _WORDED and self.body is not None:
            raise OptionError(f"body: kind={self.kind!r} has none of its own, leave it out")
        if any(set("\r\n\0") & set(f"{one}{self.sent_headers[one]}") for one in self.sent_headers):
            raise OptionError("headers, retry_after: a header is one line, take the line break out")
        if not 0 <= self.rate <= 1:
            raise OptionError(f"rate={self.rate!r}: give a share from 0 to 1")
        positive(interval=self.interval)

    @property
    def code(self) -> int:
        """The status that the fault reports."""
        return self.status or _STATUSES.get(self.kind) or 200

    @property
    def sent_headers(self) -> dict[str, str]:
        """The headers that the fault adds, names in lower case."""
        own = {} if self.retry_after is None else {"retry-after": str(self.retry_after)}
        return own | {name.lower(): value for name, value in self.headers.items()}


OK = Fault(kind="ok")
ScriptLike: TypeAlias = "Sequence[Fault] | Mapping[str, Sequence[Fault]]"


class Script:
    """What the next requests get: one list for all, or one for each prompt."""

    def __init__(self, script: ScriptLike) -> None:
        by_prompt, in_order = (script, ()) if isinstance(script, Mapping) else ({}, script)
        self._in_order = deque(in_order)
        self._by_prompt: dict[str | None, deque[Fault]] = {
            prompt: deque(faults) for prompt, faults in by_prompt.items()
        }

    def take(self, prompt: str | None) -> Fault | None:
        """What the script has for a request with this prompt; None where it has ended."""
        queue = self._in_order or self._by_prompt.get(prompt)
        return queue.popleft() if queue else None


class Rates:
    """Faults by their rates; at most one hits a request.

    Raises:
        OptionError: The rates add up to more than 1.
    """

    def __init__(self, faults: Sequence[Fault]) -> None:
        self._faults = tuple(faults)
        if sum(fault.rate for fault in self._faults) > 1 + 1e-9:
            raise OptionError("faults: their rates add up to more than 1, lower them")

    def pick(self, roll: float) -> Fault | None:
        """What `roll`, a random number from 0 to 1, gives a request."""
        for fault in self._faults:
            roll -= fault.rate
            if roll < 0:
                return fault
        return None
