"""What was served: the ledger that the provider writes, and the copy that others read.

The room must not know what a request asked for; prompts and keys reach it only as digests.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import asdict, dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING

from threadllm.simulator.text import digest

if TYPE_CHECKING:
    from collections.abc import Mapping

    from typing_extensions import Self


@dataclass(frozen=True, slots=True)
class Counts:
    """What was served so far. requests = the sum of by_status + aborted + in_flight.

    Attributes:
        requests: Requests that arrived; those to the control address are not counted.
        by_path: Requests by path; all unknown paths together are "*".
        by_status: Requests whose answer was fully sent, by its status.
        by_key: Requests by key, which is shown as a digest; "none" where none was sent.
        aborted: Requests whose answer was not fully sent: cut off, reset, or the client left.
        in_flight: Requests that have arrived and are not over.
        max_in_flight: The most that were in flight at a time.
        received: How often each prompt arrived, by path and digest of the prompt.
        answered: How often each prompt's answer was fully sent, likewise.
        answered_twice: Prompts that the same path answered more than once, searches left out:
            what a client paid for twice.
    """

    requests: int
    by_path: Mapping[str, int]
    by_status: Mapping[int, int]
    by_key: Mapping[str, int]
    aborted: int
    in_flight: int
    max_in_flight: int
    received: Mapping[str, Mapping[str, int]]
    answered: Mapping[str, Mapping[str, int]]
    answered_twice: int

    def received_of(self, prompt: str, path: str = "/v1/chat/completions") -> int:
        """How often this prompt arrived at that path."""
        return self.received.get(path, {}).get(digest(prompt), 0)

    def answered_of(self, prompt: str, path: str = "/v1/chat/completions") -> int:
        """How often this prompt's answer was fully sent from that path."""
        return self.answered.get(path, {}).get(digest(prompt), 0)

    def to_dict(self) -> dict[str, object]:
        """The same as the control address shows it."""
        return asdict(self)


_TWICE = 2


class Ledger:
    """The running counts. One event loop writes and reads it, so there is no lock."""

    def __init__(self) -> None:
        self.requests = 0
        self.by_path: Counter[str] = Counter()
        self.by_status: Counter[int] = Counter()
        self.by_key: Counter[str] = Counter()
        self.aborted = 0
        self.in_flight = 0
        self.max_in_flight = 0
        self.received: defaultdict[str, Counter[str]] = defaultdict(Counter)
        self.answered: defaultdict[str, Counter[str]] = defaultdict(Counter)
        self.answered_twice = 0

    def counts(self) -> Counts:
        """A copy that no longer changes."""
        return Counts(
            requests=self.requests,
            by_path=dict(self.by_path),
            by_status=dict(self.by_status),
            by_key=dict(self.by_key),
            aborted=self.aborted,
            in_flight=self.in_flight,
            max_in_flight=self.max_in_flight,
            received={path: dict(table) for path, table in self.received.items()},
            answered={path: dict(table) for path, table in self.answered.items()},
            answered_twice=self.answered_twice,
        )


class Visit:
    """One request in the ledger, from its arrival to its end."""

    __slots__ = ("_ledger", "_paid", "_path", "_prompt", "_status", "name")

    def __init__(self, ledger: Ledger, path: str, key: str) -> None:
        self._ledger = ledger
        self._path = path
        self._prompt: str | None = None
        self._paid = False
        self._status: int | None = None
        ledger.requests += 1
        ledger.by_path[path] += 1
        ledger.by_key[key] += 1
        ledger.in_flight += 1
        ledger.max_in_flight = max(ledger.max_in_flight, ledger.in_flight)
        self.name = f"req_{ledger.requests:012x}"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._ledger.in_flight -= 1
        if self._status is None:
            self._ledger.aborted += 1
        else:
            self._ledger.by_status[self._status] += 1

    def asks(self, prompt: str, *, paid: bool) -> int:
        """Note which prompt it carries, as a digest; return how often it has now arrived.

        `paid` tells whether an answer costs money.
        """
        self._prompt, self._paid = prompt, paid
        table = self._ledger.received[self._path]
        table[prompt] += 1
        return table[prompt]

    def sent(self, status: int, *, genuine: bool) -> None:
        """Something was fully sent; `genuine` tells whether it is the provider's own reply."""
        self._status = status
        if self._prompt is None or not genuine or status != HTTPStatus.OK:
            return
        table = self._ledger.answered[self._path]
        table[self._prompt] += 1
        self._ledger.answered_twice += self._paid and table[self._prompt] == _TWICE
