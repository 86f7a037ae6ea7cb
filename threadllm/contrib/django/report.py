"""What a run over rows has come to: values, and the texts that are shown of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from threadllm.outcome import Usage
from threadllm.redaction import text_of, type_name

if TYPE_CHECKING:
    from typing_extensions import Self

KEPT = 100  # failures that a report shows

_NONE = Usage()


@dataclass(frozen=True, slots=True)
class Failure:
    """A row that was not saved.

    Attributes:
        key: Its primary key; of items that are no rows their `id`, or their index.
        kind: The name of the type of the error.
        message: What that says, without keys.
        error: The error.
    """

    key: object
    kind: str
    message: str
    error: BaseException

    @classmethod
    def of(cls, key: object, error: BaseException) -> Self:
        """An error, as it may be shown."""
        return cls(key, type_name(error), text_of(error), error)

    def __str__(self) -> str:
        return f"{self.key}: {self.kind}: {self.message}"


@dataclass(frozen=True, slots=True)
class Report:
    """What a run has come to.

    Attributes:
        saved: Rows whose results were saved.
        failed: Rows that were not.
        remembered: Of those that were saved, whose results came from a journal.
        seconds: How long it took.
        usage: Tokens.
        failures: The first hundred; `on_error` is told of all.
    """

    saved: int = 0
    failed: int = 0
    remembered: int = 0
    seconds: float = 0.0
    usage: Usage = _NONE
    failures: tuple[Failure, ...] = ()

    @property
    def done(self) -> int:
        """Rows that have ended, one way or the other."""
        return self.saved + self.failed

    def __str__(self) -> str:
        rate = self.done / self.seconds if self.seconds else 0.0
        parts = [
            f"{self.saved:,} saved",
            f"{self.failed:,} failed",
            self.remembered and f"{self.remembered:,} from the journal",
            f"{self.seconds:.1f} s ({rate:.1f}/s)",
            self.usage.total_tokens and f"{self.usage.total_tokens:,} tokens",
        ]
        return ", ".join(part for part in parts if part)
