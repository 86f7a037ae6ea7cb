"""What this room raises on its own account."""

from __future__ import annotations

from threadllm.exceptions import ThreadLLMError


class RowDeletedError(ThreadLLMError):
    """A row was deleted while its result was waited for. It is not written again."""


class WorkerQueryError(ThreadLLMError):
    """A worker thread asked the database, where it must not, or would not see what it asks for.

    Attributes:
        sql: What it asked, without its parameters.
    """

    def __init__(self, sql: str, advice: str) -> None:
        super().__init__(sql, advice)
        self.sql = sql
        self._advice = advice

    def __str__(self) -> str:
        return f"a query in a worker thread: {self.sql}. {self._advice}"
